"""Concurrent clients and watches on one or several servers of a store, then all checks of their history."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from k3py.datastore.errors import DatastoreError
from tests.support.history.linearizability import check_revisions, check_values, resolved
from tests.support.history.operation import Operation, RecordingClient
from tests.support.history.watches import WatchRecord, check_log, check_watch, follow

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from k3py.datastore.interface import Backend, Event

KEYS: Final = (b"/a", b"/a/1", b"/b", b"/b/2")
ALL: Final = (b"\0", b"\0")
_RANGES: Final = (ALL, (b"/a", None), (b"/a", b"/b"), (b"/b", b"\0"))


async def run_workload(
    backends: Sequence[Backend],
    chance: random.Random,
    *,
    clients: int,
    operations: int,
    pause_s: float = 0.0,
    over: Callable[[], object] = lambda: None,
) -> tuple[list[Operation], list[WatchRecord]]:
    """Run `clients` clients with `operations` operations each, spread over `backends`, and watches of all kinds beside them.

    Each operation is followed by up to `pause_s` seconds of rest; `over` is called when all operations are done, before the watches are waited for.
    """
    history: list[Operation] = []
    records: list[WatchRecord] = []
    until = asyncio.Event()
    names = [f"c{number}" for number in range(clients)]
    async with asyncio.TaskGroup() as watching:
        for number, backend in enumerate(backends):
            for start, end in _RANGES:
                record = WatchRecord(f"server {number}, {start!r}", start, end, 1)
                records.append(record)
                watching.create_task(follow(backend, record, until))
        async with asyncio.TaskGroup() as working:
            for number, name in enumerate(names):
                client = RecordingClient(name, backends[number % len(backends)], history, KEYS)
                working.create_task(_work(client, chance, operations, pause_s))
            working.create_task(_resume(backends, chance, records, watching, until))
        over()
        until.set()
    return history, records


async def _work(client: RecordingClient, chance: random.Random, operations: int, pause_s: float) -> None:
    for _ in range(operations):
        key, other = chance.sample(KEYS, 2)
        what = chance.choices(
            (
                lambda key=key: client.read(key),
                client.read_all,
                lambda key=key: client.create(key),
                lambda key=key: client.update(key),
                lambda key=key: client.delete(key),
                lambda key=key, other=other: client.put_two(key, other),
                client.delete_all,
            ),
            (5, 2, 4, 6, 3, 2, 1),
        )[0]
        with suppress(DatastoreError):  # a read that was refused says nothing
            await what()
        if pause_s:
            await asyncio.sleep(chance.uniform(0, pause_s))


async def _resume(
    backends: Sequence[Backend],
    chance: random.Random,
    records: list[WatchRecord],
    watching: asyncio.TaskGroup,
    until: asyncio.Event,
) -> None:
    """Open watches that begin where others have come to, as clients do whose connection was lost."""
    for number in range(8):
        await asyncio.sleep(0.005)
        start, end = chance.choice(_RANGES)
        known = records[chance.randrange(len(records))].reached
        record = WatchRecord(f"resumed {number} at {known}, {start!r}", start, end, known)
        records.append(record)
        watching.create_task(follow(backends[number % len(backends)], record, until))


async def log_of(backend: Backend) -> list[Event]:
    """Return all events since revision 1."""
    record = WatchRecord("log", *ALL, 1)
    until = asyncio.Event()
    until.set()
    await follow(backend, record, until)
    return [event for batch in record.batches for event in batch.events]


def check_history(history: Sequence[Operation], records: Sequence[WatchRecord], log: Sequence[Event]) -> None:
    """Check everything. Raises NotLinearizable or WatchViolation."""
    _ = check_log(log)
    check_revisions(history, log)
    check_values(resolved(history, log))
    for record in records:
        check_watch(record, log)
