"""The content of one nftables table as a value: pure; made from nothing, or turned into another one by what differs.

The service proxy and the network policies plan such a value each, and `nft -f -` takes the text. A change touches only what differs, so
that it costs what changed, and what the kernel filled in itself (session affinity) survives.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Chain:
    """Rules of a chain; `hook` is its base-chain declaration, or ""."""

    rules: tuple[str, ...]
    hook: str = ""


@dataclass(slots=True)
class Ruleset:
    """Wanted content of a table.

    Attributes:
        chains: By name.
        sets: Declarations by name. Sets without an entry in `elements` are filled by the kernel.
        maps: Declarations of maps by name.
        elements: Name of a set or map → key → value; "" in sets.
    """

    chains: dict[str, Chain] = field(default_factory=dict)
    sets: dict[str, str] = field(default_factory=dict)
    maps: dict[str, str] = field(default_factory=dict)
    elements: dict[str, dict[str, str]] = field(default_factory=dict)


def render_full(table: str, ruleset: Ruleset) -> str:
    """Return nft input that replaces the whole table ("inet name"), whatever was there, in one transaction."""
    lines = [f"add table {table}", f"delete table {table}", f"add table {table}"]
    lines += _declare(table, ruleset)
    for name, chain in ruleset.chains.items():
        lines += [f"add rule {table} {name} {rule}" for rule in chain.rules]
    for name, elements in ruleset.elements.items():
        lines += render_elements(table, "add", name, elements)
    return join_lines(lines)


def render_change(table: str, old: Ruleset, new: Ruleset) -> tuple[str, str]:
    """Return nft input that turns `old` into `new`, and input that then removes what nothing refers to any more.

    They are two transactions, because the kernel refuses to delete a chain in the one that takes its last reference from a map.
    Both are "" when there is nothing to do.
    """
    added = Ruleset(
        chains={name: chain for name, chain in new.chains.items() if name not in old.chains},
        sets={name: text for name, text in new.sets.items() if name not in old.sets},
        maps={name: text for name, text in new.maps.items() if name not in old.maps},
    )
    lines = _declare(table, added)
    for name, chain in new.chains.items():
        if old.chains.get(name) != chain:
            if name in old.chains:
                lines.append(f"flush chain {table} {name}")
            lines += [f"add rule {table} {name} {rule}" for rule in chain.rules]
    for name, elements in new.elements.items():
        before = old.elements.get(name, {})
        if before is elements:
            continue
        gone = {key: value for key, value in before.items() if elements.get(key) != value}
        come = {key: value for key, value in elements.items() if before.get(key) != value}
        lines += render_elements(table, "delete", name, gone) + render_elements(table, "add", name, come)
    stale = [name for name in old.chains if name not in new.chains]
    lines += [f"flush chain {table} {name}" for name in stale]
    after = [f"delete chain {table} {name}" for name in stale]
    after += [f"delete set {table} {name}" for name in old.sets if name not in new.sets]
    after += [f"delete map {table} {name}" for name in old.maps if name not in new.maps]
    return join_lines(lines), join_lines(after)


def render_elements(table: str, verb: str, name: str, elements: Mapping[str, str]) -> list[str]:
    """Return the line that adds or deletes (`verb`) elements of a set or map; none for none."""
    if not elements:
        return []
    pairs = ", ".join(f"{key} : {value}" if value else key for key, value in elements.items())
    return [f"{verb} element {table} {name} {{ {pairs} }}"]


def list_networks(networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> str:
    """Return an anonymous set of networks, those that overlap merged (nft refuses them)."""
    known = list(networks)
    merged: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
    merged += ipaddress.collapse_addresses([one for one in known if isinstance(one, ipaddress.IPv4Network)])
    merged += ipaddress.collapse_addresses([one for one in known if isinstance(one, ipaddress.IPv6Network)])
    return f"{{ {', '.join(str(one) for one in merged)} }}"


def join_lines(lines: list[str]) -> str:
    """Return lines as nft input, "" for none."""
    return "\n".join(lines) + "\n" if lines else ""


def _declare(table: str, ruleset: Ruleset) -> list[str]:
    lines = [f"add map {table} {name} {{ {text}; }}" for name, text in ruleset.maps.items()]
    lines += [f"add set {table} {name} {{ {text}; }}" for name, text in ruleset.sets.items()]
    lines += [
        f"add chain {table} {name}" + (f" {{ {chain.hook} }}" if chain.hook else "")
        for name, chain in ruleset.chains.items()
    ]
    return lines
