"""etcd's configuration file (pure). K3s' values where it has them; what is meant for small machines is marked.

etcd reads YAML; JSON is YAML. No secret is in it: only paths of keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson

from k3py.api.timestamps import parse_duration
from k3py.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from k3py.jsontypes import JsonObject, JsonValue
    from k3py.server.etcd.layout import EtcdLayout

_OWN: Final = frozenset(
    (
        "name",
        "data-dir",
        "wal-dir",
        "config-file",
        "force-new-cluster",
        "discovery",
        "auto-tls",
        "peer-auto-tls",
        "client-transport-security",
        "peer-transport-security",
        "log-outputs",
        "logger",
    )
)
_OWN_PARTS: Final = ("initial-", "listen-", "advertise-", "-file", "client-cert-auth")
ALONE: Final[JsonObject] = {"heartbeat-interval": 100, "election-timeout": 1000}
"""A single member waits for an election of its own at each start, and has nobody who could be too slow."""

AMONG_OTHERS: Final[JsonObject] = {"heartbeat-interval": 300, "election-timeout": 3000}
"""Longer than etcd's own, which slow disks exceed, and shorter than K3s' 5 s."""

_TEXTS: Final = frozenset(("auto-compaction-retention", "auto-compaction-mode"))
_FLAGS: Final = {"true": True, "false": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberSettings:
    """What one start of a member needs.

    name: of the member. address: under which other servers reach it. others: peer URLs by member name, of a cluster that it joins.
    joins: it joins a cluster that exists. alone: forget all other members (`--cluster-reset`). is_alone: it has always been the only one.
    arguments: of --etcd-arg, read.
    """

    layout: EtcdLayout
    name: str
    address: str
    version: tuple[int, int, int]
    others: Mapping[str, Sequence[str]]
    joins: bool = False
    alone: bool = False
    is_alone: bool = False
    expose_metrics: bool = False
    debug: bool = False
    arguments: JsonObject

    @property
    def peer_url(self) -> str:
        """Return where other members reach this one."""
        return f"https://{_host(self.address)}:{self.layout.ports.peer}"

    @property
    def client_url(self) -> str:
        """Return where clients on other servers reach this member."""
        return f"https://{_host(self.address)}:{self.layout.ports.client}"


def render(settings: MemberSettings) -> bytes:
    """Return the content of the configuration file."""
    ports, address = settings.layout.ports, _host(settings.address)
    hosts = list(dict.fromkeys(("127.0.0.1", address)))
    metrics = hosts if settings.expose_metrics else hosts[:1]
    members = [(settings.name, settings.peer_url)]
    members += [(name, url) for name, urls in settings.others.items() for url in urls]
    document: JsonObject = {
        "name": settings.name,
        "data-dir": str(settings.layout.folder),
        "listen-client-urls": ",".join(f"https://{host}:{ports.client}" for host in hosts),
        "advertise-client-urls": settings.client_url,
        "listen-peer-urls": ",".join(f"https://{host}:{ports.peer}" for host in hosts),
        "initial-advertise-peer-urls": settings.peer_url,
        "listen-metrics-urls": ",".join(f"http://{host}:{ports.metrics}" for host in metrics),
        "initial-cluster": ",".join(f"{name}={url}" for name, url in members),
        "initial-cluster-state": "existing" if settings.joins else "new",
        "client-transport-security": _transport(settings.layout.tls, "server"),
        "peer-transport-security": _transport(settings.layout.tls, "peer"),
        **(ALONE if settings.is_alone else AMONG_OTHERS),
        "pre-vote": True,  # a member that comes back does not call an election
        "snapshot-count": 10000,  # for small machines: etcd holds so many entries in memory (3.4 and 3.5 have 100,000)
        "max-wals": 2,  # for small disks: 64 MB each, 5 otherwise
        "max-snapshots": 2,
        "logger": "zap",
        "log-outputs": ["stderr"],
        # For flash memory: the log is synced at each write all the same, and the database follows from it after a crash.
        "backend-batch-interval": 2_000_000_000,
        "backend-batch-limit": 1000,
        "log-level": "info" if settings.debug else "warn",  # for quiet disks
        **_checks(settings.version),
        **settings.arguments,
    }
    if settings.alone:
        document["force-new-cluster"] = True
    return _dump(document)


def expect_others(content: bytes) -> bytes | None:
    """Return a configuration file with the timing of several members, None if it has no other than a single one's, or a human's."""
    document: JsonObject = orjson.loads(content)
    if any(document.get(name) != value for name, value in ALONE.items()):
        return None
    return _dump(document | AMONG_OTHERS)


def _dump(document: JsonObject) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _transport(tls: Path, role: str) -> JsonObject:
    leaf = "server-client" if role == "server" else "peer-server-client"
    return {
        "cert-file": str(tls / f"{leaf}.crt"),
        "key-file": str(tls / f"{leaf}.key"),
        "client-cert-auth": True,
        "trusted-ca-file": str(tls / f"{role}-ca.crt"),
    }


def _checks(version: tuple[int, int, int]) -> JsonObject:
    """Have a member compare its content with the others' before it serves; the flag's name changed with 3.6."""
    if version >= (3, 6, 0):
        return {"feature-gates": "InitialCorruptCheck=true", "watch-progress-notify-interval": 5_000_000_000}
    if version >= (3, 5, 0):
        return {
            "experimental-initial-corrupt-check": True,
            "experimental-watch-progress-notify-interval": 5_000_000_000,
        }
    return {"experimental-initial-corrupt-check": True}


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def read_arguments(given: Sequence[str]) -> JsonObject:
    """Return the values of --etcd-arg as etcd's configuration file wants them.

    Raises:
        ConfigError: one is not name=value, or one that k3py sets itself.
    """
    found: JsonObject = {}
    for argument in given:
        name, equals, value = argument.removeprefix("--").partition("=")
        if not name or not equals:
            raise ConfigError(f"--etcd-arg: {argument!r}: must be name=value, such as snapshot-count=5000")
        if name in _OWN or any(part in name for part in _OWN_PARTS):
            raise ConfigError(
                f"--etcd-arg: {name!r}: is set by k3py; must be another flag of etcd, such as heartbeat-interval"
            )
        found[name] = value if name in _TEXTS else _value(value)
    return found


def _value(text: str) -> JsonValue:
    """Return a flag, a number, a duration (etcd's files have nanoseconds) or the text."""
    if text in _FLAGS:
        return _FLAGS[text]
    if text.removeprefix("-").isdecimal():
        return int(text)
    try:
        return parse_duration(text)
    except ValueError:
        return text
