"""The newest committed versions of recently written or read keys, bounded by bytes, so that hot keys need no SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.datastore.interface import EventType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.datastore.interface import Event, KeyValue

ROW_OVERHEAD_BYTES = 250


class RowCache:
    """Least recently used rows are dropped first; rows larger than a sixteenth of the bound are not kept."""

    def __init__(self, bound_bytes: int) -> None:
        self._bound_bytes = bound_bytes
        self._rows: dict[bytes, KeyValue] = {}
        self.size_bytes = 0

    def get(self, key: bytes) -> KeyValue | None:
        """Return the row if it is here, and keep it longer."""
        row = self._rows.pop(key, None)
        if row is not None:
            self._rows[key] = row
        return row

    def put(self, row: KeyValue) -> None:
        """Take the newest version of a key."""
        self.drop(row.key)
        size = _size_bytes(row)
        if size > self._bound_bytes // 16:
            return
        self._rows[row.key] = row
        self.size_bytes += size
        while self.size_bytes > self._bound_bytes:
            self.drop(next(iter(self._rows)))

    def apply(self, events: Iterable[Event]) -> None:
        """Follow committed changes."""
        for event in events:
            if event.type is EventType.PUT:
                self.put(event.kv)
            else:
                self.drop(event.kv.key)

    def drop(self, key: bytes) -> None:
        """Forget a key."""
        row = self._rows.pop(key, None)
        if row is not None:
            self.size_bytes -= _size_bytes(row)

    def clear(self) -> None:
        """Forget everything: what is committed is in doubt."""
        self._rows.clear()
        self.size_bytes = 0


def _size_bytes(row: KeyValue) -> int:
    return len(row.key) + len(row.value) + ROW_OVERHEAD_BYTES
