"""`--kube-proxy-arg name=value`: flags of kube-proxy that k3py's service proxy honours; any other is refused by name."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

_FLAG: Final = "--kube-proxy-arg"
PRIMARY: Final = "primary"


@dataclass(frozen=True, slots=True)
class ProxyArguments:
    """node_port_addresses: ranges of the node's addresses where node ports answer; "primary" = the node's own; () = all of them."""

    node_port_addresses: tuple[str, ...] = ()


def parse_proxy_arguments(given: Sequence[str]) -> ProxyArguments:
    """Read the arguments in order: of one that is given twice the last counts.

    Raises:
        ConfigError: an argument that k3py does not know, or a value that is none.
    """
    ranges: tuple[str, ...] = ()
    for one in given:
        name, _, text = one.removeprefix("--").partition("=")
        if name != "nodeport-addresses":
            raise ConfigError(
                f"{_FLAG}: {name!r}: k3py has no such argument of kube-proxy; it has nodeport-addresses"
            )
        ranges = tuple(_range(part.strip()) for part in text.split(","))
        if PRIMARY in ranges and len(ranges) > 1:
            raise ConfigError(f"{_FLAG}: nodeport-addresses: {text!r}: primary must stand alone")
    return ProxyArguments(ranges)


def _range(text: str) -> str:
    if text == PRIMARY:
        return text
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise ConfigError(
            f"{_FLAG}: nodeport-addresses: {text!r}: must be networks such as 192.0.2.0/24, or primary"
        ) from None
