"""What a write means: comparisons and operations on a view of the store that sees the writes queued before it.

Pure: no I/O and no awaits, so a group of writes is evaluated as one step. A failed evaluation leaves the view untouched.
Source: etcd server/etcdserver/txn, v3.6 (datastore.md §1.10, 109-111).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from operator import attrgetter
from typing import TYPE_CHECKING

from k3py.datastore.errors import FutureRevision, KeyNotFound, LeaseNotFound
from k3py.datastore.interface import (
    Compare,
    CompareResult,
    CompareTarget,
    DeleteOp,
    DeleteResult,
    Event,
    EventType,
    KeyValue,
    LeaseId,
    Op,
    OpResult,
    PutOp,
    PutResult,
    RangeOp,
    RangeResult,
    Revision,
    TxnOp,
    TxnResult,
)
from k3py.datastore.mvcc.keyrange import contains

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

Bounds = tuple[bytes, bytes | None]

_by_key = attrgetter("key")


class View:
    """The store as the next write of a group sees it: rows read before the group, overlaid by the group's own changes."""

    __slots__ = ("_base", "_overlay", "_ranges", "_revision", "attached_before", "historic")

    def __init__(self, base: Mapping[bytes, KeyValue], revision: Revision) -> None:
        self._base = base
        self._overlay: dict[bytes, KeyValue | None] = {}
        self._ranges: dict[Bounds, Sequence[KeyValue]] = {}
        self._revision = revision
        self.historic: dict[RangeOp, RangeResult | Exception] = {}
        self.attached_before: dict[LeaseId, Sequence[bytes]] = {}

    @property
    def revision(self) -> Revision:
        """Revision of the last change in the view."""
        return self._revision

    def add_range(self, bounds: Bounds, kvs: Sequence[KeyValue]) -> None:
        """Take in the rows of a range as they were before the group."""
        self._ranges[bounds] = kvs

    def get(self, key: bytes) -> KeyValue | None:
        """Return the newest version of a key that was read before, None if it does not exist."""
        if key in self._overlay:
            return self._overlay[key]
        return self._base.get(key)

    def scan(self, start: bytes, end: bytes | None) -> list[KeyValue]:
        """Return the newest versions in a range that was read before, in key order."""
        if end is None:
            found = self.get(start)
            return [] if found is None else [found]
        return overlaid(self._ranges[(start, end)], self._overlay, start, end)

    def attached(self, lease: LeaseId) -> list[bytes]:
        """Return the keys of a lease that was read before, in order."""
        keys = {key for key in self.attached_before[lease] if key not in self._overlay}
        keys.update(key for key, kv in self._overlay.items() if kv is not None and kv.lease == lease)
        return sorted(keys)

    def apply(self, events: Sequence[Event]) -> None:
        """Take in the changes of one evaluated write."""
        for event in events:
            self._overlay[event.kv.key] = event.kv if event.type is EventType.PUT else None
        if events:
            self._revision = events[-1].kv.mod_revision


def overlaid(
    base: Sequence[KeyValue], overlay: Mapping[bytes, KeyValue | None], start: bytes, end: bytes | None
) -> list[KeyValue]:
    """Return `base`, sorted rows of a range, with the changes of `overlay` that fall into the range."""
    rows = list(base)
    for key, kv in overlay.items():
        if not contains(start, end, key):
            continue
        at = bisect_left(rows, key, key=_by_key)
        if at < len(rows) and rows[at].key == key:
            del rows[at]
        if kv is not None:
            insort(rows, kv, key=_by_key)
    return rows


class _Changes:
    """Changes of the write under evaluation, on top of the view."""

    __slots__ = ("_leases", "events", "overlay", "revision", "view")

    def __init__(self, view: View, leases: Container[LeaseId]) -> None:
        self.view = view
        self.revision = Revision(view.revision + 1)
        self.events: list[Event] = []
        self.overlay: dict[bytes, KeyValue | None] = {}
        self._leases = leases

    def scan(self, start: bytes, end: bytes | None) -> list[KeyValue]:
        return overlaid(self.view.scan(start, end), self.overlay, start, end)

    def put(self, key: bytes, value: bytes, lease: LeaseId) -> KeyValue | None:
        if key in self.overlay:
            raise ValueError("duplicate key given in txn request")
        if lease and lease not in self._leases:
            raise LeaseNotFound("requested lease not found")
        previous = self.view.get(key)
        if previous is None:
            kv = KeyValue(key, value, self.revision, self.revision, 1, lease)
        else:
            kv = KeyValue(key, value, previous.create_revision, self.revision, previous.version + 1, lease)
        self.overlay[key] = kv
        self.events.append(Event(EventType.PUT, kv, previous))
        return previous

    def delete(self, previous: KeyValue) -> None:
        key = previous.key
        if key in self.overlay:
            raise ValueError("duplicate key given in txn request")
        self.overlay[key] = None
        kv = KeyValue(key, b"", Revision(0), self.revision, 0)
        self.events.append(Event(EventType.DELETE, kv, previous))


def evaluate_txn(
    view: View,
    compares: Sequence[Compare],
    success: Sequence[Op],
    failure: Sequence[Op],
    leases: Container[LeaseId],
) -> tuple[TxnResult, list[Event]]:
    """Evaluate a transaction.

    Raises:
        Compacted, FutureRevision: of a RangeOp at a revision that cannot be read.
        LeaseNotFound: a PutOp names an unknown lease.
        ValueError: a key is changed twice.
    """
    changes = _Changes(view, leases)
    result = _transact(changes, compares, success, failure)
    return result, changes.events


def _transact(
    changes: _Changes, compares: Sequence[Compare], success: Sequence[Op], failure: Sequence[Op]
) -> TxnResult:
    # The view is the store before the outermost transaction, also for the compares of an inner one.
    succeeded = all(_holds(changes.view, compare) for compare in compares)
    results = tuple([_do(changes, op) for op in (success if succeeded else failure)])
    revision = changes.revision if changes.events else changes.view.revision
    return TxnResult(succeeded, results, revision)


def evaluate_create(
    view: View, key: bytes, value: bytes, lease: LeaseId, leases: Container[LeaseId]
) -> tuple[Revision | None, list[Event]]:
    """Evaluate a write of a key that must not exist; no revision if it does."""
    if view.get(key) is not None:
        return None, []
    changes = _Changes(view, leases)
    changes.put(key, value, lease)
    return changes.revision, changes.events


def evaluate_update(
    view: View, kv: tuple[bytes, bytes, LeaseId], expected: Revision, leases: Container[LeaseId]
) -> tuple[tuple[Revision | None, KeyValue | None], list[Event]]:
    """Evaluate a write of (key, value, lease) whose mod_revision must be `expected` (0: must not exist)."""
    key, value, lease = kv
    found = view.get(key)
    if (0 if found is None else found.mod_revision) != expected:
        return (None, found), []
    changes = _Changes(view, leases)
    changes.put(key, value, lease)
    return (changes.revision, None), changes.events


def evaluate_delete(
    view: View, key: bytes, expected: Revision
) -> tuple[tuple[Revision | None, KeyValue | None], list[Event]]:
    """Evaluate the delete of a key whose mod_revision must be `expected`."""
    found = view.get(key)
    if found is None or found.mod_revision != expected:
        return (None, found), []
    changes = _Changes(view, ())
    changes.delete(found)
    return (changes.revision, found), changes.events


def evaluate_revoke(view: View, lease: LeaseId) -> tuple[None, list[Event]]:
    """Evaluate the end of a lease: all its keys go in one revision, in key order."""
    changes = _Changes(view, ())
    for key in view.attached(lease):
        found = view.get(key)
        if found is not None and found.lease == lease:
            changes.delete(found)
    return None, changes.events


def _do(changes: _Changes, op: Op) -> OpResult:
    if isinstance(op, TxnOp):
        return _transact(changes, op.compares, op.success, op.failure)
    if isinstance(op, PutOp):
        value, lease = op.value, op.lease
        if op.ignore_value or op.ignore_lease:
            kept = changes.view.get(op.key)
            if kept is None:
                raise KeyNotFound("key not found")
            value = kept.value if op.ignore_value else value
            lease = kept.lease if op.ignore_lease else lease
        return PutResult(changes.put(op.key, value, lease))
    if isinstance(op, DeleteOp):
        rows = changes.scan(op.key, op.end)
        for row in rows:
            changes.delete(row)
        return DeleteResult(tuple(rows))
    if op.revision:
        historic = changes.view.historic.get(op)
        if historic is None:
            raise FutureRevision(changes.view.revision)
        if isinstance(historic, Exception):
            raise historic
        return historic
    rows = changes.scan(op.key, op.end)
    revision = changes.revision if changes.events else changes.view.revision
    return shaped(rows, op, revision)


def shaped(rows: Sequence[KeyValue], op: RangeOp, revision: Revision) -> RangeResult:
    """Cut and strip `rows`, all of the range of `op`, as the operation asks."""
    if op.count_only:
        return RangeResult((), len(rows), revision)
    kept = rows[: op.limit] if op.limit else rows
    if op.keys_only:
        kept = [without_value(row) for row in kept]
    return RangeResult(tuple(kept), len(rows), revision)


def without_value(kv: KeyValue) -> KeyValue:
    """Return the row with an empty value."""
    return KeyValue(kv.key, b"", kv.create_revision, kv.mod_revision, kv.version, kv.lease)


def _holds(view: View, compare: Compare) -> bool:
    rows: Sequence[KeyValue | None] = view.scan(compare.key, compare.end) or (None,)
    return all(_row_holds(row, compare) for row in rows)


_targets: Mapping[CompareTarget, Callable[[KeyValue], int]] = {
    CompareTarget.VERSION: attrgetter("version"),
    CompareTarget.CREATE: attrgetter("create_revision"),
    CompareTarget.MOD: attrgetter("mod_revision"),
    CompareTarget.LEASE: attrgetter("lease"),
}


def _row_holds(row: KeyValue | None, compare: Compare) -> bool:
    operand = compare.operand
    if compare.target is CompareTarget.VALUE:
        if row is None:
            return False
        if not isinstance(operand, bytes):
            raise TypeError("operand of a VALUE comparison must be bytes")
        order = (row.value > operand) - (row.value < operand)
    else:
        if not isinstance(operand, int):
            raise TypeError("operand must be a number")
        actual = 0 if row is None else _targets[compare.target](row)
        order = (actual > operand) - (actual < operand)
    if compare.result is CompareResult.EQUAL:
        return order == 0
    if compare.result is CompareResult.NOT_EQUAL:
        return order != 0
    return order > 0 if compare.result is CompareResult.GREATER else order < 0
