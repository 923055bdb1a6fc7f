"""Takes typed values out of what `load_values` returned."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from k3py.errors import ConfigError
from k3py.util.netaddr import is_ipv6, split_pair

_LOOPBACK: Final = "127.0.0.1"

if TYPE_CHECKING:
    from collections.abc import Mapping

    from k3py.config.value import Value


def get_text(values: Mapping[str, Value], name: str) -> str:
    """Return a text."""
    return cast("str", values[name])


def get_number(values: Mapping[str, Value], name: str) -> int:
    """Return a whole number."""
    return cast("int", values[name])


def get_list(values: Mapping[str, Value], name: str) -> tuple[str, ...]:
    """Return a list of texts."""
    return cast("tuple[str, ...]", values[name])


def get_path(values: Mapping[str, Value], name: str) -> Path:
    """Return a path. Raises ConfigError when it is empty."""
    value = values[name]
    if not isinstance(value, Path):
        raise ConfigError(f"--{name.replace('_', '-')}: '': must be a path")
    return value


def load_token(values: Mapping[str, Value], flag: str = "token") -> str:
    """Return the token of a flag (--token) or of the file beside it (--token-file), "" when neither is given; errors do not repeat it."""
    field = flag.replace("-", "_")
    token, file = get_text(values, field), values[f"{field}_file"]
    if not isinstance(file, Path):
        return token
    if token:
        raise ConfigError(f"--{flag}-file: '{file}': must not be given together with --{flag}")
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--{flag}-file: '{file}': cannot be read: {error}") from error
    if not token:
        raise ConfigError(f"--{flag}-file: '{file}': must hold a token")
    return token


def find_own_addresses(first: str, cluster_cidr: str) -> tuple[str, ...]:
    """Return `first`, and where pods have the other family, too, this machine's address of it, if it has one."""
    other = [one for one in split_pair(cluster_cidr) if is_ipv6(one) != is_ipv6(first)]
    if not other:
        return (first,)
    found = find_own_address("2001:db8::1" if is_ipv6(other[0]) else "192.0.2.1")
    return (first, found) if is_ipv6(found) == is_ipv6(other[0]) and found != _LOOPBACK else (first,)


def find_own_address(*targets: str) -> str:
    """Return the address from which this machine would reach the first reachable of `targets`, else loopback; no packet is sent."""
    for target in targets:
        family = socket.AF_INET6 if ":" in target else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((target, 9))
            except OSError:
                continue
            return str(probe.getsockname()[0])
    return _LOOPBACK
