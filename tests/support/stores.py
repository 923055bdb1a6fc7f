"""Stores with something in them."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from k3py.datastore.factory import open_backend

if TYPE_CHECKING:
    from pathlib import Path


async def fill_store(path: Path, keys: int = 20, *, rewrites: int = 3) -> dict[bytes, bytes]:
    """Make an SQLite store with history and a deleted key; return what it holds."""
    content = {b"/registry/things/%04d" % number: b"value %d " % number * 50 for number in range(keys)}
    async with open_backend(f"sqlite://{path}") as backend:
        for key, value in content.items():
            await backend.create(key, value)
        revision = await backend.create(b"/registry/gone", b"")
        assert revision is not None
        for _ in range(rewrites):
            revision, _left = await backend.update(b"/registry/gone", b"x", expected=revision)
            assert revision is not None
        await backend.delete(b"/registry/gone", expected=revision)
    return content


async def read_store(path: Path) -> dict[bytes, bytes]:
    """Return what an SQLite store holds."""
    async with open_backend(f"sqlite://{path}") as backend:
        return {kv.key: kv.value for kv in (await backend.range(b"\0", b"\0")).kvs}


def make_kine_file(path: Path) -> dict[bytes, bytes]:
    """Make a database as Kine's (spec/datastore.md §3.1); return its live keys and values. Its newest id is 9."""
    rows = [
        # name, created, deleted, create_revision, prev_revision, lease, value, old_value
        ("compact_rev_key", 1, 0, 0, 0, 0, b"", b""),
        ("/registry/health", 1, 0, 0, 0, 0, b'{"health":"true"}', b""),
        ("/registry/configmaps/a", 1, 0, 0, 0, 0, b"one", b""),
        ("/registry/configmaps/a", 0, 0, 3, 3, 0, b"two", b"one"),
        ("gap-5", 0, 1, 0, 0, 0, None, None),
        ("/registry/configmaps/b", 1, 0, 0, 0, 0, b"gone", b""),
        ("/registry/configmaps/b", 0, 1, 6, 6, 0, b"gone", b"gone"),
        ("/registry/events/e", 1, 0, 0, 0, 3600, b"event", b""),
        ("compact_rev_key_apiserver", 1, 0, 0, 0, 0, b"3|7", b""),
    ]
    connection = sqlite3.connect(path)
    connection.executescript(
        "CREATE TABLE kine (id INTEGER PRIMARY KEY AUTOINCREMENT, name INTEGER, created INTEGER, deleted INTEGER, "
        "create_revision INTEGER, prev_revision INTEGER, lease INTEGER, value BLOB, old_value BLOB);"
        "CREATE INDEX kine_name_index ON kine (name); CREATE INDEX kine_name_id_index ON kine (name, id);"
        "CREATE INDEX kine_id_deleted_index ON kine (id, deleted); CREATE INDEX kine_prev_revision_index ON kine (prev_revision);"
        "CREATE UNIQUE INDEX kine_name_prev_revision_uindex ON kine (name, prev_revision);"
    )
    connection.executemany(
        "INSERT INTO kine (name, created, deleted, create_revision, prev_revision, lease, value, old_value) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )
    connection.commit()
    connection.close()
    return {
        b"/registry/health": b'{"health":"true"}',
        b"/registry/configmaps/a": b"two",
        b"/registry/events/e": b"event",
    }
