"""The scripts that bring a database from one schema version to the next; a version is never changed once released."""

from __future__ import annotations

from importlib.resources import files

SQLITE: tuple[str, ...] = ("sqlite/0001.sql", "sqlite/0002.sql")
"""Script n (from 0) leads from version n to n + 1."""

POSTGRES: tuple[str, ...] = ("postgres/0001.sql",)
MYSQL: tuple[str, ...] = ("mysql/0001.sql",)


def script(name: str) -> str:
    """Return the text of a script."""
    return (files("k3py.datastore.sql") / name).read_text(encoding="utf-8")
