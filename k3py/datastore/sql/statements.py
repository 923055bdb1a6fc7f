"""Statements over the tables `log`, `cur`, `lease`, `meta` (see sqlite/0001.sql), as text and parameters.

Reads begin with a header row (key NULL) that carries the newest id and the count, so that revision, count and rows come from one
snapshot in one statement.
"""

from __future__ import annotations

from dataclasses import dataclass

from k3py.datastore.mvcc.keyrange import UNBOUNDED

POSITION_BITS = 20
"""Room for a million changes in one revision."""

Value = bytes | int | float | None
LOG_COLUMNS = 7


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with `?` placeholders and what to put there."""

    sql: str
    parameters: tuple[Value, ...] = ()


def first_id(revision: int) -> int:
    """Return the lowest id of a revision."""
    return revision << POSITION_BITS


def _inside(column: str, start: bytes, end: bytes | None) -> Statement:
    if end is None:
        return Statement(f"{column} = ?", (start,))
    if end == UNBOUNDED:
        return Statement(f"{column} >= ?", (start,))
    return Statement(f"{column} >= ? AND {column} < ?", (start, end))


def _previous_of(event: str, row: str) -> str:
    low = f"({event}.previous << {POSITION_BITS})"
    # The plus keeps the key out of the plan: SQLite would copy the whole log into an index by key, for this one statement.
    return f"{row}.id BETWEEN {low} AND {low} + {(1 << POSITION_BITS) - 1} AND +{row}.key = {event}.key"


NEWEST_ID = "(SELECT max(id) FROM log)"

STATE = f"SELECT {NEWEST_ID}, compact_revision, purged_revision FROM meta"
LEASES = "SELECT id, ttl_s, granted_at_s FROM lease"
LEASE_KEYS = "SELECT key FROM cur WHERE lease = ? AND lease <> 0"
GRANT = "INSERT OR REPLACE INTO lease VALUES (?, ?, ?)"
REVOKE = "DELETE FROM lease WHERE id = ?"
SET_COMPACT_REVISION = "UPDATE meta SET compact_revision = ?"
SET_PURGED_REVISION = "UPDATE meta SET purged_revision = ?"
PURGE_SUPERSEDED = (
    "DELETE FROM log WHERE id IN (SELECT p.id FROM log e CROSS JOIN log p "
    f"ON {_previous_of('e', 'p')} WHERE e.id >= ? AND e.id < ? AND e.previous > 0)"
)
PURGE_TOMBSTONES = "DELETE FROM log WHERE id >= ? AND id < ? AND version = 0"
SIZES = (
    "SELECT page_count, freelist_count, page_size FROM pragma_page_count, pragma_freelist_count, "
    "pragma_page_size"
)


def insert_log(rows: int) -> str:
    """Return the INSERT of `rows` changes; with the triggers on `log` it is a complete commit."""
    return "INSERT INTO log VALUES " + ",".join(("(?,?,?,?,?,?,?)",) * rows)


def current_rows(keys: int) -> str:
    """Return the SELECT of the newest versions of `keys` keys: key, id, created, version, lease, value."""
    holes = ",".join("?" * keys)
    return (
        "SELECT cur.key, cur.id, cur.created, cur.version, cur.lease, log.value "
        f"FROM cur CROSS JOIN log ON log.id = cur.id WHERE cur.key IN ({holes})"
    )


def count_now(start: bytes, end: bytes | None) -> Statement:
    """Count a range now: the header row alone."""
    where = _inside("key", start, end)
    return Statement(
        f"SELECT NULL, {NEWEST_ID}, count(*), 0, 0, NULL FROM cur WHERE {where.sql}",
        where.parameters,
    )


def range_now(start: bytes, end: bytes | None, *, limit: int, keys_only: bool) -> Statement:
    """Read a range now: the header, then key, id, created, version, lease, value in key order."""
    where = _inside("cur.key", start, end)
    counted = f"(SELECT count(*) FROM cur WHERE {where.sql})" if limit else "-1"
    if keys_only:
        rows = f"SELECT key, id, created, version, lease, x'' FROM cur WHERE {where.sql}"
    else:
        rows = (
            "SELECT cur.key, cur.id, cur.created, cur.version, cur.lease, log.value "
            f"FROM cur CROSS JOIN log ON log.id = cur.id WHERE {where.sql}"
        )
    return Statement(
        f"SELECT NULL, {NEWEST_ID}, {counted}, 0, 0, NULL UNION ALL "
        f"SELECT * FROM ({rows} ORDER BY cur.key LIMIT ?)",
        (*(where.parameters if limit else ()), *where.parameters, limit or -1),
    )


def range_then(
    start: bytes, end: bytes | None, *, revision: int, limit: int, count_only: bool, keys_only: bool
) -> Statement:
    """Read a range as it was at `revision`: today's rows that are as old, and what later changes replaced."""
    now, later = _inside("key", start, end), _inside("e.key", start, end)
    bound = first_id(revision + 1)
    versions = (
        f"WITH versions (key, id) AS (SELECT key, id FROM cur WHERE {now.sql} AND id < ? UNION ALL "
        f"SELECT p.key, p.id FROM log e CROSS JOIN log p ON {_previous_of('e', 'p')} "
        f"WHERE e.id >= ? AND {later.sql} AND e.previous > 0 AND e.previous <= ?) "
    )
    parameters = (*now.parameters, bound, bound, *later.parameters, revision)
    header = f"SELECT NULL, {NEWEST_ID}, (SELECT count(*) FROM versions), 0, 0, NULL"
    if count_only:
        return Statement(versions + header, parameters)
    value = "x''" if keys_only else "log.value"
    return Statement(
        f"{versions}{header} UNION ALL SELECT * FROM ("
        f"SELECT log.key, log.id, log.created, log.version, log.lease, {value} "
        "FROM (SELECT key, id FROM versions ORDER BY key LIMIT ?) AS v CROSS JOIN log ON log.id = v.id "
        "ORDER BY v.key)",
        (*parameters, limit or -1),
    )


def events_after(start: bytes, end: bytes | None, *, after: int, limit: int) -> Statement:
    """Read changes of a range behind revision `after`: the header, then the change and the row before it, in order."""
    where = _inside("e.key", start, end)
    return Statement(
        f"SELECT NULL, {NEWEST_ID}, 0, 0, 0, NULL, NULL, 0, 0, 0, NULL UNION ALL SELECT * FROM ("
        "SELECT e.key, e.id, e.created, e.version, e.lease, e.value, p.id, p.created, p.version, p.lease, "
        f"p.value FROM log e LEFT JOIN log p ON e.previous > 0 AND {_previous_of('e', 'p')} "
        f"WHERE e.id >= ? AND {where.sql} ORDER BY e.id LIMIT ?)",
        (first_id(after + 1), *where.parameters, limit),
    )
