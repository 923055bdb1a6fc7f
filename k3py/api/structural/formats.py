"""String formats that are checked; unknown ones are not.

Source: k8s.io/kube-openapi/pkg/validation/strfmt, supported formats of k8s.io/apiextensions-apiserver/pkg/apiserver/validation/formats.go v0.35.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from datetime import date
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from k3py.api.names import find_label_faults, find_subdomain_faults

if TYPE_CHECKING:
    from collections.abc import Callable

_DATE_TIME: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](?:[01]\d|2[0-3]):[0-5]\d(:[0-5]\d|:60)?([.,]\d+)?([Zz]|[+-]\d\d:?\d\d)?",
    re.ASCII,
)
_DURATION: Final = re.compile(r"-?(\d+(\.\d+)?\s*(ns|us|µs|μs|ms|s|m|h|d|w)\s*)+|0", re.ASCII)
_LONG_DURATION: Final = re.compile(
    r"(\d+\s*(nanoseconds?|microseconds?|milliseconds?|seconds?|secs?|minutes?|mins?|hours?|hrs?|days?|weeks?)\s*)+",
    re.ASCII,
)
_EMAIL: Final = re.compile(r"[^@\s<>]+@[^@\s<>]+")
_HOST: Final = re.compile(
    r"([a-zA-Z0-9_\u00a1-\uffff]([-a-zA-Z0-9_\u00a1-\uffff]{0,62}[a-zA-Z0-9_\u00a1-\uffff])?)"
    r"(\.[a-zA-Z0-9\u00a1-\uffff]([-a-zA-Z0-9\u00a1-\uffff]{0,62}[a-zA-Z0-9\u00a1-\uffff])?)*\.?"
)
_UUID: Final = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE)
_MAC: Final = re.compile(
    r"([0-9a-f]{2}([:-]))([0-9a-f]{2}\2){4}[0-9a-f]{2}(\2[0-9a-f]{2}){0,2}|([0-9a-f]{4}\.){2,3}[0-9a-f]{4}",
    re.IGNORECASE,
)
_OBJECT_ID: Final = re.compile(r"[0-9a-fA-F]{24}")
_CARD: Final = re.compile(
    r"(?:4\d{12}(?:\d{3})?|5[1-5]\d{14}|(222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}|6(?:011|5\d\d)\d{12}|3[47]\d{13}"
    r"|3(?:0[0-5]|[68]\d)\d{11}|(?:2131|1800|35\d{3})\d{11}|6[27]\d{14})",
    re.ASCII,
)
_COLOR: Final = re.compile(r"#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})")
_BYTE: Final = r"\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*"
_RGB: Final = re.compile(rf"rgb\({_BYTE},{_BYTE},{_BYTE}\)", re.ASCII)
_SSN: Final = re.compile(r"\d{3}[- ]?\d{2}[- ]?\d{4}", re.ASCII)


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == 10


def _is_date_time(text: str) -> bool:
    found = _DATE_TIME.fullmatch(text)
    return found is not None and _is_date(f"{found[1]}-{found[2]}-{found[3]}")


def _is_ip(version: int) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            return ipaddress.ip_address(text).version == version
        except ValueError:
            return False

    return check


def _is_cidr(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text and text.rpartition("/")[2].isdigit()


def _is_uri(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return " " not in text and (bool(parts.scheme) or text.startswith("/"))


def _is_bytes(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return bool(text)


def _is_isbn(text: str) -> bool:
    digits = re.sub(r"[\s-]", "", text)
    if re.fullmatch(r"\d{9}[\dX]", digits):
        return sum((10 - at) * (10 if one == "X" else int(one)) for at, one in enumerate(digits)) % 11 == 0
    if re.fullmatch(r"\d{13}", digits):
        return sum(int(one) * (3 if at % 2 else 1) for at, one in enumerate(digits)) % 10 == 0
    return False


def _is_card(text: str) -> bool:
    digits = re.sub(r"[\s-]", "", text)
    if not _CARD.fullmatch(digits):
        return False
    doubled = [int(one) * (2 if at % 2 else 1) for at, one in enumerate(reversed(digits))]
    return sum(one - 9 if one > 9 else one for one in doubled) % 10 == 0


def _full(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda text: pattern.fullmatch(text) is not None


_CHECKS: Final[dict[str, Callable[[str], bool]]] = {
    "date": _is_date,
    "datetime": _is_date_time,
    "duration": lambda text: bool(_DURATION.fullmatch(text) or _LONG_DURATION.fullmatch(text)),
    "email": _full(_EMAIL),
    "hostname": lambda text: len(text) < 256 and _HOST.fullmatch(text) is not None,
    "ipv4": _is_ip(4),
    "ipv6": _is_ip(6),
    "cidr": _is_cidr,
    "uri": _is_uri,
    "uuid": _full(_UUID),
    "uuid3": _full(_UUID),
    "uuid4": _full(_UUID),
    "uuid5": _full(_UUID),
    "byte": _is_bytes,
    "mac": _full(_MAC),
    "bsonobjectid": _full(_OBJECT_ID),
    "isbn": _is_isbn,
    "isbn10": _is_isbn,
    "isbn13": _is_isbn,
    "creditcard": _is_card,
    "hexcolor": _full(_COLOR),
    "rgbcolor": _full(_RGB),
    "ssn": _full(_SSN),
    "k8sshortname": lambda text: not find_label_faults(text),
    "k8slongname": lambda text: not find_subdomain_faults(text),
}


def find_format(name: str) -> Callable[[str], bool] | None:
    """Return the check of a format, None when it is not one that is checked; dashes do not count, as in strfmt."""
    return _CHECKS.get(name.replace("-", ""))
