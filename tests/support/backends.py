"""Short names for what tests of the seam `Backend` do again and again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from k3py.datastore.interface import NO_LEASE, Compare, CompareResult, CompareTarget, PutOp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from k3py.datastore.interface import Backend, Event, LeaseId, Revision, WatchBatch

DRIVERS: Final = ("memory", "sqlite", "etcd-memory", "etcd-sqlite", "etcd", "postgres", "mysql")
"""etcd-…: the driver etcd at k3py's own etcd face over that store; etcd: at a real one, if it is installed; postgres, mysql: on servers that
the tests start."""

ALL: Final = (b"\0", b"\0")
"""The range of all keys."""


def mod_is(key: bytes, revision: int) -> Compare:
    """Return the condition that a key was changed last at a revision (0: it does not exist)."""
    return Compare(key, CompareTarget.MOD, CompareResult.EQUAL, revision)


async def put(backend: Backend, key: bytes, value: bytes, lease: LeaseId = NO_LEASE) -> Revision:
    """Write a key, whatever is there; return the revision."""
    return (await backend.txn((), (PutOp(key, value, lease),))).revision


async def events_of(watch: AsyncIterator[WatchBatch], count: int) -> list[Event]:
    """Wait for at least `count` events."""
    found: list[Event] = []
    while len(found) < count:
        batch = await asyncio.wait_for(anext(watch), 30)
        found.extend(batch.events)
    return found


async def keys_of(backend: Backend, start: bytes, end: bytes | None = None, **options: Any) -> list[bytes]:
    """Return the keys of a range."""
    return [kv.key for kv in (await backend.range(start, end, **options)).kvs]


async def purged(backend: Backend) -> None:
    """Wait until the space of compacted revisions is free: the compactor has nothing left to do."""
    purge = getattr(backend, "_purge", None)
    while purge is not None and await purge(0.01):
        pass
