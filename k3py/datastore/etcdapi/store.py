"""What every RPC gets: the backend, who it says it is, and the forms in which rows go over the wire."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from k3py.datastore.interface import EventType
from k3py.wire.etcd_protobuf import encode_key_value
from k3py.wire.varint import VARINT, put_bytes, put_varint

if TYPE_CHECKING:
    from k3py.datastore.interface import Backend, Event, KeyValue
    from k3py.jsontypes import JsonObject

ETCD_VERSION: Final = "3.6.11"
"""What Maintenance.Status reports: API servers look here for what they may use (progress requests from 3.5.13 on)."""

_ENCODED_EVENTS: Final = 2_048
_RAFT_TERM: Final = 1


def _numbers(*fields: tuple[int, int]) -> bytes:
    """Encode numbers by field, zeros left out."""
    out = bytearray()
    for number, value in fields:
        if value:
            out.append(number << 3 | VARINT)
            put_varint(out, value)
    return bytes(out)


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7]) | 1


@dataclass(frozen=True, slots=True)
class Identity:
    """Who answers: a name and the URLs that clients are told; the numbers follow from them."""

    name: str = "k3py"
    client_urls: tuple[str, ...] = ()

    @property
    def cluster_id(self) -> int:
        """Return the number of the cluster, the same for every server."""
        return _number("k3py datastore")

    @property
    def member_id(self) -> int:
        """Return the number of this server; two servers at one database need different names or URLs."""
        return _number(" ".join((self.name, *self.client_urls)))


@dataclass(frozen=True, slots=True)
class Store:
    """A backend as the RPCs see it."""

    backend: Backend
    identity: Identity = Identity()
    _encoded: dict[tuple[int, bytes, bool], bytes] = field(default_factory=dict)
    _ids: list[bytes] = field(default_factory=list)

    def header(self, revision: int | None = None) -> bytes:
        """Return the encoded response header with `revision`, None: the current one."""
        if not self._ids:
            self._ids.append(_numbers((1, self.identity.cluster_id), (2, self.identity.member_id)))
        number = self.backend.current_revision if revision is None else revision
        return self._ids[0] + _numbers((3, number), (4, _RAFT_TERM))

    def event(self, event: Event, *, previous: bool) -> bytes:
        """Encode an event; all watchers share the bytes."""
        key = (event.kv.mod_revision, event.kv.key, previous)
        ready = self._encoded.get(key)
        if ready is None:
            out = bytearray()
            if event.type is EventType.DELETE:
                out += b"\x08\x01"
            put_bytes(out, 2, key_value(event.kv))
            if previous and event.previous is not None:
                put_bytes(out, 3, key_value(event.previous))
            if len(self._encoded) >= _ENCODED_EVENTS:
                self._encoded.clear()
            ready = self._encoded[key] = bytes(out)
        return ready


def key_value(kv: KeyValue, *, value: bool = True) -> bytes:
    """Encode a row."""
    return encode_key_value(
        kv.key,
        kv.value if value else b"",
        create_revision=kv.create_revision,
        mod_revision=kv.mod_revision,
        version=kv.version,
        lease=kv.lease,
    )


def bounds(request: JsonObject) -> tuple[bytes, bytes | None]:
    """Return the range that a request names."""
    return request["key"], request["range_end"] or None
