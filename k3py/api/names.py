"""Forms of names and labels.

Source: k8s.io/apimachinery/pkg/util/validation v0.35. Each `find_*_faults` returns texts for FieldError details, [] when the
name is good.
"""

from __future__ import annotations

import re
from typing import Final

_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z")
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")
_DNS1035: Final = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?\Z")
_QUALIFIED: Final = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]\Z")

_LABEL_TEXT: Final = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_SUBDOMAIN_TEXT: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_DNS1035_TEXT: Final = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)


def find_label_faults(name: str) -> list[str]:
    """Check an RFC 1123 label (63 characters at most)."""
    return _check(name, pattern=_LABEL, text=_LABEL_TEXT, max_length=63)


def find_subdomain_faults(name: str) -> list[str]:
    """Check an RFC 1123 subdomain (253 characters at most), the form of most object names."""
    return _check(name, pattern=_SUBDOMAIN, text=_SUBDOMAIN_TEXT, max_length=253)


def find_dns1035_faults(name: str) -> list[str]:
    """Check an RFC 1035 label, the form of Service names."""
    return _check(name, pattern=_DNS1035, text=_DNS1035_TEXT, max_length=63)


def find_path_segment_faults(name: str) -> list[str]:
    """Check a name that only has to fit into a URL path (RBAC objects)."""
    if name in (".", ".."):
        return [f"may not be '{name}'"]
    return [f"may not contain '{char}'" for char in "/%" if char in name]


def find_qualified_name_faults(name: str) -> list[str]:
    """Check a label or annotation key: optional DNS prefix and a name of 63 characters at most."""
    prefix, slash, rest = name.rpartition("/")
    faults: list[str] = []
    if slash:
        if "/" in prefix:
            return [_qualified_text()]
        if not prefix:
            faults.append("prefix part must be non-empty")
        else:
            faults += [f"prefix part {fault}" for fault in find_subdomain_faults(prefix)]
    if not rest:
        faults.append("name part must be non-empty")
    elif len(rest) > 63:
        faults.append("name part must be no more than 63 bytes")
    if not _QUALIFIED.match(rest):
        faults.append(f"name part {_qualified_text()}")
    return faults


def find_label_value_faults(value: str) -> list[str]:
    """Check a label value: empty, or like the name part of a qualified name."""
    faults = []
    if len(value) > 63:
        faults.append("must be no more than 63 bytes")
    if value and not _QUALIFIED.match(value):
        faults.append(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
            "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used "
            "for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
        )
    return faults


def _qualified_text() -> str:
    return (
        "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
        "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
        "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
    )


def _check(name: str, *, pattern: re.Pattern[str], text: str, max_length: int) -> list[str]:
    faults = []
    if len(name) > max_length:
        faults.append(f"must be no more than {max_length} bytes")
    if not pattern.match(name):
        faults.append(text)
    return faults
