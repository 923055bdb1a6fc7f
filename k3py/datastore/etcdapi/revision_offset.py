"""Revisions of an etcd that begins behind those of another store: a constant is added to all that it tells, and taken from all that it is asked.

etcd counts from 1 and cannot be told where to begin. After a restore that would send clients back in time: their watches wait for revisions that are
long past, and a resourceVersion of before can meet another object of the same number. The offset lies in the etcd itself, under `KEY`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject, JsonValue

KEY: Final = b"k3py/revision-offset"

_REVISIONS: Final = frozenset(
    ("revision", "create_revision", "mod_revision", "start_revision", "compact_revision")
)
_POSITIONS: Final = ("revision", "start_revision")


def shift(document: JsonValue, delta: int) -> None:
    """Add `delta` to all revisions of a message, in place; 0 means "none" or "now" and stays."""
    if isinstance(document, dict):
        for name, value in document.items():
            if name in _REVISIONS:
                if value:
                    document[name] = value + delta
            elif isinstance(value, dict | list):
                shift(value, delta)
    elif isinstance(document, list):
        for one in document:
            if isinstance(one, dict):
                shift(one, delta)


def is_before(document: JsonValue, offset: int) -> bool:
    """Say whether a request, not yet shifted, asks for a revision of before the store began."""
    if isinstance(document, dict):
        return any(
            0 < value <= offset if name in _POSITIONS else is_before(value, offset)
            for name, value in document.items()
            if name in _POSITIONS or isinstance(value, dict | list)
        )
    return isinstance(document, list) and any(is_before(one, offset) for one in document)


def read_offset(response: JsonObject) -> int:
    """Return the offset in the answer of a read of `KEY`, 0 when there is none. Raises ValueError: it is damaged."""
    for row in response["kvs"]:
        return int(row["value"])
    return 0
