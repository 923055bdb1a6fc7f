"""What the ConfigMap `coredns-custom` of kube-system says, as far as it can be followed without CoreDNS: pure.

Two of its parts are understood, in the syntax of a Corefile, and everything else of it is named as a problem::

    example.server: |                        forward names below a zone to other name servers (stub domains)
      example.com {
          forward . 192.0.2.53 192.0.2.54:5353
      }
    any.override: |                          names of one's own, and name servers for all other names
      hosts {
          192.0.2.9 printer.example
          fallthrough
      }
      forward . 192.0.2.1

Source: K3s' documentation of coredns-custom; the plugins forward and hosts of CoreDNS (their documentation).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# They change nothing that a client sees, or are what k3py does anyway.
_WITHOUT_EFFECT: Final = frozenset(
    (
        "errors",
        "log",
        "cache",
        "loop",
        "reload",
        "loadbalance",
        "health",
        "ready",
        "prometheus",
        "whoami",
        "debug",
    )
)


@dataclass(slots=True)
class CustomNames:
    """zones: name servers ("192.0.2.53", "192.0.2.53:5353") by zone, "." = all other names. hosts: addresses by name, lower case.

    problems: what is not understood, for a log.
    """

    zones: dict[str, tuple[str, ...]] = field(default_factory=dict)
    hosts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def servers_for(self, name: str) -> tuple[str, ...]:
        """Return the name servers of the longest zone that a name (lower case, no final dot) is in, () = nobody in particular."""
        labels = name.split(".")
        for at in range(len(labels)):
            if servers := self.zones.get(".".join(labels[at:])):
                return servers
        return self.zones.get(".", ())


@dataclass(slots=True)
class _Directive:
    words: list[str]
    block: list[_Directive] = field(default_factory=list)


def read_custom(data: Mapping[str, str]) -> CustomNames:
    """Read the data of the ConfigMap; what is wrong in one of its files is a problem, and the others count."""
    found = CustomNames()
    for name, text in sorted(data.items()):
        if not name.endswith((".server", ".override")):
            continue
        try:
            directives = _parse(_words(text))
        except ValueError as error:
            found.problems.append(f"{name}: {error}")
            continue
        if name.endswith(".override"):
            _take(found, name, ["."], directives)
            continue
        for block in directives:
            zones = [word.strip(",") for word in block.words]
            _take(found, name, [_zone(word) for word in zones if word], block.block)
    return found


def _take(found: CustomNames, file: str, zones: Sequence[str], directives: Sequence[_Directive]) -> None:
    for one in directives:
        name, *words = one.words
        if name == "forward" and len(words) > 1:
            servers = tuple(word.removeprefix("dns://") for word in words[1:])
            wrong = [server for server in servers if not _is_server(server)]
            for zone in zones if words[0] == "." else [_zone(words[0])]:
                if wrong:
                    found.problems.append(f"{file}: forward to {', '.join(wrong)}")
                else:
                    found.zones[zone] = servers
        elif name == "hosts" and not words:
            _take_hosts(found, file, one.block)
        elif name not in _WITHOUT_EFFECT:
            found.problems.append(f"{file}: {' '.join(one.words)}")


def _take_hosts(found: CustomNames, file: str, lines: Sequence[_Directive]) -> None:
    for line in lines:
        address, *names = line.words
        try:
            text = str(ipaddress.ip_address(address))
        except ValueError:
            if address not in ("fallthrough", "ttl", "reload", "no_reverse"):
                found.problems.append(f"{file}: hosts: {' '.join(line.words)}")
            continue
        for name in names:
            lowered = name.lower().rstrip(".")
            found.hosts[lowered] = (*found.hosts.get(lowered, ()), text)


def _words(text: str) -> Iterator[list[str]]:
    """Yield the words of each line, without comments; braces are words."""
    for line in text.splitlines():
        words = line.partition("#")[0].replace("{", " { ").replace("}", " } ").split()
        if words:
            yield words


def _parse(lines: Iterator[list[str]]) -> list[_Directive]:
    """Return the directives of a file. Raises ValueError for braces that do not match."""
    stack: list[list[_Directive]] = [[]]
    for line in lines:
        words: list[str] = []
        for word in [*line, ""]:
            if word not in ("{", "}", ""):
                words.append(word)
                continue
            if words:
                stack[-1].append(_Directive(words))
            if word == "{":
                if not words:
                    raise ValueError("a block without a name")
                stack.append(stack[-1][-1].block)
            elif word == "}":
                if len(stack) == 1:
                    raise ValueError("a } without its {")
                stack.pop()
            words = []
    if len(stack) > 1:
        raise ValueError("a { without its }")
    return stack[0]


def _zone(word: str) -> str:
    """Return a zone's name: without scheme, port and final dot, lower case; "." is the root."""
    name = word.removeprefix("dns://").partition(":")[0].lower()
    return name.rstrip(".") or "."


def _is_server(text: str) -> bool:
    try:
        split_server(text)
    except ValueError:
        return False
    return True


def split_server(text: str, default_port: int = 53) -> tuple[str, int]:
    """Return address and port of "192.0.2.1", "192.0.2.1:5353", "2001:db8::1" or "[2001:db8::1]:53". Raises ValueError."""
    address, port = text, ""
    if text.startswith("["):
        address, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        address, _, port = text.partition(":")
    plain = address.partition("%")[0]
    return (address if plain != address else str(ipaddress.ip_address(address))), int(port or default_port)
