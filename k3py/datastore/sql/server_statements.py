"""Statements over the tables of the database servers (see postgres/0001.sql), as text with `?` and parameters.

Reads begin with a header row (name NULL) that carries the newest revision and, where it is asked for, the count and the compaction
line: they come from the same snapshot as the rows, as one statement is one snapshot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from k3py.datastore.mvcc.keyrange import UNBOUNDED
from k3py.datastore.sql.statements import POSITION_BITS, first_id

if TYPE_CHECKING:
    from collections.abc import Sequence

Row: TypeAlias = "Sequence[Any]"
Value = bytes | int | float | str | None | list[bytes] | list[int]

MYSQL_NO_LIMIT = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with `?` placeholders and what to put there."""

    sql: str
    parameters: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True)
class Dialect:
    """Where the servers differ. `no_limit`: what LIMIT takes for "all"."""

    empty: str
    no_limit: int | None
    has_arrays: bool


POSTGRES = Dialect("''::bytea", None, has_arrays=True)
MYSQL = Dialect("x''", MYSQL_NO_LIMIT, has_arrays=False)

STATE = "SELECT serial, lease_serial, revision, compact_revision FROM k3py_meta"
LATEST_REVISION = "SELECT revision FROM k3py_meta"
ORIGIN = "SELECT origin FROM k3py_meta FOR UPDATE"
CONTINUE_ELSEWHERE = "UPDATE k3py_meta SET serial = serial + 1, compact_revision = revision + ?, revision = revision + ?, origin = ?"
SET_ORIGIN = "UPDATE k3py_meta SET origin = ?"
SERIAL = "SELECT serial FROM k3py_meta"
LEASE_KEYS = "SELECT name FROM k3py_cur WHERE lease = ? AND lease <> 0"
SET_COMPACT_REVISION = "UPDATE k3py_meta SET compact_revision = ? WHERE compact_revision < ?"
FENCE = "UPDATE k3py_meta SET serial = serial + 1"
OWN_SERIAL = "SELECT serial FROM k3py_writer WHERE id = ?"
SERIAL_AND_WRITERS = "SELECT serial, (SELECT count(*) FROM k3py_writer) FROM k3py_meta"
NEWEST_WRITERS = "SELECT id FROM k3py_writer WHERE id <> ? ORDER BY serial DESC LIMIT ?"
JOIN_WRITERS = "INSERT INTO k3py_writer SELECT ?, serial FROM k3py_meta ON DUPLICATE KEY UPDATE k3py_writer.id = k3py_writer.id"
FORGET_WRITERS = "DELETE FROM k3py_writer WHERE serial < (SELECT serial FROM k3py_meta) - 1000000"
RESTORE_ORDER = (
    "UPDATE k3py_meta SET serial = serial + 1, revision = ?, compact_revision = ? WHERE revision <= ?"
)

PURGED_REVISION = "SELECT revision FROM k3py_purge"
SET_PURGED_REVISION = "UPDATE k3py_purge SET revision = ?"
PURGE_TOMBSTONES = "DELETE FROM k3py_log WHERE id >= ? AND id < ? AND version = 0"


def _previous_of(event: str, row: str) -> str:
    low = f"({event}.previous << {POSITION_BITS})"
    return f"{row}.id BETWEEN {low} AND {low} + {(1 << POSITION_BITS) - 1} AND {row}.name = {event}.name"


def _inside(column: str, start: bytes, end: bytes | None) -> Statement:
    if end is None:
        return Statement(f"{column} = ?", (start,))
    if end == UNBOUNDED:
        return Statement(f"{column} >= ?", (start,))
    return Statement(f"{column} >= ? AND {column} < ?", (start, end))


def any_of(dialect: Dialect, column: str, names: Sequence[bytes]) -> Statement:
    """Return the condition that a column is one of some names."""
    if dialect.has_arrays:
        return Statement(f"{column} = ANY(?)", (list(names),))
    return Statement(f"{column} IN ({','.join('?' * len(names))})", tuple(names))


def current_rows(dialect: Dialect, names: Sequence[bytes]) -> Statement:
    """Read the newest versions of some keys: name, id, created, version, lease, value."""
    where = any_of(dialect, "c.name", names)
    return Statement(
        "SELECT c.name, c.id, c.created, c.version, c.lease, l.value "
        f"FROM k3py_cur c JOIN k3py_log l ON l.id = c.id WHERE {where.sql}",
        where.parameters,
    )


def count_now(start: bytes, end: bytes | None) -> Statement:
    """Count a range now: the header row alone."""
    where = _inside("name", start, end)
    return Statement(
        f"SELECT NULL, revision, (SELECT count(*) FROM k3py_cur WHERE {where.sql}), 0, 0, NULL FROM k3py_meta",
        where.parameters,
    )


def range_now(dialect: Dialect, start: bytes, end: bytes | None, *, limit: int, keys_only: bool) -> Statement:
    """Read a range now: the header, then name, id, created, version, lease, value in order of names."""
    where = _inside("c.name", start, end)
    counted = f"(SELECT count(*) FROM k3py_cur c WHERE {where.sql})" if limit else "-1"
    if keys_only:
        rows = f"SELECT c.name, c.id, c.created, c.version, c.lease, {dialect.empty} FROM k3py_cur c WHERE {where.sql}"
    else:
        rows = (
            "SELECT c.name, c.id, c.created, c.version, c.lease, l.value "
            f"FROM k3py_cur c JOIN k3py_log l ON l.id = c.id WHERE {where.sql}"
        )
    return Statement(
        f"(SELECT NULL, revision, {counted}, 0, 0, NULL FROM k3py_meta) UNION ALL ({rows} ORDER BY c.name LIMIT ?)",
        (*(where.parameters if limit else ()), *where.parameters, limit or dialect.no_limit),
    )


def range_then(
    dialect: Dialect,
    start: bytes,
    end: bytes | None,
    *,
    revision: int,
    limit: int,
    count_only: bool,
    keys_only: bool,
) -> Statement:
    """Read a range as it was at `revision`; the header's fourth column is the compaction line."""
    now, later = _inside("c.name", start, end), _inside("e.name", start, end)
    bound = first_id(revision + 1)
    versions = (
        f"SELECT c.name AS name, c.id AS id FROM k3py_cur c WHERE {now.sql} AND c.id < ? UNION ALL "
        f"SELECT p.name, p.id FROM k3py_log e JOIN k3py_log p ON {_previous_of('e', 'p')} "
        f"WHERE e.id >= ? AND {later.sql} AND e.previous > 0 AND e.previous <= ?"
    )
    parameters = (*now.parameters, bound, bound, *later.parameters, revision)
    header = f"(SELECT NULL, revision, (SELECT count(*) FROM ({versions}) v), compact_revision, 0, NULL FROM k3py_meta)"
    if count_only:
        return Statement(header, parameters)
    value = dialect.empty if keys_only else "l.value"
    return Statement(
        f"{header} UNION ALL (SELECT l.name, l.id, l.created, l.version, l.lease, {value} "
        f"FROM ({versions}) v JOIN k3py_log l ON l.id = v.id ORDER BY v.name LIMIT ?)",
        (*parameters, *parameters, limit or dialect.no_limit),
    )


def events_after(start: bytes, end: bytes | None, *, after: int, limit: int) -> Statement:
    """Read changes of a range behind revision `after`: the header, then the change and the row before it, in order."""
    where = _inside("e.name", start, end)
    return Statement(
        "(SELECT NULL, revision, 0, compact_revision, 0, NULL, NULL, 0, 0, 0, NULL FROM k3py_meta) UNION ALL ("
        "SELECT e.name, e.id, e.created, e.version, e.lease, e.value, p.id, p.created, p.version, p.lease, "
        f"p.value FROM k3py_log e LEFT JOIN k3py_log p ON e.previous > 0 AND {_previous_of('e', 'p')} "
        f"WHERE e.id >= ? AND {where.sql} ORDER BY e.id LIMIT ?)",
        (first_id(after + 1), *where.parameters, limit),
    )


def purge_superseded(dialect: Dialect) -> str:
    """Return the DELETE of rows that changes with ids from ? to ? replaced."""
    if dialect.has_arrays:
        return (
            f"DELETE FROM k3py_log p USING k3py_log e WHERE {_previous_of('e', 'p')} "
            "AND e.id >= ? AND e.id < ? AND e.previous > 0"
        )
    return (
        f"DELETE p FROM k3py_log e JOIN k3py_log p ON {_previous_of('e', 'p')} "
        "WHERE e.id >= ? AND e.id < ? AND e.previous > 0"
    )
