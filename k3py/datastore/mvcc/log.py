"""The seam between the multi-version core and a driver: a durable log of changes and the current state that follows from it.

`Backend` semantics (comparisons, revisions, watches, leases) live in this package once; a driver only keeps rows. All methods that
change something are called by one task at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from k3py.datastore.interface import Event, KeyValue, LeaseId, RangeResult, Revision

FIRST_REVISION = 1
"""Revision of an empty store; the first write gets the next one (etcd's numbering)."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease as it is stored; `granted_at_s` is wall clock, seconds since the epoch."""

    id: LeaseId
    ttl_s: int
    granted_at_s: float


@dataclass(frozen=True, slots=True)
class LogState:
    """What a driver knows at opening."""

    revision: Revision
    compact_revision: Revision
    leases: tuple[Lease, ...]


@dataclass(frozen=True, slots=True)
class LogPage:
    """Events of a range in order, complete up to and including `revision`."""

    events: tuple[Event, ...]
    revision: Revision


@dataclass(frozen=True, slots=True)
class LogSize:
    """Bytes on the disk (or in memory) and how many of them hold data."""

    total_bytes: int
    in_use_bytes: int


@dataclass(frozen=True, slots=True)
class Commit:
    """One group commit: everything or nothing becomes durable."""

    events: Sequence[Event]
    grants: Sequence[Lease] = ()
    revokes: Sequence[LeaseId] = ()

    @property
    def is_empty(self) -> bool:
        """Say whether there is nothing to write."""
        return not (self.events or self.grants or self.revokes)


class Log(Protocol):
    """Rows of a store.

    Raises (everywhere):
        Unavailable, NoSpace, Corrupt: as in `k3py.datastore.errors`.
    """

    async def load(self) -> LogState:
        """Read revisions and leases as they are durable now; also used to learn the outcome of a doubtful commit."""

    async def current(self, keys: Iterable[bytes]) -> Mapping[bytes, KeyValue]:
        """Return the newest version of each key that exists, as of the last commit."""

    async def lease_keys(self, lease: LeaseId) -> Sequence[bytes]:
        """Return the keys attached to `lease`, as of the last commit."""

    async def append(self, commit: Commit) -> None:
        """Make a group commit durable.

        Raises:
            NoSpace: nothing was written.
            Unavailable: the outcome is unknown; `load` tells.
        """

    async def range(
        self, start: bytes, end: bytes | None, *, limit: int, revision: int, count_only: bool, keys_only: bool
    ) -> RangeResult:
        """Read a range from one snapshot, at `revision` (0 = now), which the caller has checked."""

    async def events(self, start: bytes, end: bytes | None, *, after: Revision, limit: int) -> LogPage:
        """Read about `limit` changes of a range behind `after`, never half a revision, from one snapshot."""

    async def set_compact_revision(self, revision: Revision) -> None:
        """Make the compaction line durable; nothing is deleted yet."""

    async def purge(self, budget_s: float) -> bool:
        """Delete rows below the compaction line for about `budget_s` seconds; return whether more are left."""

    async def defragment(self, budget_s: float) -> bool:
        """Give free space back to the file system, for about `budget_s` where it can be done in parts; return whether more is left."""

    async def size(self) -> LogSize:
        """Return the space taken."""
