r"""The file of `k3py datastore export`: gzip around a header line, the keys in key order, and a footer with count and hash.

Layout (big-endian): `k3py-dump 1\n`, one line of JSON (driver, revision, leases: [[id, seconds left], …]), then for each key
`u32 key length (not 0), u32 value length, i64 lease, i64 create revision, i64 mod revision, i64 version`, key, value; at the end a zero
u32, u64 count, 32 bytes SHA-256 (see `digest`). A file without its footer is incomplete and refused.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from typing import IO, TYPE_CHECKING, cast

import orjson

from k3py.datastore.interface import KeyValue, LeaseId, Revision
from k3py.datastore.transfer.digest import Digest
from k3py.datastore.transfer.errors import TransferError
from k3py.datastore.transfer.source import PAGE_BYTES, Source, SourceInfo
from k3py.util.offload import offload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

MAGIC = b"k3py-dump 1\n"
_KEY = struct.Struct(">IIqqqq")
_END = struct.Struct(">IQ32s")
_LEVEL = 4
_MOST_BYTES = 1 << 30
"""A length above this is damage, not data."""


async def write_dump(source: Source, file: IO[bytes]) -> Digest:
    """Write `source` to `file` (open, binary), compressed; the caller syncs and closes it.

    Raises:
        OSError: the file cannot be written.
        DatastoreError: the source cannot be read.
    """
    digest = Digest()
    with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=_LEVEL, mtime=0) as packed:
        await offload(packed.write, _header(source.info))
        async for page in source.pages():
            await offload(_write_page, packed, page, digest)
        await offload(packed.write, _END.pack(0, digest.count, bytes.fromhex(digest.hex)))
    return digest


def _header(info: SourceInfo) -> bytes:
    leases = [list(item) for item in info.leases.items()]
    return MAGIC + orjson.dumps({"driver": info.driver, "revision": info.revision, "leases": leases}) + b"\n"


def _write_page(file: gzip.GzipFile, page: Sequence[KeyValue], digest: Digest) -> None:
    for kv in page:
        head = _KEY.pack(
            len(kv.key), len(kv.value), kv.lease, kv.create_revision, kv.mod_revision, kv.version
        )
        file.write(head + kv.key + kv.value)
        digest.add(kv.key, kv.value)


class DumpFile:
    """See `Source`; `file` is open, binary, at its beginning; `name` is for messages. The header is read at once (blocking)."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._name = name
        self._file = cast("IO[bytes]", gzip.GzipFile(fileobj=file, mode="rb"))
        try:
            if self._file.read(len(MAGIC)) != MAGIC:
                raise self._damaged("it is no file of `k3py datastore export`")
            header = orjson.loads(self._file.readline(_MOST_BYTES))
            leases = {int(lease): int(left) for lease, left in header["leases"]}
            self.info = SourceInfo(str(header["driver"]), int(header["revision"]), leases)
        except (OSError, EOFError, zlib.error) as error:
            raise self._damaged(str(error)) from error
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise self._damaged("its header cannot be read") from error

    async def pages(self) -> AsyncIterator[Sequence[KeyValue]]:
        """See `Source`; count and hash of the footer are checked behind the last page."""
        digest = Digest()
        last = False
        while not last:
            page, last = await offload(self._read_page, digest)
            if page:
                yield page

    def _read_page(self, digest: Digest) -> tuple[list[KeyValue], bool]:
        page: list[KeyValue] = []
        size = 0
        try:
            while size < PAGE_BYTES:
                kv = self._read_key(digest)
                if kv is None:
                    return page, True
                page.append(kv)
                size += len(kv.key) + len(kv.value)
        except (OSError, EOFError, zlib.error) as error:
            raise self._damaged(str(error)) from error
        return page, False

    def _read_key(self, digest: Digest) -> KeyValue | None:
        head = self._file.read(4)
        if head == b"\0\0\0\0":
            self._check_footer(self._read(_END.size - 4), digest)
            return None
        if len(head) < 4:
            raise self._damaged("it ends too early")
        key_bytes, value_bytes, lease, created, modified, version = _KEY.unpack(
            head + self._read(_KEY.size - 4)
        )
        if key_bytes > _MOST_BYTES or value_bytes > _MOST_BYTES:
            raise self._damaged("a length in it is impossible")
        key, value = self._read(key_bytes), self._read(value_bytes)
        digest.add(key, value)
        return KeyValue(key, value, Revision(created), Revision(modified), version, LeaseId(lease))

    def _read(self, size: int) -> bytes:
        data = self._file.read(size)
        if len(data) < size:
            raise self._damaged("it ends too early")
        return data

    def _check_footer(self, rest: bytes, digest: Digest) -> None:
        _, count, hash_ = _END.unpack(b"\0\0\0\0" + rest)
        if (count, hash_.hex()) != (digest.count, digest.hex):
            raise self._damaged(f"it promises {count} keys with another hash, and holds {digest.count}")
        if self._file.read(1):  # also has gzip check its own sum
            raise self._damaged("something follows behind its end")

    def _damaged(self, finding: str) -> TransferError:
        return TransferError(f"{self._name} cannot be used: {finding}")
