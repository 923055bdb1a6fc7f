"""Ranges of keys as etcd writes them: (key, None) one key, (key, end) = [key, end), end of one zero byte: no upper bound."""

from __future__ import annotations

UNBOUNDED = b"\0"


def contains(start: bytes, end: bytes | None, key: bytes) -> bool:
    """Say whether `key` lies in the range."""
    if end is None:
        return key == start
    return key >= start and (end == UNBOUNDED or key < end)


def prefix_of(start: bytes, end: bytes | None) -> bytes | None:
    """Return `start` if the range is exactly the keys that begin with it, else None."""
    if not start or end is None or end == UNBOUNDED:
        return None
    return start if start[-1] < 0xFF and end == start[:-1] + bytes((start[-1] + 1,)) else None
