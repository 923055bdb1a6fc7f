"""What clients did and saw: operations with their times, and the client that records them.

Every written value is unique, so a value names the write that it comes from.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.datastore.errors import DatastoreError
from k3py.datastore.interface import DeleteOp, Op, PutOp, PutResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from k3py.datastore.interface import Backend, KeyValue

NEVER: Final = 1 << 62
"""The time at which an operation returned whose outcome is not known."""

UNCONDITIONAL: Final = b"\0unconditional"
"""Compares with nothing; no write has this value."""

READ: Final = "read"
WRITE: Final = "write"

Value = bytes | None
"""None: there is no such key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation; times in nanoseconds of one clock.

    A read tells in `seen` the value of each key that it asked about. A write tells in `changes` what it wants to make of each key, in
    `expected` which value it compares with (not there: UNCONDITIONAL), and, if it failed, in `seen` what it was told instead.
    """

    client: str
    kind: str
    called_ns: int
    returned_ns: int
    changes: Mapping[bytes, Value]
    expected: Mapping[bytes, Value]
    seen: Mapping[bytes, Value]
    succeeded: bool | None
    """None: the outcome is not known."""

    revision: int | None
    """Of the change, or of the read; None where the answer tells none."""

    @property
    def keys(self) -> set[bytes]:
        """All keys that this is about."""
        return {*self.changes, *self.seen}


class RecordingClient:
    """Does operations one after another and notes them in `history`, which all clients share."""

    def __init__(self, name: str, backend: Backend, history: list[Operation], keys: Sequence[bytes]) -> None:
        self._name = name
        self._backend = backend
        self._history = history
        self._keys = keys
        self._written = 0
        self.known: dict[bytes, tuple[bytes, int]] = {}
        """What this client saw last of each key: value and revision; not there: it saw none."""

    async def read(self, key: bytes) -> None:
        """Read one key."""
        called = time.monotonic_ns()
        found = await self._backend.range(key)
        self._see((key,), found.kvs)
        self._note(READ, called, seen={key: self._value(key)}, revision=found.revision)

    async def read_all(self) -> None:
        """Read all keys at one revision."""
        called = time.monotonic_ns()
        found = await self._backend.range(b"\0", b"\0")
        self._see(self._keys, found.kvs)
        self._note(READ, called, seen={key: self._value(key) for key in self._keys}, revision=found.revision)

    async def create(self, key: bytes) -> None:
        """Write a key that must not exist."""
        value, called = self._new_value(), time.monotonic_ns()
        try:
            revision = await self._backend.create(key, value)
        except DatastoreError:
            self._lose(called, {key: value}, {key: None})
            return
        if revision is None:
            self._note(WRITE, called, {key: value}, {key: None}, succeeded=False)
            return
        self.known[key] = (value, revision)
        self._note(WRITE, called, {key: value}, {key: None}, revision=revision)

    async def update(self, key: bytes) -> None:
        """Write a key if it is still as this client saw it last."""
        await self._compare_and_change(key, self._new_value())

    async def delete(self, key: bytes) -> None:
        """Delete a key if it is still as this client saw it last."""
        await self._compare_and_change(key, None)

    async def put_two(self, first: bytes, second: bytes) -> None:
        """Write two keys in one revision, whatever they are."""
        changes: dict[bytes, Value] = {first: self._new_value(), second: self._new_value()}
        ops: list[Op] = [PutOp(key, value) for key, value in changes.items() if value is not None]
        await self._transact(changes, ops)

    async def delete_all(self) -> None:
        """Delete all keys in one revision."""
        await self._transact(dict.fromkeys(self._keys), [DeleteOp(b"\0", b"\0")])

    async def _compare_and_change(self, key: bytes, value: Value) -> None:
        if key not in self.known:
            await self.read(key)
            if key not in self.known:
                return
        before, expected = self.known[key]
        called = time.monotonic_ns()
        try:
            if value is None:
                revision, now = await self._backend.delete(key, expected=expected)  # type: ignore[arg-type]
            else:
                revision, now = await self._backend.update(key, value, expected=expected)  # type: ignore[arg-type]
        except DatastoreError:
            self._lose(called, {key: value}, {key: before})
            return
        if revision is None:
            self._see((key,), () if now is None else (now,))
            self._note(
                WRITE, called, {key: value}, {key: before}, succeeded=False, seen={key: self._value(key)}
            )
            return
        del self.known[key]
        if value is not None:
            self.known[key] = (value, revision)
        self._note(WRITE, called, {key: value}, {key: before}, revision=revision)

    async def _transact(self, changes: Mapping[bytes, Value], ops: Sequence[Op]) -> None:
        called = time.monotonic_ns()
        try:
            done = await self._backend.txn((), tuple(ops))
        except DatastoreError:
            self._lose(called, changes, {})
            return
        changed = any(isinstance(result, PutResult) or result.previous for result in done.results)  # type: ignore[union-attr]
        for key in changes:
            self.known.pop(key, None)
        if changed:
            self._note(WRITE, called, changes, {}, revision=done.revision)
        else:
            self._note(READ, called, seen=changes, revision=done.revision)

    def _new_value(self) -> bytes:
        self._written += 1
        return f"{self._name}-{self._written}".encode()

    def _value(self, key: bytes) -> Value:
        return self.known[key][0] if key in self.known else None

    def _see(self, keys: Sequence[bytes], rows: Sequence[KeyValue]) -> None:
        for key in keys:
            self.known.pop(key, None)
        self.known.update((row.key, (row.value, row.mod_revision)) for row in rows)

    def _lose(self, called: int, changes: Mapping[bytes, Value], expected: Mapping[bytes, Value]) -> None:
        for key in changes:
            self.known.pop(key, None)
        self._note(WRITE, called, changes, expected, succeeded=None, returned=NEVER)

    def _note(
        self,
        kind: str,
        called: int,
        changes: Mapping[bytes, Value] | None = None,
        expected: Mapping[bytes, Value] | None = None,
        *,
        seen: Mapping[bytes, Value] | None = None,
        succeeded: bool | None = True,
        revision: int | None = None,
        returned: int | None = None,
    ) -> None:
        self._history.append(
            Operation(
                client=self._name,
                kind=kind,
                called_ns=called,
                returned_ns=time.monotonic_ns() if returned is None else returned,
                changes=changes or {},
                expected=expected or {},
                seen=seen or {},
                succeeded=succeeded,
                revision=revision,
            )
        )
