"""IP addresses and ranges. Source: k8s.io/apiserver/pkg/cel/library/{ip,cidr}.go v0.35."""

from __future__ import annotations

import ipaddress
from typing import ClassVar, Final

from k3py.api.cel.errors import EvaluationFault
from k3py.api.cel.overload import Overload, member, traversal
from k3py.api.cel.types import BOOL, CIDR, INT, IP, STRING, CelType

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Ip:
    """An address."""

    __slots__ = ("address",)
    cel_type: ClassVar[CelType] = IP

    def __init__(self, address: _Address) -> None:
        self.address = address

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ip) and other.address == self.address

    def __hash__(self) -> int:
        return hash(self.address)

    def __str__(self) -> str:
        return str(self.address)


class Cidr:
    """An address with the length of its prefix; host bits stay until masked()."""

    __slots__ = ("interface",)
    cel_type: ClassVar[CelType] = CIDR

    def __init__(self, interface: ipaddress.IPv4Interface | ipaddress.IPv6Interface) -> None:
        self.interface = interface

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cidr) and str(other) == str(self)

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        return f"{self.interface.ip}/{self.interface.network.prefixlen}"


def _parse_ip(text: str) -> Ip:
    try:
        address = ipaddress.ip_address(text)
    except ValueError as error:
        raise EvaluationFault(
            f'IP Address "{text}" parse error during conversion from string: {error}'
        ) from error
    if isinstance(address, ipaddress.IPv6Address) and (address.ipv4_mapped is not None or address.scope_id):
        raise EvaluationFault(f'IP Address "{text}": IPv4-mapped IPv6 addresses and zones are not allowed')
    return Ip(address)


def _parse_cidr(text: str) -> Cidr:
    host, slash, length = text.partition("/")
    if not slash or not length.isdigit() or (len(length) > 1 and length.startswith("0")):
        raise EvaluationFault(f'CIDR "{text}" parse error during conversion from string: no prefix length')
    try:
        interface = ipaddress.ip_interface(f"{_parse_ip(host).address}/{length}")
    except (ValueError, EvaluationFault) as error:
        raise EvaluationFault(f'CIDR "{text}" parse error during conversion from string: {error}') from error
    return Cidr(interface)


def _is_ip(text: str) -> bool:
    try:
        _parse_ip(text)
    except EvaluationFault:
        return False
    return True


def _is_cidr(text: str) -> bool:
    try:
        _parse_cidr(text)
    except EvaluationFault:
        return False
    return True


def _is_global_unicast(ip: Ip) -> bool:
    one = ip.address
    broadcast = isinstance(one, ipaddress.IPv4Address) and int(one) == 0xFFFFFFFF
    return not (broadcast or one.is_unspecified or one.is_loopback or one.is_multicast or one.is_link_local)


def _is_link_local_multicast(ip: Ip) -> bool:
    one = ip.address
    if isinstance(one, ipaddress.IPv4Address):
        return one in ipaddress.ip_network("224.0.0.0/24")
    return one.is_multicast and (one.packed[1] & 0x0F) == 2


def _contains_ip(cidr: Cidr, ip: Ip | str) -> bool:
    one = _parse_ip(ip) if isinstance(ip, str) else ip
    return one.address in cidr.interface.network


def _contains_cidr(cidr: Cidr, other: Cidr | str) -> bool:
    one = _parse_cidr(other) if isinstance(other, str) else other
    inner, outer = one.interface.network, cidr.interface.network
    return inner.version == outer.version and inner.prefixlen >= outer.prefixlen and one.interface.ip in outer


_READING: Final = traversal()
OVERLOADS: Final = (
    Overload("ip", (STRING,), IP, _parse_ip, cost=_READING),
    Overload("isIP", (STRING,), BOOL, _is_ip, cost=_READING),
    Overload("ip.isCanonical", (STRING,), BOOL, lambda text: str(_parse_ip(text)) == text, cost=_READING),
    Overload("string", (IP,), STRING, str),
    member("family", (IP,), INT, lambda ip: ip.address.version),
    member("isUnspecified", (IP,), BOOL, lambda ip: ip.address.is_unspecified),
    member("isLoopback", (IP,), BOOL, lambda ip: ip.address.is_loopback),
    member("isLinkLocalMulticast", (IP,), BOOL, _is_link_local_multicast),
    member(
        "isLinkLocalUnicast", (IP,), BOOL, lambda ip: ip.address.is_link_local and not ip.address.is_multicast
    ),
    member("isGlobalUnicast", (IP,), BOOL, _is_global_unicast),
    Overload("cidr", (STRING,), CIDR, _parse_cidr, cost=_READING),
    Overload("isCIDR", (STRING,), BOOL, _is_cidr, cost=_READING),
    Overload("string", (CIDR,), STRING, str),
    member("containsIP", (CIDR, IP), BOOL, _contains_ip),
    member("containsIP", (CIDR, STRING), BOOL, _contains_ip),
    member("containsCIDR", (CIDR, CIDR), BOOL, _contains_cidr),
    member("containsCIDR", (CIDR, STRING), BOOL, _contains_cidr),
    member("ip", (CIDR,), IP, lambda cidr: Ip(cidr.interface.ip)),
    member("masked", (CIDR,), CIDR, lambda cidr: Cidr(ipaddress.ip_interface(str(cidr.interface.network)))),
    member("prefixLength", (CIDR,), INT, lambda cidr: cidr.interface.network.prefixlen),
)
