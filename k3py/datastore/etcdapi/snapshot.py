"""Maintenance.Snapshot: a consistent backup in k3py's own form, not a bbolt file: `k3py datastore import` reads it, etcdutl does not.

It is the file of `k3py datastore export`, filled with zeros to a multiple of 512 bytes and followed by its SHA-256, which is how etcdctl
knows that nothing is missing (datastore.md 114).
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from typing import IO, TYPE_CHECKING, Final

from k3py.datastore.errors import DatastoreError
from k3py.datastore.etcdapi.conditions import condition
from k3py.datastore.etcdapi.store import ETCD_VERSION
from k3py.datastore.transfer.dump_file import write_dump
from k3py.datastore.transfer.source import read_backend
from k3py.util.offload import offload

if TYPE_CHECKING:
    from k3py.datastore.etcdapi.server import DocumentStream
    from k3py.datastore.etcdapi.store import Store

BLOB_BYTES: Final = 32 << 10
_ALIGNED_BYTES: Final = 512


async def serve(store: Store, stream: DocumentStream) -> None:
    """Serve Maintenance.Snapshot."""
    _ = await stream.recv_message()
    file = await offload(tempfile.TemporaryFile)
    try:
        source = await read_backend(store.backend)
        _ = await write_dump(source, file)
        size = await offload(_complete, file)
        header = store.header(source.info.revision)
        digest, sent = hashlib.sha256(), 0
        while sent < size:
            blob = await offload(file.read, BLOB_BYTES)
            digest.update(blob)
            sent += len(blob)
            await stream.send_message(
                {"header": header, "remaining_bytes": size - sent, "blob": blob, "version": ETCD_VERSION}
            )
        await stream.send_message({"header": header, "blob": digest.digest(), "version": ETCD_VERSION})
    except DatastoreError as error:
        raise condition(error) from None
    finally:
        await offload(file.close)


def _complete(file: IO[bytes]) -> int:
    """Fill the file up; return its size and leave it at its beginning."""
    size = file.seek(0, os.SEEK_END)
    size += file.write(bytes(-size % _ALIGNED_BYTES))
    file.seek(0)
    return size
