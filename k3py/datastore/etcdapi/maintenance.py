"""The Maintenance service. Source: etcd server/etcdserver/api/v3rpc/maintenance.go, v3.6 (datastore.md §2.2)."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from grpclib.const import Status

from k3py.datastore.etcdapi.conditions import refusal
from k3py.datastore.etcdapi.store import ETCD_VERSION, key_value

if TYPE_CHECKING:
    from k3py.datastore.etcdapi.store import Store
    from k3py.jsontypes import JsonObject

_PAGE_ROWS: Final = 500
_UNBOUNDED: Final = b"\0"


async def status(store: Store, request: JsonObject) -> JsonObject:
    """Answer Status. Sizes are never zero: etcdctl divides by them."""
    figures = await store.backend.status()
    size_bytes = max(1, figures.size_bytes)
    header = store.header(figures.revision)
    return {
        "header": header,
        "version": ETCD_VERSION,
        "storageVersion": ".".join(ETCD_VERSION.split(".")[:2]) + ".0",
        "dbSize": size_bytes,
        "dbSizeInUse": max(1, min(size_bytes, figures.size_in_use_bytes)),
        "leader": store.identity.member_id,
        "raftIndex": figures.revision,
        "raftAppliedIndex": figures.revision,
        "raftTerm": 1,
    }


async def alarm(store: Store, request: JsonObject) -> JsonObject:
    """Answer Alarm: there never is one, a full disk is told at each write and ends by itself."""
    if request["action"] == "ACTIVATE":
        raise refusal("alarms cannot be raised by clients", Status.UNIMPLEMENTED)
    return {"header": store.header(), "alarms": []}


async def defragment(store: Store, request: JsonObject) -> JsonObject:
    """Answer Defragment."""
    await store.backend.defragment()
    return {"header": store.header()}


async def hash_kv(store: Store, request: JsonObject) -> JsonObject:
    """Answer HashKV: equal for two stores that hold the same rows at a revision, whatever their drivers."""
    revision = request["revision"] or store.backend.current_revision
    return {
        "header": store.header(),
        "hash": await _hash(store, revision),
        "compact_revision": (await store.backend.status()).compact_revision,
        "hash_revision": revision,
    }


async def hash_all(store: Store, request: JsonObject) -> JsonObject:
    """Answer Hash, the older form of HashKV."""
    return {"header": store.header(), "hash": await _hash(store, store.backend.current_revision)}


async def _hash(store: Store, revision: int) -> int:
    start, digest = _UNBOUNDED, 0
    while True:
        page = await store.backend.range(start, _UNBOUNDED, limit=_PAGE_ROWS, revision=revision)
        for kv in page.kvs:
            digest = zlib.crc32(key_value(kv), digest)
        if not page.more:
            return digest
        start = page.kvs[-1].key + b"\0"
