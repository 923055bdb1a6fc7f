"""What a store holds, as a number of keys and one hash, whatever the driver and its revisions."""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.datastore.interface import KeyValue

_LENGTHS = struct.Struct(">II")


class Digest:
    """SHA-256 over lengths, key and value of each key in key order; revisions and leases do not count."""

    def __init__(self) -> None:
        self.count = 0
        self._hash = hashlib.sha256()

    def add(self, key: bytes, value: bytes) -> None:
        """Take the next key in order."""
        self.count += 1
        self._hash.update(_LENGTHS.pack(len(key), len(value)))
        self._hash.update(key)
        self._hash.update(value)

    def add_all(self, kvs: Iterable[KeyValue]) -> None:
        """Take a page."""
        for kv in kvs:
            self.add(kv.key, kv.value)

    @property
    def hex(self) -> str:
        """The hash so far."""
        return self._hash.hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Digest) and (self.count, self.hex) == (other.count, other.hex)

    __hash__ = None  # type: ignore[assignment] # it changes
