"""`k3py datastore export FILE|-`, `import FILE|-`, `copy SOURCE TARGET`: whole stores, whatever the driver.

Stop the servers of a source first: what they write later does not come along.

`status`, `check`, `compact [REVISION]` and `defrag` also work while the server runs.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from k3py.cli.json_source import JsonSource
from k3py.cli.server_values import CommandParser, ServerValues, add_server_flags, load_server_values
from k3py.datastore.control import ask
from k3py.datastore.errors import Locked
from k3py.datastore.factory import name_of, open_backend, sqlite_path
from k3py.datastore.operations import operate
from k3py.datastore.transfer.dump_file import DumpFile, write_dump
from k3py.datastore.transfer.errors import TransferError
from k3py.datastore.transfer.kine_file import KineFile, is_kine_file, open_read_only
from k3py.datastore.transfer.loading import load
from k3py.datastore.transfer.saved_stream import without_digest
from k3py.datastore.transfer.source import read_backend
from k3py.errors import ConfigError
from k3py.util.files import sync_folder
from k3py.util.offload import offload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from k3py.datastore.interface import Backend
    from k3py.datastore.operations import Outcome
    from k3py.datastore.tls_files import TlsFiles
    from k3py.datastore.transfer.digest import Digest
    from k3py.datastore.transfer.source import Source

_PROG: Final = "k3py datastore"
_OPERANDS: Final = {
    "export": (1, 1),
    "import": (1, 1),
    "copy": (2, 2),
    "status": (0, 0),
    "check": (0, 0),
    "compact": (0, 1),
    "defrag": (0, 0),
}
"""How many operands there are, at least and at most."""
_SQLITE: Final = b"SQLite format 3\0"


def run(arguments: Sequence[str]) -> int:
    """Run the command; returns 0.

    Raises:
        ConfigError: the command line cannot be used.
        DatastoreError: it cannot be done; a target is then unchanged, or marked as incomplete.
    """
    parser = CommandParser(_PROG, __doc__ or "")
    parser.add_argument("action", choices=tuple(_OPERANDS), metavar="|".join(_OPERANDS))
    parser.add_argument("operands", nargs="*", metavar="FILE|ENDPOINT|REVISION")
    add_server_flags(parser)
    parser.add_argument(
        "--force",
        action="store_true",
        help="import, copy: remove what an interrupted import left, and start again",
    )
    parser.add_argument(
        "--to-json",
        action="store_true",
        help="import, copy: turn objects in protobuf (of K3s, of a kube-apiserver) into JSON, which k3py's API server reads",
    )
    # Intermixed: the flags may stand between the action and its operands.
    parsed = parser.parse_intermixed_args(arguments)
    least, most = _OPERANDS[parsed.action]
    if not least <= len(parsed.operands) <= most:
        wanted = str(least) if least == most else f"{least} or {most}"
        raise ConfigError(f"{_PROG} {parsed.action}: needs {wanted} operands, not {len(parsed.operands)}")
    server = load_server_values(parsed)
    try:
        asyncio.run(_do(parsed.action, parsed.operands, server, again=parsed.force, to_json=parsed.to_json))
    except OSError as error:
        raise TransferError(f"{error.filename or 'the file'}: {error.strerror}") from error
    return 0


async def _do(
    action: str, operands: Sequence[str], server: ServerValues, *, again: bool, to_json: bool
) -> None:
    if action == "export":
        await _export(server, operands[0])
    elif action == "import":
        async with _file_source(operands[0]) as source:
            await _fill(source, server.endpoint, server.server_dir, server.tls, again=again, to_json=to_json)
    elif action == "copy":
        if operands[0] == operands[1]:
            raise ConfigError(f"{_PROG} copy: source and target are the same store")
        async with _store_source(operands[0], server.tls) as source:
            await _fill(source, operands[1], None, server.tls, again=again, to_json=to_json)
    else:
        await _operate(action, server, _revision(operands))


async def _export(server: ServerValues, target: str) -> None:
    async with _existing(server.endpoint, server.server_dir, server.tls) as backend:
        source = await read_backend(backend)
        with _writing(target) as file:
            digest = await write_dump(source, file)
    _tell("exported", digest, f"revision {source.info.revision}")


async def _fill(
    source: Source, endpoint: str, server_dir: Path | None, tls: TlsFiles, *, again: bool, to_json: bool
) -> None:
    name = name_of(endpoint, server_dir)
    turning = JsonSource(source) if to_json else None
    async with open_backend(
        endpoint, data_dir=server_dir, history_s=None, incomplete=True, tls=tls
    ) as target:
        digest = await load(turning or source, target, name=name, again=again)
        revision = target.current_revision
    _tell(f"imported into {name}", digest, f"revision {revision}")
    if turning is not None:
        print(
            f"k3py: turned {turning.turned} objects into JSON, kept {turning.kept} of unknown kinds",
            file=sys.stderr,
        )


def _revision(operands: Sequence[str]) -> int:
    if not operands:
        return 0
    if not operands[0].isdecimal() or int(operands[0]) < 1:
        raise ConfigError(f"{_PROG} compact: {operands[0]!r}: must be a revision, 1 or higher")
    return int(operands[0])


async def _operate(action: str, server: ServerValues, revision: int) -> None:
    name = name_of(server.endpoint, server.server_dir)
    outcome = await _outcome_of(action, server, revision)
    line = (
        f"{name}: {outcome.driver}, revision {outcome.revision}, compacted to {outcome.compact_revision}, "
        f"{outcome.size_bytes} bytes, {outcome.size_in_use_bytes} in use"
    )
    if action in ("compact", "defrag"):
        line += f", {outcome.before_bytes} bytes before"
    print(line)
    if action == "check":
        print(
            f"k3py: read: {outcome.keys} keys, sha256 {outcome.digest}, revision {outcome.revision}",
            file=sys.stderr,
        )


async def _outcome_of(action: str, server: ServerValues, revision: int) -> Outcome:
    """Do it here, or have the process do it that has the SQLite database open."""
    try:
        async with _existing(server.endpoint, server.server_dir, server.tls) as backend:
            return await operate(backend, action, revision)
    except Locked as locked:
        path = sqlite_path(server.endpoint, server.server_dir)
        if path is None:
            raise
        try:
            return await ask(path, action, revision)
        except (FileNotFoundError, ConnectionRefusedError):
            raise locked from None


def _tell(what: str, digest: Digest, more: str) -> None:
    # Standard error: standard output may be the file.
    print(f"k3py: {what}: {digest.count} keys, sha256 {digest.hex}, {more}", file=sys.stderr)


@asynccontextmanager
async def _file_source(operand: str) -> AsyncIterator[Source]:
    if operand == "-":
        yield DumpFile(sys.stdin.buffer, "standard input")
        return
    path = Path(operand)
    with await offload(path.open, "rb") as file:
        if file.read(len(_SQLITE)) != _SQLITE:
            file.seek(0)
            yield DumpFile(await offload(without_digest, file), operand)
            return
    if not is_kine_file(path):
        raise TransferError(
            f"{operand} is a database without a table of Kine; a snapshot is restored by "
            "`k3py server --cluster-reset`, a database of k3py is copied by `k3py datastore copy`"
        )
    with open_read_only(path) as connection:
        yield KineFile(connection, path)


@asynccontextmanager
async def _store_source(endpoint: str, tls: TlsFiles) -> AsyncIterator[Source]:
    path = sqlite_path(endpoint) if endpoint else None
    if path is not None and path.is_file() and is_kine_file(path):
        with open_read_only(path) as connection:
            yield KineFile(connection, path)
        return
    async with _existing(endpoint, None, tls) as backend:
        yield await read_backend(backend)


@asynccontextmanager
async def _existing(endpoint: str, server_dir: Path | None, tls: TlsFiles) -> AsyncIterator[Backend]:
    """Open a store without making it."""
    path = sqlite_path(endpoint, server_dir)
    if path is not None and not path.is_file():
        raise TransferError(f"there is no database {path}")
    async with open_backend(endpoint, data_dir=server_dir, history_s=None, tls=tls) as backend:
        yield backend


@contextmanager
def _writing(target: str) -> Iterator[IO[bytes]]:
    """Give a file that appears under its name only when it is complete; an existing one is refused."""
    if target == "-":
        if sys.stdout.isatty():
            raise ConfigError(f"{_PROG} export -: standard output is a terminal; redirect it")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(target).absolute()
    if path.exists():
        raise TransferError(f"{path} exists already; nothing was written")
    work = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(
            os.open(work, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb"
        ) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        work.rename(path)
        sync_folder(path.parent)
    finally:
        work.unlink(missing_ok=True)
