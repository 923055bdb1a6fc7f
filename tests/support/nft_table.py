"""A small interpreter of planned nftables rules: what would the kernel do with the first packet of a connection?

It knows the rules that the planner of network policies writes, and fails at any other.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from k3py.network.ruleset import Ruleset

_TERMS = (
    ("comment", re.compile(r'comment "[^"]*"')),
    ("state", re.compile(r"ct state established,related")),
    ("neighbour", re.compile(r"icmpv6 type \{ [a-z, -]+ \}")),
    ("family", re.compile(r"meta nfproto ipv([46])")),
    ("pair", re.compile(r"(ip6?) saddr \. ip6? daddr @(\S+)")),
    ("socket", re.compile(r"(ip6?) daddr \. meta l4proto \. th dport @(\S+)")),
    ("vmap", re.compile(r"(ip6?) ([sd]addr) vmap @(\S+)")),
    ("set", re.compile(r"(ip6?) ([sd]addr) @(\S+)")),
    ("networks", re.compile(r"(ip6?) ([sd]addr) (!= )?\{ ([^}]*) \}")),
    ("network", re.compile(r"(ip6?) ([sd]addr) (\S+/\d+)")),
    ("protocol", re.compile(r"meta l4proto (tcp|udp|sctp)")),
    ("ports", re.compile(r"th dport \{ ([^}]*) \}")),
    ("verdict", re.compile(r"(accept|reject|drop|(?:jump|goto) \S+)")),
)


@dataclass(frozen=True)
class Packet:
    """The first of a connection; protocol is "TCP", "UDP" or "SCTP"."""

    source: str
    destination: str
    protocol: str
    port: int

    @property
    def family(self) -> str:
        """Return "4" or "6"."""
        return "6" if ":" in self.source else "4"


def passes(rules: Ruleset, hook: str, packet: Packet) -> bool:
    """Say whether every base chain of a hook ("forward", "input") lets the packet go."""
    bases = [chain for name, chain in rules.chains.items() if f"hook {hook} " in chain.hook]
    return all(_walk(rules, chain.rules, packet) in ("accept", "") for chain in bases)


def _walk(rules: Ruleset, lines: tuple[str, ...], packet: Packet) -> str:
    for line in lines:
        verdict = _ask(rules, line, packet)
        kind, _, chain = verdict.partition(" ")
        if kind in ("jump", "goto"):
            verdict = _walk(rules, rules.chains[chain].rules, packet)
            if verdict or kind == "goto":
                return verdict
        elif verdict:
            return verdict
    return ""


def _ask(rules: Ruleset, line: str, packet: Packet) -> str:
    """Return a line's verdict, "" when the packet does not match."""
    verdict = ""
    while line:
        kind, found = next(((kind, found) for kind, pattern in _TERMS if (found := pattern.match(line))), ("", None))
        assert found is not None, f"unknown rule: {line}"
        line = line[found.end() :].lstrip()
        if kind == "verdict":
            verdict = found.group(1)
        elif kind == "vmap":
            _, side, name = found.groups()
            verdict = rules.elements[name].get(_address(packet, side), "") if _of_family(packet, found) else ""
        elif kind != "comment" and not _matches(rules, kind, found, packet):
            return ""
    return verdict


def _matches(rules: Ruleset, kind: str, found: re.Match[str], packet: Packet) -> bool:
    protocol = packet.protocol.lower()
    match kind:
        case "state" | "neighbour":
            return False
        case "family":
            return found.group(1) == packet.family
        case "protocol":
            return found.group(1) == protocol
        case "ports":
            spans = [one.partition("-") for one in found.group(1).split(", ")]
            return any(int(low) <= packet.port <= int(high or low) for low, _, high in spans)
    if not _of_family(packet, found):
        return False
    match kind:
        case "pair":
            return f"{packet.source} . {packet.destination}" in rules.elements[found.group(2)]
        case "socket":
            return f"{packet.destination} . {protocol} . {packet.port}" in rules.elements[found.group(2)]
        case "set":
            return _address(packet, found.group(2)) in rules.elements[found.group(3)]
        case "networks":
            negated, listed = found.group(3), found.group(4).split(", ")
            return _within(_address(packet, found.group(2)), listed) != bool(negated)
    return _within(_address(packet, found.group(2)), [found.group(3)])


def _of_family(packet: Packet, found: re.Match[str]) -> bool:
    return found.group(1) == ("ip6" if packet.family == "6" else "ip")


def _address(packet: Packet, side: str) -> str:
    return packet.source if side == "saddr" else packet.destination


def _within(address: str, networks: list[str]) -> bool:
    return any(ipaddress.ip_address(address) in ipaddress.ip_network(one) for one in networks)
