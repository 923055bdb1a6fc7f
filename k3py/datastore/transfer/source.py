"""Where keys come from: an open store at one revision, or a file (see `dump_file`, `kine_file`)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from k3py.datastore.errors import Compacted
from k3py.datastore.etcdapi.revision_offset import KEY as OFFSET_KEY
from k3py.datastore.mvcc.keyrange import UNBOUNDED
from k3py.datastore.transfer.errors import TransferError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from k3py.datastore.interface import Backend, KeyValue, LeaseId

PAGE_BYTES = 4 << 20
MOST_KEYS = 2_000
FIRST_KEYS = 100


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What is known before the first key: the kind of store, its revision, seconds that each lease has left."""

    driver: str
    revision: int
    leases: Mapping[int, int] = field(default_factory=dict)


class Source(Protocol):
    """Keys of a store in key order."""

    @property
    def info(self) -> SourceInfo:
        """See `SourceInfo`."""

    def pages(self) -> AsyncIterator[Sequence[KeyValue]]:
        """Read all keys, a few megabytes at a time. Raises TransferError or what the store raises."""


class _LeaseStatus(Protocol):
    @property
    def remaining_s(self) -> float: ...


@runtime_checkable
class _ListsLeases(Protocol):
    async def leases(self) -> Sequence[LeaseId]: ...

    async def lease_status(self, lease: LeaseId) -> _LeaseStatus | None: ...


async def read_backend(backend: Backend) -> BackendSource:
    """Return what `backend` holds now as a source; what is written later is not part of it."""
    revision = (await backend.range(b"\0", limit=1, keys_only=True)).revision
    leases: dict[int, int] = {}
    if isinstance(backend, _ListsLeases):
        for lease in await backend.leases():
            status = await backend.lease_status(lease)
            if status is not None:
                leases[lease] = math.ceil(status.remaining_s)  # never shorter than promised
    return BackendSource(backend, SourceInfo((await backend.status()).driver, revision, leases))


class BackendSource:
    """See `Source`; made by `read_backend`. The pages are those of one revision."""

    def __init__(self, backend: Backend, info: SourceInfo) -> None:
        self._backend = backend
        self.info = info

    async def pages(self) -> AsyncIterator[Sequence[KeyValue]]:
        """See `Source`. The number of keys of a page follows their size, so that memory stays bounded."""
        start, limit = b"\0", FIRST_KEYS
        while True:
            try:
                page = await self._backend.range(start, UNBOUNDED, limit=limit, revision=self.info.revision)
            except Compacted as error:
                raise TransferError(
                    f"revision {self.info.revision} was compacted while it was read: try again, with fewer writes going on"
                ) from error
            if page.kvs:
                # Not where this store's revisions begin: that is no content.
                yield tuple([kv for kv in page.kvs if kv.key != OFFSET_KEY])
                start = page.kvs[-1].key + b"\0"
            if not page.more:
                return
            size = sum(len(kv.key) + len(kv.value) for kv in page.kvs)
            limit = max(1, min(limit * 2, MOST_KEYS, PAGE_BYTES * len(page.kvs) // max(size, 1)))
