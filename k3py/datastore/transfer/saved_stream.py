"""A dump as `etcdctl snapshot save` leaves it: with the stream's SHA-256 behind it (see `etcdapi.snapshot`)."""

from __future__ import annotations

import hashlib
import io
import os
from typing import IO, TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_DIGEST_BYTES: Final = 32
_ALIGNED_BYTES: Final = 512


def without_digest(file: IO[bytes]) -> IO[bytes]:
    """Return `file`, at its beginning, without a SHA-256 of all the rest at its end, if there is one (blocking)."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if size % _ALIGNED_BYTES != _DIGEST_BYTES:
        return file
    digest, left = hashlib.sha256(), size - _DIGEST_BYTES
    while left:
        block = file.read(min(left, 1 << 20))
        digest.update(block)
        left -= len(block)
    whole = file.read() == digest.digest()
    file.seek(0)
    return cast("IO[bytes]", io.BufferedReader(_Part(file, size - _DIGEST_BYTES))) if whole else file


class _Part(io.RawIOBase):
    """The first bytes of a file."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        super().__init__()
        self._file = file
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        data = self._file.read(min(len(view), self._left))
        view[: len(data)] = data
        self._left -= len(data)
        return len(data)
