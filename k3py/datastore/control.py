"""A unix socket beside an SQLite database through which commands reach the process that has it open (`k3py datastore compact`).

A request and its answer are one line of JSON each: {"operation": …, "revision": …} and either the fields of `operations.Outcome` or
{"error": …}. Only the user who runs the server may connect. Other drivers need none: a command opens the same database.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import orjson

from k3py.datastore.errors import DatastoreError, Unavailable
from k3py.datastore.factory import sqlite_path
from k3py.datastore.operations import Outcome, operate
from k3py.errors import K3pyError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from k3py.datastore.interface import Backend

log = logging.getLogger(__name__)

REQUEST_S: Final = 10.0
_REQUEST_BYTES: Final = 1024


def control_of(backend: Backend, endpoint: str, data_dir: Path) -> AbstractAsyncContextManager[None]:
    """Serve the socket of the store that `open_backend` opened, if it needs one."""
    path = sqlite_path(endpoint, data_dir)
    return nullcontext() if path is None else serve_control(backend, path)


@asynccontextmanager
async def serve_control(backend: Backend, database: Path) -> AsyncIterator[None]:
    """Serve the socket of `database` while the context lasts; a store whose socket cannot be made goes on without."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(orjson.dumps(await _answer(backend, reader)) + b"\n")
            await writer.drain()
        except OSError as error:
            log.debug("a command left before its answer", extra={"error": str(error)})
        finally:
            writer.close()

    try:
        listening = _listen(database)
    except OSError as error:
        log.warning("k3py datastore cannot reach this store", extra={"error": str(error)})
        yield
        return
    server = await asyncio.start_unix_server(handle, sock=listening, limit=_REQUEST_BYTES)
    try:
        yield
    finally:
        with suppress(OSError):
            _path(database).unlink()
        server.close()


async def _answer(backend: Backend, reader: asyncio.StreamReader) -> dict[str, object]:
    try:
        async with asyncio.timeout(REQUEST_S):
            request = orjson.loads(await reader.readuntil(b"\n"))
        operation, revision = str(request["operation"]), int(request.get("revision", 0))
    except (
        TimeoutError,
        asyncio.IncompleteReadError,
        asyncio.LimitOverrunError,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
    ):
        return {"error": "the request cannot be read"}
    log.info("asked to operate on the store", extra={"operation": operation, "revision": revision})
    try:
        return asdict(await operate(backend, operation, revision))
    except (K3pyError, ValueError) as error:
        return {"error": str(error)}


async def ask(database: Path, operation: str, revision: int = 0) -> Outcome:
    """Have the process that has `database` open do an operation.

    Raises:
        FileNotFoundError, ConnectionRefusedError: nobody serves the socket.
        DatastoreError: it cannot be done, or the process ended meanwhile.
    """
    with _short(database) as path:
        reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(orjson.dumps({"operation": operation, "revision": revision}) + b"\n")
        await writer.drain()
        line = await reader.readline()
        answer = orjson.loads(line)
    except (OSError, ValueError) as error:
        raise Unavailable(f"the process that has {database} open ended meanwhile") from error
    finally:
        writer.close()
    if "error" in answer:
        raise DatastoreError(answer["error"])
    return Outcome(**answer)


def _listen(database: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(listening.fileno(), 0o600)  # the file gets this mode when it is made
        with suppress(FileNotFoundError):
            _path(database).unlink()  # of a killed process: we hold the database's lock
        with _short(database) as path:
            listening.bind(path)
        listening.listen(4)
    except OSError:
        listening.close()
        raise
    return listening


@contextmanager
def _short(database: Path) -> Iterator[str]:
    """Give a name of the socket that is short enough for the kernel (107 bytes), however deep the folder lies."""
    folder = os.open(database.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{_path(database).name}"
    finally:
        os.close(folder)


def _path(database: Path) -> Path:
    return database.with_name(f"{database.name}.sock")
