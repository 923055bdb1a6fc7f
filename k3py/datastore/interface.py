"""The seam `Backend`: etcd semantics over bytes, for everybody who stores something.

Revisions are dense and never reused; an empty store is at 1, its first write gets 2 (ARCHITECTURE §1.6). Keys are bytes, compared bytewise; a range is
[start, end), `end=None` means the single key `start`, `end` of one zero byte: everything from start. Numbers in brackets in tests refer to
spec/datastore.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, NewType, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

Revision = NewType("Revision", int)
LeaseId = NewType("LeaseId", int)

NO_LEASE = LeaseId(0)
"""A key without a lease lives until it is deleted."""


@dataclass(frozen=True, slots=True)
class KeyValue:
    """A key at a revision; a deleted one has version 0 and an empty value."""

    key: bytes
    value: bytes
    create_revision: Revision
    mod_revision: Revision
    version: int
    lease: LeaseId = NO_LEASE


class EventType(Enum):
    """What happened to a key."""

    PUT = 0
    DELETE = 1


@dataclass(frozen=True, slots=True)
class Event:
    """A change; `previous` is None only when the key was created, also when the watcher did not ask for it."""

    type: EventType
    kv: KeyValue
    previous: KeyValue | None = None


@dataclass(frozen=True, slots=True)
class RangeResult:
    """Answer of a read: `revision` is the store's current one, from the same snapshot as the rows; `count` all keys in range."""

    kvs: tuple[KeyValue, ...]
    count: int
    revision: Revision

    @property
    def more(self) -> bool:
        """Say whether `limit` cut the answer."""
        return self.count > len(self.kvs)


class CompareTarget(Enum):
    """What a comparison looks at (etcd's numbers)."""

    VERSION = 0
    CREATE = 1
    MOD = 2
    VALUE = 3
    LEASE = 4


class CompareResult(Enum):
    """How it compares (etcd's numbers)."""

    EQUAL = 0
    GREATER = 1
    LESS = 2
    NOT_EQUAL = 3


@dataclass(frozen=True, slots=True)
class Compare:
    """One condition of a transaction, on a key or, with `end`, on each key of a range."""

    key: bytes
    target: CompareTarget
    result: CompareResult
    operand: int | bytes
    end: bytes | None = None


@dataclass(frozen=True, slots=True)
class RangeOp:
    """A read inside a transaction."""

    key: bytes
    end: bytes | None = None
    limit: int = 0
    revision: int = 0
    count_only: bool = False
    keys_only: bool = False


@dataclass(frozen=True, slots=True)
class PutOp:
    """A write inside a transaction; with `ignore_value` or `ignore_lease` the key must exist and keeps what it has."""

    key: bytes
    value: bytes
    lease: LeaseId = NO_LEASE
    ignore_value: bool = False
    ignore_lease: bool = False


@dataclass(frozen=True, slots=True)
class DeleteOp:
    """A delete of a key or range inside a transaction."""

    key: bytes
    end: bytes | None = None


@dataclass(frozen=True, slots=True)
class TxnOp:
    """A transaction inside a transaction; its compares look at the store as it was before the outermost one."""

    compares: tuple[Compare, ...]
    success: tuple[Op, ...]
    failure: tuple[Op, ...] = ()


@dataclass(frozen=True, slots=True)
class PutResult:
    """What a PutOp replaced."""

    previous: KeyValue | None


@dataclass(frozen=True, slots=True)
class DeleteResult:
    """What a DeleteOp removed."""

    previous: tuple[KeyValue, ...]


@dataclass(frozen=True, slots=True)
class TxnResult:
    """Answer of a transaction; `revision` is that of its writes, or the current one when it wrote nothing."""

    succeeded: bool
    results: tuple[OpResult, ...]
    revision: Revision


Op = RangeOp | PutOp | DeleteOp | TxnOp
OpResult = RangeResult | PutResult | DeleteResult | TxnResult


@dataclass(frozen=True, slots=True)
class LeaseStatus:
    """A living lease: for how long it was granted and how long it still lives (seconds; of an etcd up to one more), its keys in order."""

    id: LeaseId
    granted_ttl_s: int
    remaining_s: float
    keys: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class WatchBatch:
    """Events in revision order, never half a revision; no events = progress: all up to `revision` was delivered."""

    events: tuple[Event, ...]
    revision: Revision


NO_REVISION: Final = Revision(0)
"""Below the first one, 1."""


class Watch(Protocol):
    """An open watch: an async iterator of batches for one consumer."""

    def __aiter__(self) -> AsyncIterator[WatchBatch]:
        """Return the iterator itself."""

    async def __anext__(self) -> WatchBatch:
        """Wait for the next batch (see `Backend.watch` for what it raises)."""

    def request_progress(self, at_least: Revision = NO_REVISION) -> None:
        """Have the iterator give a batch at once, without events if there are none, as soon as the watch has caught up.

        Its `revision` is at least the store's `current_revision` at the time of the call, and at least `at_least`, which may be one that the
        store learns of later (as `latest_revision` of a shared store). Without a call an idle watch stays silent.
        """


@dataclass(frozen=True, slots=True)
class BackendStatus:
    """Figures for status and metrics; sizes in bytes."""

    driver: str
    revision: Revision
    compact_revision: Revision
    size_bytes: int
    size_in_use_bytes: int


class Backend(Protocol):
    """An open store; made by `k3py.datastore.factory.open_backend`, an async context manager that closes it."""

    @property
    def current_revision(self) -> Revision:
        """The last committed revision that this process knows (always exact with a single writer)."""

    async def latest_revision(self) -> Revision:
        """Return the last revision committed by anybody before this call; no read of the database with a single writer.

        Raises:
            Unavailable: the database does not answer.
        """

    async def range(
        self,
        start: bytes,
        end: bytes | None = None,
        *,
        limit: int = 0,
        revision: int = 0,
        count_only: bool = False,
        keys_only: bool = False,
    ) -> RangeResult:
        """Read a key or range in key order, at `revision` (0 = now).

        Raises:
            Compacted, FutureRevision: `revision` cannot be read.
            Unavailable: the database does not answer.
        """

    async def txn(
        self, compares: Sequence[Compare], success: Sequence[Op], failure: Sequence[Op] = ()
    ) -> TxnResult:
        """Evaluate all compares and do one of the branches, atomically; durable when it returns.

        Raises:
            Unavailable: not done, or outcome unknown and not resolvable (never reported as `succeeded=False`).
            NoSpace: not done.
            LeaseNotFound: a PutOp names an unknown lease.
            KeyNotFound: a PutOp ignores value or lease of a key that does not exist.
        """

    async def create(self, key: bytes, value: bytes, *, lease: LeaseId = NO_LEASE) -> Revision | None:
        """Write `key` if it does not exist; return its revision, or None if it exists (etcd: MOD == 0 then Put)."""

    async def update(
        self,
        key: bytes,
        value: bytes,
        *,
        expected: Revision,
        lease: LeaseId = NO_LEASE,
    ) -> tuple[Revision | None, KeyValue | None]:
        """Write `key` if its mod_revision is `expected`; return (revision, None), or (None, what is there now)."""

    async def delete(self, key: bytes, *, expected: Revision) -> tuple[Revision | None, KeyValue | None]:
        """Delete `key` if its mod_revision is `expected`; return (revision, the deleted one), or (None, what is there)."""

    def watch(
        self, start: bytes, end: bytes | None = None, *, after: Revision
    ) -> AbstractAsyncContextManager[Watch]:
        """Follow a range from the event behind revision `after` on, each event once and in order.

        A watcher that falls behind catches up from the log; it never slows others. The iterator raises Compacted when the log no
        longer reaches back to where it is, and Unavailable when the store closes.
        """

    def on_compacted(self, note: Callable[[int], Awaitable[None]]) -> None:
        """Have `note(current revision)` called after each compaction that the store does by itself."""

    def compact_by_itself(self, *, whether: bool) -> None:
        """Have the store compact what is older than its history, as it does unless told otherwise, or leave that to another server of the store."""

    async def compact(self, revision: Revision, *, physical: bool = False) -> None:
        """Forget revisions below `revision` for readers at once; the space is freed in slices afterwards.

        Args:
            revision: the first one that stays readable.
            physical: return only when the space is free.

        Raises:
            Compacted, FutureRevision: out of range.
        """

    async def defragment(self) -> None:
        """Give space that holds nothing back to the file system; returns when that is done.

        SQLite and MySQL go on meanwhile; PostgreSQL holds up everybody for as long as it rewrites its tables, an etcd its members one
        after the other.

        Raises:
            Unavailable, NoSpace: it could not be done, or not for all of it.
        """

    async def grant_lease(self, ttl_s: int, *, lease: LeaseId = NO_LEASE) -> LeaseId:
        """Make a lease whose keys are deleted when `ttl_s` seconds are over; survives restarts, never ends early.

        Args:
            ttl_s: time to live, seconds; an etcd makes very short ones longer.
            lease: a number of the caller's choice; NO_LEASE: any.

        Raises:
            ValueError: `ttl_s` is out of range.
            LeaseExists: `lease` is in use.
        """

    async def keep_alive(self, lease: LeaseId) -> int:
        """Have a lease live for its whole time again, from now on; return that time, seconds. Raises LeaseNotFound."""

    async def lease_status(self, lease: LeaseId) -> LeaseStatus | None:
        """Return how a lease stands, None if it does not exist."""

    async def leases(self) -> tuple[LeaseId, ...]:
        """Return all living leases, in order."""

    async def revoke_lease(self, lease: LeaseId) -> None:
        """End a lease and delete its keys. Raises LeaseNotFound."""

    async def status(self) -> BackendStatus:
        """Return sizes and revisions."""
