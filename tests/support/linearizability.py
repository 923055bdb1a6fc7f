"""Checks a history of concurrent operations on one key: is there an order, within the calls' times, in which each answer is right?

The algorithm of Wing and Gong with Lowe's memory of states that were tried. Keys are independent of each other, so a history of many keys
is checked key by key. Revisions are results like any other here: nothing about their order is taken for granted.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from k3py.datastore.errors import Unavailable
from k3py.datastore.interface import Revision

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from k3py.datastore.interface import Backend


@dataclass(slots=True)
class Operation:
    """A call on a key and what came of it. `returned_s` infinite and `outcome` None: it may have happened, at any later time, or never.

    kind: "read" (outcome: mod revision, 0 = none), "create" (outcome: revision, or 0: it exists), "update" and "delete" (expected:
    a revision; outcome: revision, or (found,) with the mod revision that is there instead).
    """

    kind: str
    expected: int
    called_s: float
    returned_s: float = math.inf
    outcome: Any = None

    def step(self, state: int) -> list[int]:
        """Return the states (mod revision, 0 = no such key) that may follow `state`; none: the outcome was wrong there."""
        if self.kind == "delete" and self.outcome is None and not state:
            return [state]
        if self.outcome is None:
            # What it would have written is not known: any revision that nobody was told.
            done = (self.kind == "create" and not state) or (self.kind != "create" and state == self.expected)
            return [-1 if self.kind != "delete" else 0] if done and self.kind != "read" else [state]
        if self.kind == "read":
            return [self.outcome] if _is(state, self.outcome) else []
        if self.kind == "create":
            if self.outcome == 0:
                return [state] if state else []
            return [] if state else [self.outcome]
        if isinstance(self.outcome, tuple):
            (found,) = self.outcome
            absent = self.kind == "delete" and found == 0  # deleting what is not there is refused, whatever is expected
            return [found] if _is(state, found) and (found != self.expected or absent) else []
        if not _is(state, self.expected):
            return []
        return [0 if self.kind == "delete" else self.outcome]


def _is(state: int, revision: int) -> bool:
    return state == revision or (state == -1 and revision > 0)


def is_linearizable(operations: Sequence[Operation], initial: int = 0) -> bool:
    """Say whether a history of one key is linearizable."""
    ordered = sorted(operations, key=lambda one: one.called_s)
    everything = (1 << len(ordered)) - 1
    optional = sum(1 << at for at, one in enumerate(ordered) if one.outcome is None)
    tried = set()
    stack = [(0, initial)]
    while stack:
        done, state = stack.pop()
        if done | optional == everything:
            return True
        if (done, state) in tried:
            continue
        tried.add((done, state))
        # Only what was called before the first of the open ones returned may come next.
        first_end = min(one.returned_s for at, one in enumerate(ordered) if not done >> at & 1)
        for at, one in enumerate(ordered):
            if done >> at & 1:
                continue
            if one.called_s > first_end:
                break
            stack.extend((done | 1 << at, following) for following in one.step(state))
    return False


@dataclass
class Recorder:
    """Random clients of the keys `/lin/0` … that write down what they asked and what they were told."""

    keys: int = 3
    operations: dict[bytes, list[Operation]] = field(default_factory=dict)

    async def client(self, backend: Backend, chance: random.Random, count: int) -> None:
        """Do `count` random operations, one after the other."""
        loop = asyncio.get_running_loop()
        seen: dict[bytes, int] = {}
        for _ in range(count):
            key = b"/lin/%d" % chance.randrange(self.keys)
            kind = chance.choice(("read", "create", "update", "update", "delete"))
            one = Operation(kind, seen.get(key, 0), loop.time())
            self.operations.setdefault(key, []).append(one)
            try:
                outcome, seen[key] = await _perform(backend, key, one)
            except Unavailable:
                await asyncio.sleep(0.01)
                if kind == "read":
                    self.operations[key].remove(one)
                continue
            one.outcome, one.returned_s = outcome, loop.time()

    def check(self) -> None:
        """Raise AssertionError for a key whose history is not linearizable."""
        for key, operations in self.operations.items():
            assert is_linearizable(operations), f"{key!r}: {operations}"

    def __len__(self) -> int:
        return sum(map(len, self.operations.values()))


async def _perform(backend: Backend, key: bytes, one: Operation) -> tuple[Any, int]:
    """Return the outcome and the revision that the client knows now."""
    if one.kind == "read":
        await backend.latest_revision()
        kvs = (await backend.range(key)).kvs
        revision = kvs[0].mod_revision if kvs else 0
        return revision, revision
    if one.kind == "create":
        created = await backend.create(key, b"")
        return created or 0, created or one.expected
    expected = Revision(one.expected)
    if one.kind == "update":
        done, now = await backend.update(key, b"", expected=expected)
    else:
        done, now = await backend.delete(key, expected=expected)
    if done is None:
        found = 0 if now is None else now.mod_revision
        return (found,), found
    return done, 0 if one.kind == "delete" else done


async def record(backends: Sequence[Backend], chance: random.Random, *, clients: int, count: int) -> Recorder:
    """Run random clients, spread over `backends`, at the same time."""
    recorder = Recorder()
    async with asyncio.TaskGroup() as tasks:
        for _, backend in zip(range(clients), itertools.cycle(backends), strict=False):
            tasks.create_task(recorder.client(backend, chance, count))
    return recorder
