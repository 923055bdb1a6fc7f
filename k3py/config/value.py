"""Reads the text of a flag, environment variable or configuration key, or says what is allowed.

Every reader returns the value or raises ValueError with "must be …", to which `k3py.config.loader` adds the flag, the value and where
it came from.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from k3py.api.cron import ScheduleError, parse_schedule
from k3py.api.names import find_subdomain_faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3py.config.option import ValueType

Value = str | int | bool | Path | tuple[str, ...] | tuple[int, int]

_TRUE: Final = frozenset(("true", "1", "t", "yes", "on"))
_FALSE: Final = frozenset(("false", "0", "f", "no", "off", ""))


def read_value(value_type: ValueType, text: str) -> Value:
    """Read one value; an empty text stands for "not given" and is returned by types that have no empty value as "".

    Raises:
        ValueError: the text is not of that type; the message says what is allowed.
    """
    return _READERS[value_type](text)


def _string(text: str) -> str:
    return text


def _int(text: str) -> int:
    if not re.fullmatch(r"[+-]?\d+", text):
        raise ValueError("must be a whole number")
    return int(text)


def _bool(text: str) -> bool:
    lowered = text.lower()
    if lowered in _TRUE:
        return True
    if lowered in _FALSE:
        return False
    raise ValueError("must be true or false")


def _list(text: str) -> tuple[str, ...]:
    return tuple(part for part in (one.strip() for one in text.split(",")) if part)


def _path(text: str) -> Value:
    return Path(text) if text else ""


def _port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise ValueError("must be a port number from 1 to 65535")
    return int(text)


def _cidr(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise ValueError(
            "must be a network such as 10.42.0.0/16, without host bits; one address family"
        ) from None


def _ip(text: str) -> str:
    if not text:
        return ""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError("must be an IP address such as 192.0.2.1") from None


def _pair(text: str, read: Callable[[str], str], what: str) -> str:
    """Read one, or one of each address family, with a comma between."""
    parts = [read(one) for one in _list(text)]
    if len(parts) > 2 or (len(parts) == 2 and (":" in parts[0]) == (":" in parts[1])):
        raise ValueError(f"must be one {what}, or one of IPv4 and one of IPv6 with a comma between")
    return ",".join(parts)


def _cidrs(text: str) -> str:
    return _pair(text, _cidr, "network such as 10.42.0.0/16") if "," in text else _cidr(text)


def _ips(text: str) -> str:
    return _pair(text, _ip, "address") if "," in text else _ip(text)


def _mode(text: str) -> int:
    if not re.fullmatch(r"0?[0-7]{3}", text):
        raise ValueError("must be an octal file mode such as 0600 or 644")
    return int(text, 8)


def _port_range(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)-(\d+)", text)
    low, high = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 0 < low <= high < 65536:
        raise ValueError("must be a range of ports such as 30000-32767")
    return low, high


def _url(text: str) -> str:
    if text and not re.match(r"https://[^/]+", text):
        raise ValueError("must be a URL that starts with https://")
    return text.rstrip("/")


def _name(text: str) -> str:
    if text and (faults := find_subdomain_faults(text)):
        raise ValueError(f"must be a valid node name: {'; '.join(faults)}")
    return text


def _cron(text: str) -> str:
    if text:
        try:
            parse_schedule(text)
        except ScheduleError as error:
            raise ValueError(f"must be a cron schedule such as '0 */12 * * *': {error}") from error
    return text


_READERS: Final[dict[ValueType, Callable[[str], Value]]] = {
    "string": _string,
    "int": _int,
    "bool": _bool,
    "list": _list,
    "arguments": _list,
    "path": _path,
    "port": _port,
    "cidr": _cidr,
    "cidrs": _cidrs,
    "ip": _ip,
    "ips": _ips,
    "mode": _mode,
    "port-range": _port_range,
    "url": _url,
    "name": _name,
    "cron": _cron,
}
