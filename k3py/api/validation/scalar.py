"""Numbers, names of ports, addresses and paths in specs. Source: k8s.io/apimachinery/pkg/util/validation v0.35 and pkg/apis/core/validation v1.35."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import FieldError, invalid_value, not_supported, required

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from k3py.jsontypes import JsonValue

PROTOCOLS: Final = ("SCTP", "TCP", "UDP")
NEGATIVE: Final = "must be greater than or equal to 0"
NOT_POSITIVE: Final = "must be greater than 0"
IMMUTABLE: Final = "field is immutable"
_PORT_NAME: Final = re.compile(r"[-a-z0-9]+\Z")
_LATER_INVALID: Final = "will be considered invalid in a future Kubernetes release"
_OCTETS: Final = re.compile(r"\A0+(\d)")


def check_non_negative(value: JsonValue, path: str) -> list[FieldError]:
    """A number that is there must not be negative."""
    return [invalid_value(path, value, NEGATIVE)] if value is not None and value < 0 else []


def check_positive(value: JsonValue, path: str) -> list[FieldError]:
    """A number that is there must be above zero."""
    return [invalid_value(path, value, NOT_POSITIVE)] if value is not None and value <= 0 else []


def check_range(value: JsonValue, path: str, least: int, most: int) -> list[FieldError]:
    """A number that is there must be within bounds."""
    if value is None or least <= value <= most:
        return []
    return [invalid_value(path, value, f"must be between {least} and {most}, inclusive")]


def check_choice(value: JsonValue, path: str, allowed: Sequence[str]) -> list[FieldError]:
    """A value must be one of an enumeration; an empty one is missing."""
    if not value:
        return [required(path)]
    return check_known(value, path, allowed)


def check_known(value: JsonValue, path: str, allowed: Sequence[str]) -> list[FieldError]:
    """A value must be one of an enumeration."""
    return [] if value in allowed else [not_supported(path, value, allowed)]


def check_text(value: str, path: str, find_faults: Callable[[str], list[str]]) -> list[FieldError]:
    """Turn the faults of a name into findings."""
    return [invalid_value(path, value, fault) for fault in find_faults(value)]


def check_port(port: JsonValue, path: str) -> list[FieldError]:
    """A port number is between 1 and 65535."""
    return check_range(port, path, 1, 65535)


def check_port_or_name(port: JsonValue, path: str) -> list[FieldError]:
    """A port is given by number or by name."""
    if isinstance(port, int):
        return check_port(port, path)
    return check_text(str(port or ""), path, find_port_name_faults)


def find_port_name_faults(name: str) -> list[str]:
    """Check an IANA service name."""
    faults = []
    if len(name) > 15:
        faults.append("must be no more than 15 characters")
    if not _PORT_NAME.match(name):
        faults.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not any(char.isalpha() for char in name):
        faults.append("must contain at least one letter (a-z)")
    if "--" in name:
        faults.append("must not contain consecutive hyphens")
    if name.startswith("-") or name.endswith("-"):
        faults.append("must not begin or end with a hyphen")
    return faults


def parse_ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return an address; leading zeros of IPv4 octets are let through, as upstream does for old objects."""
    if ":" not in text:
        text = ".".join(_OCTETS.sub(r"\1", octet) for octet in text.split("."))
    try:
        return ipaddress.ip_address(text) if "%" not in text else None
    except ValueError:
        return None


def warn_about_ip(text: str, path: str) -> list[str]:
    """Return what a later release will not take, or does not write so.

    Source: k8s.io/apimachinery/pkg/util/validation/ip.go v0.35.
    """
    found = parse_ip(text)
    if found is None:
        return []
    mapped = getattr(found, "ipv4_mapped", None)
    if mapped is not None or (found.version == 4 and str(found) != text):
        return [f'{path}: non-standard IP address "{text}" {_LATER_INVALID}: use "{mapped or found}"']
    if str(found) != text:
        return [f'{path}: IPv6 address "{text}" should be in RFC 5952 canonical format ("{found}")']
    return []


def warn_about_cidr(text: str, path: str) -> list[str]:
    """Return what a later release will not take, or does not write so. Source: as `warn_about_ip`."""
    network = parse_cidr(text)
    address, _, bits = text.partition("/")
    found = parse_ip(address)
    if network is None or found is None:
        return []
    if found != network.network_address:
        choice = f'should be "{network}" or "{found}/{network.max_prefixlen}"?'
        return [f'{path}: CIDR value "{text}" is ambiguous in this context ({choice})']
    if found.version == 4 and f"{found}/{int(bits)}" != text:
        return [f'{path}: non-standard CIDR value "{text}" {_LATER_INVALID}: use "{network}"']
    if str(network) != text:
        return [f'{path}: IPv6 CIDR value "{text}" should be in RFC 5952 canonical format ("{network}")']
    return []


def check_ip(text: str, path: str) -> list[FieldError]:
    """An IP address of either family."""
    if parse_ip(text) is None:
        return [invalid_value(path, text, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")]
    return []


def check_outside_ip(text: str, path: str) -> list[FieldError]:
    """An address that packets from other machines can go to."""
    errors = check_ip(text, path)
    found = parse_ip(text)
    if found is None:
        return errors
    for is_special, what in (
        (found.is_unspecified, "unspecified"),
        (found.is_loopback, "in the loopback range (127.0.0.0/8, ::1/128)"),
        (found.is_link_local, "in the link-local range (169.254.0.0/16, fe80::/10)"),
        (
            found.is_multicast and text.startswith(("224.0.0.", "ff02", "FF02")),
            "in the link-local multicast range",
        ),
    ):
        if is_special:
            errors.append(invalid_value(path, text, f"may not be {what}"))
    return errors


def parse_cidr(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """Return a network; bits behind the mask may be set."""
    if "/" not in text:
        return None
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def check_cidr(text: str, path: str) -> list[FieldError]:
    """A network in CIDR notation."""
    if parse_cidr(text) is None:
        detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
        return [invalid_value(path, text, detail)]
    return []


def check_no_backsteps(text: str, path: str) -> list[FieldError]:
    """A path does not climb."""
    return [invalid_value(path, text, "must not contain '..'")] if ".." in text.split("/") else []


def check_descending_path(text: str, path: str) -> list[FieldError]:
    """A relative path that stays below where it starts."""
    errors = [invalid_value(path, text, "must be a relative path")] if text.startswith("/") else []
    return errors + check_no_backsteps(text, path)


def check_volume_file_path(text: str, path: str) -> list[FieldError]:
    """A descending path that does not clash with the names atomic writers use."""
    errors = check_descending_path(text, path)
    if text.startswith("..") and not text.startswith("../") and not errors:
        errors.append(invalid_value(path, text, "must not start with '..'"))
    return errors


def not_found(path: str, value: JsonValue) -> FieldError:
    """A value names something that is not there."""
    return FieldError(path, "FieldValueNotFound", "", value)


def too_many(path: str, most: int, count: int) -> FieldError:
    """A list is too long."""
    return FieldError(path, "FieldValueTooMany", f"must have at most {most} items", count)
