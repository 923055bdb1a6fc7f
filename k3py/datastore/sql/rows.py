"""From rows of the log to key-values and events, and back; the same for SQLite and the database servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from k3py.datastore.interface import Event, EventType, KeyValue, LeaseId, Revision
from k3py.datastore.mvcc.log import LogPage
from k3py.datastore.sql.statements import POSITION_BITS, first_id

if TYPE_CHECKING:
    from collections.abc import Sequence

LogRow = tuple[int, bytes, int, int, int, int, bytes]
"""id, key, created, version, lease, previous, value."""


def to_kv(key: bytes, row_id: int, created: int, version: int, lease: int, value: bytes) -> KeyValue:
    """Return the key-value of a row."""
    return KeyValue(key, value, Revision(created), Revision(row_id >> POSITION_BITS), version, LeaseId(lease))


def to_event(row: Sequence[Any]) -> Event:
    """Return the event of a row that holds a change and the row before it."""
    key, previous_id = row[0], row[6]
    previous = None if previous_id is None else to_kv(key, previous_id, *row[7:])
    return Event(EventType.PUT if row[3] else EventType.DELETE, to_kv(*row[:6]), previous)


def to_page(rows: Sequence[Sequence[Any]], limit: int, newest: Revision) -> LogPage | None:
    """Return the page of at most `limit` events up to the revision `newest`; None: one revision alone is longer than that."""
    events = [to_event(row) for row in rows]
    if len(events) < limit:
        return LogPage(tuple(events), newest)
    # The limit may have cut the last revision in two: leave it to the next page.
    cut = events[-1].kv.mod_revision
    whole = [event for event in events if event.kv.mod_revision != cut]
    return LogPage(tuple(whole), whole[-1].kv.mod_revision) if whole else None


def log_rows(events: Sequence[Event]) -> list[LogRow]:
    """Return the rows of a commit's events."""
    rows: list[LogRow] = []
    position = revision = 0
    for event in events:
        kv = event.kv
        position = position + 1 if kv.mod_revision == revision else 0
        revision = kv.mod_revision
        previous = 0 if event.previous is None else event.previous.mod_revision
        rows.append(
            (
                first_id(revision) | position,
                kv.key,
                kv.create_revision,
                kv.version,
                kv.lease,
                previous,
                kv.value,
            )
        )
    return rows
