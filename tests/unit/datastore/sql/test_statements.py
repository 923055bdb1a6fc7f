"""How SQLite does the statements: never by an index that it builds for one statement from the whole log."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from k3py.datastore.sql import migrations, statements
from k3py.datastore.sql.statements import Statement

RANGES = [(b"/a", None), (b"/a/", b"/a0"), (b"\0", b"\0")]
CASES = [
    *(statements.events_after(*bounds, after=5, limit=10) for bounds in RANGES),
    *(
        statements.range_then(*bounds, revision=5, limit=limit, count_only=False, keys_only=False)
        for bounds in RANGES
        for limit in (0, 10)
    ),
    *(statements.range_now(*bounds, limit=10, keys_only=False) for bounds in RANGES),
    Statement(statements.PURGE_SUPERSEDED, (1, 2)),
    Statement(statements.PURGE_TOMBSTONES, (1, 2)),
    Statement(statements.current_rows(3), (b"a", b"b", b"c")),
]


@pytest.mark.parametrize("statement", CASES, ids=lambda statement: statement.sql[:40])
def test_rows_are_found_by_stored_indexes(statement):
    with closing(sqlite3.connect(":memory:")) as database:
        for name in migrations.SQLITE:
            database.executescript(migrations.script(name))
        rows = database.execute(f"EXPLAIN QUERY PLAN {statement.sql}", statement.parameters).fetchall()
    plan = [row[3] for row in rows]
    assert not [step for step in plan if "AUTOMATIC" in step], plan
    tables = ("SCAN e", "SCAN p", "SCAN log")
    assert not [step for step in plan if step.startswith(tables)], plan
