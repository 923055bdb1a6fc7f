"""The guarantees of watches, checked on what watches gave: ordered, unique, atomic, reliable, resumable, bookmarkable, filtered.

Source: etcd's documentation of the KV API guarantees; tests/robustness/validate/watch.go, v3.6.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from k3py.datastore.errors import Compacted, DatastoreError
from k3py.datastore.interface import EventType, Revision
from k3py.datastore.mvcc.keyrange import contains

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.datastore.interface import Backend, Event, KeyValue, WatchBatch


class WatchViolation(AssertionError):
    """A watch broke a guarantee; says which."""


@dataclass(slots=True)
class WatchRecord:
    """One watch from its opening to its end: the range, the revision behind which it began, what it gave."""

    name: str
    start: bytes
    end: bytes | None
    after: int
    batches: list[WatchBatch] = field(default_factory=list)

    @property
    def reached(self) -> int:
        """The revision up to which everything was delivered."""
        return max((batch.revision for batch in self.batches), default=self.after)


async def follow(backend: Backend, record: WatchRecord, until: asyncio.Event) -> None:
    """Fill a record until `until` is set and everything committed by then is there, or the watch ends."""
    try:
        async with backend.watch(record.start, record.end, after=Revision(record.after)) as watch:
            nudging = asyncio.ensure_future(until.wait())
            nudging.add_done_callback(lambda _: watch.request_progress())
            try:
                async for batch in watch:
                    record.batches.append(batch)
                    if until.is_set():
                        last = await backend.latest_revision()
                        if batch.revision >= last:
                            return
                        watch.request_progress(last)
            finally:
                nudging.cancel()
    except (Compacted, DatastoreError):
        return  # what was given until then must be right


def check_log(events: Sequence[Event]) -> dict[bytes, KeyValue]:
    """Check a log of all events since revision 1: dense, in order, each following from those before; return the rows at its end."""
    state: dict[bytes, KeyValue] = {}
    previous = 1
    for event in events:
        revision, key, old = event.kv.mod_revision, event.kv.key, state.get(event.kv.key)
        if revision not in (previous, previous + 1):
            raise WatchViolation(f"the log is not dense: revision {revision} after {previous}")
        previous = revision
        if event.previous != old:
            raise WatchViolation(f"the row before {event} was {old}")
        if event.type is EventType.PUT:
            wanted = (old.version + 1 if old else 1, old.create_revision if old else revision)
            if (event.kv.version, event.kv.create_revision) != wanted:
                raise WatchViolation(f"version and create revision of {event} should be {wanted}")
            state[key] = event.kv
        else:
            if old is None:
                raise WatchViolation(f"{event} deletes what does not exist")
            del state[key]
    return state


def check_watch(record: WatchRecord, log: Sequence[Event]) -> None:
    """Compare a watch with the log of all events. Raises WatchViolation."""
    _check_order(record)
    given = [event for batch in record.batches for event in batch.events]
    for event in given:
        if not contains(record.start, record.end, event.kv.key):
            raise WatchViolation(f"{record.name}: filtered: got {event}, which is outside its range")
    wanted = [
        event
        for event in log
        if record.after < event.kv.mod_revision <= record.reached
        and contains(record.start, record.end, event.kv.key)
    ]
    known = {(event.kv.mod_revision, event.kv.key): event for event in wanted}
    for event in given:
        if known.pop((event.kv.mod_revision, event.kv.key), None) != event:
            raise WatchViolation(f"{record.name}: reliable: {event} is not what happened")
    if known:
        raise WatchViolation(
            f"{record.name}: reliable: at {record.reached}, and never got {next(iter(known.values()))}"
        )


def _check_order(record: WatchRecord) -> None:
    told, newest, seen = record.after, 0, set[tuple[int, bytes]]()
    for batch in record.batches:
        for event in batch.events:
            revision = event.kv.mod_revision
            if (revision, event.kv.key) in seen:
                raise WatchViolation(f"{record.name}: unique: {event} came twice")
            if revision < newest:
                raise WatchViolation(f"{record.name}: ordered: {event} came after revision {newest}")
            if revision <= told:
                what = "resumable" if told == record.after else "atomic or bookmarkable"
                raise WatchViolation(f"{record.name}: {what}: {event} came when all up to {told} was told")
            seen.add((revision, event.kv.key))
            newest = revision
        if batch.revision < max(newest, told):
            raise WatchViolation(
                f"{record.name}: bookmarkable: {batch.revision} was told after {max(newest, told)}"
            )
        told = batch.revision
