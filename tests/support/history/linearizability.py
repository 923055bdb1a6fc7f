"""Whether a history of concurrent operations could have happened one after another, each between its call and its return.

`check_values` looks at values only and trusts nothing that the store says about its order: the search of Wing and Gong with Lowe's
memory of visited states, for each key by itself (which is enough: a history is linearizable if that of each object is; Herlihy and
Wing, 1990). `check_revisions` takes the store's own order, its revisions, as the witness, and so also covers reads and writes of
several keys, which must be of one moment.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from tests.support.history.operation import NEVER, READ, UNCONDITIONAL, Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from k3py.datastore.interface import Event
    from tests.support.history.operation import Operation

_CALL: Final = 0
_RETURN: Final = 1


class NotLinearizable(AssertionError):
    """The history contradicts itself; says where."""


def check_values(history: Sequence[Operation]) -> None:
    """Raise NotLinearizable if no order of the operations on some key explains what they saw."""
    for key in sorted({key for operation in history for key in operation.keys}):
        mine = [operation for operation in history if key in operation.keys]
        if (stuck := _search(mine, key)) is not None:
            raise NotLinearizable(
                f"no order explains the operations on {key!r}; the last that fits none: {stuck}"
            )


@dataclass(slots=True, eq=False)
class _Entry:
    """A call or a return in a list ordered by time."""

    operation: Operation
    number: int
    kind: int
    match: _Entry | None = None
    before: _Entry | None = None
    after: _Entry | None = None

    def remove(self) -> None:
        if self.before is not None:
            self.before.after = self.after
        if self.after is not None:
            self.after.before = self.before

    def put_back(self) -> None:
        if self.before is not None:
            self.before.after = self
        if self.after is not None:
            self.after.before = self


def _search(operations: Sequence[Operation], key: bytes) -> Operation | None:
    """Return None if there is an order, else the operation whose return could be passed in none."""
    head = _linked(operations)
    state: Value = None
    done, taken, visited = 0, list[tuple[_Entry, Value]](), set[tuple[int, Value]]()
    entry = head.after
    while head.after is not None:
        if entry is None:
            raise RuntimeError("a return is missing")
        if entry.kind == _CALL:
            fits, then = _step(state, entry.operation, key)
            if fits and (done | 1 << entry.number, then) not in visited:
                done |= 1 << entry.number
                visited.add((done, then))
                taken.append((entry, state))
                state = then
                entry.remove()
                if entry.match is not None:
                    entry.match.remove()
                entry = head.after
            else:
                entry = entry.after
        elif not taken:
            return entry.operation
        else:
            entry, state = taken.pop()
            done &= ~(1 << entry.number)
            if entry.match is not None:
                entry.match.put_back()
            entry.put_back()
            entry = entry.after
    return None


def _linked(operations: Sequence[Operation]) -> _Entry:
    entries: list[tuple[int, int, _Entry]] = []
    for number, operation in enumerate(operations):
        call, end = _Entry(operation, number, _CALL), _Entry(operation, number, _RETURN)
        call.match = end
        entries += [(operation.called_ns, _CALL, call), (operation.returned_ns, _RETURN, end)]
    entries.sort(key=lambda one: one[:2])
    head = last = _Entry(operations[0], -1, _RETURN)
    for *_, entry in entries:
        last.after, entry.before = entry, last
        last = entry
    return head


def _step(state: Value, operation: Operation, key: bytes) -> tuple[bool, Value]:
    """Say whether an operation fits to `state` of `key`, and the state behind it.

    A write whose outcome is not known returns never: to be taken last of all, where nobody sees it, is not to have happened.
    """
    if operation.kind == READ:
        return state == operation.seen[key], state
    expected = operation.expected.get(key, UNCONDITIONAL)
    holds = expected in (UNCONDITIONAL, state)
    if operation.succeeded is None:
        return True, operation.changes[key] if holds else state
    if operation.succeeded:
        return holds, operation.changes[key]
    return not holds and operation.seen.get(key, state) == state, state


def check_revisions(history: Sequence[Operation], events: Sequence[Event]) -> None:
    """Raise NotLinearizable if an operation contradicts the log of all `events`, or the order of revisions that of time."""
    log = _Log(events)
    owners = _owners(history, log)
    returned = sorted(
        (one.returned_ns, one.revision) for one in history if one.revision and one.returned_ns < NEVER
    )
    times, newest = [time_ns for time_ns, _ in returned], list[int]()
    for _, revision in returned:
        newest.append(max(revision, newest[-1] if newest else 0))
    called = _latest_calls(owners)
    for operation in history:
        before = bisect_left(times, operation.called_ns)
        floor = newest[before - 1] if before else 0
        _check_one(operation, log, floor, called)


class _Log:
    """States by revision, and the changes of each revision."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.changes: dict[int, dict[bytes, Value]] = {}
        for event in events:
            put = event.type.name == "PUT"
            self.changes.setdefault(event.kv.mod_revision, {})[event.kv.key] = event.kv.value if put else None
        self.states: dict[int, Mapping[bytes, Value]] = {1: {}}
        state: dict[bytes, Value] = {}
        for revision, changes in sorted(self.changes.items()):
            state = {**state, **changes}
            self.states[revision] = state

    def value(self, revision: int, key: bytes) -> Value:
        if revision not in self.states:
            raise NotLinearizable(f"revision {revision} was told, and is in no event")
        return self.states[revision].get(key)


def _owners(history: Sequence[Operation], log: _Log) -> dict[int, Operation]:
    """Return whose change each revision is."""
    owners: dict[int, Operation] = {}
    for operation in history:
        if operation.kind == READ or not operation.succeeded or operation.revision is None:
            continue
        if operation.revision in owners:
            raise NotLinearizable(f"two writes got revision {operation.revision}: {operation}")
        owners[operation.revision] = operation
        happened = log.changes.get(operation.revision, {})
        unchanged = {
            key for key in operation.changes if log.states.get(operation.revision - 1, {}).get(key) is None
        }
        wanted = {k: v for k, v in operation.changes.items() if v is not None or k not in unchanged}
        if happened != wanted:
            raise NotLinearizable(f"acknowledged, but its revision changed {happened}: {operation}")
    lost = sorted((one for one in history if one.succeeded is None), key=lambda one: one.called_ns)
    for revision, changes in sorted(log.changes.items()):
        if revision in owners:
            continue
        # Of several that fit the first that was called: nothing that follows from it can be wrong.
        found = next((one for one in lost if _fits(one, changes, log.states[revision - 1])), None)
        if found is None:
            raise NotLinearizable(f"nobody wrote revision {revision}: {changes}")
        lost.remove(found)
        owners[revision] = found
    return owners


def _fits(operation: Operation, changes: Mapping[bytes, Value], before: Mapping[bytes, Value]) -> bool:
    holds = all(before.get(key) == value for key, value in operation.expected.items())
    return holds and changes.items() <= operation.changes.items()


def resolved(history: Sequence[Operation], events: Sequence[Event]) -> list[Operation]:
    """Return the history without the writes that never happened, and those of unknown outcome that did as successes.

    Such a write returned at the latest when somebody was told its revision or a later one. Without this the search has to try each of them
    at each place.
    """
    owners = _owners(history, _Log(events))
    told = sorted(
        ((one.revision, one.returned_ns) for one in history if one.revision and one.succeeded is not None),
        reverse=True,
    )
    happened: dict[int, Operation] = {}
    earliest = NEVER
    for revision in sorted(owners, reverse=True):
        while told and told[0][0] >= revision:
            earliest = min(earliest, told.pop(0)[1])
        if owners[revision].succeeded is None:
            happened[id(owners[revision])] = replace(
                owners[revision], succeeded=True, revision=revision, returned_ns=earliest
            )
    return [happened.get(id(one), one) for one in history if one.succeeded is not None or id(one) in happened]


def _latest_calls(owners: Mapping[int, Operation]) -> dict[int, int]:
    """Return for each revision when the last of the writes up to it was called: who sees it cannot have returned earlier."""
    latest, calls = 0, {1: 0}
    for revision in sorted(owners):
        latest = calls[revision] = max(latest, owners[revision].called_ns)
    return calls


def _check_one(operation: Operation, log: _Log, floor: int, called: Mapping[int, int]) -> None:
    revision = operation.revision
    if revision is None:
        return
    if operation.returned_ns < called.get(revision, 0):
        raise NotLinearizable(f"saw a write that was still to come: {operation}")
    if operation.kind == READ:
        if revision < floor:
            raise NotLinearizable(f"read the past, revision {floor} was told before: {operation}")
        for key, value in operation.seen.items():
            if log.value(revision, key) != value:
                raise NotLinearizable(
                    f"saw {value!r} in {key!r}, which was {log.value(revision, key)!r} then: {operation}"
                )
        return
    if revision <= floor:
        raise NotLinearizable(f"wrote into the past, revision {floor} was told before: {operation}")
    for key, expected in operation.expected.items():
        if expected != UNCONDITIONAL and log.value(revision - 1, key) != expected:
            raise NotLinearizable(
                f"compared with {expected!r}, which was {log.value(revision - 1, key)!r}: {operation}"
            )
