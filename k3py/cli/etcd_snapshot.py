"""`k3py etcd-snapshot save|ls|delete|prune`, for every datastore (C-07, C-80 to C-83).

It works on the datastore and on the folder itself, with or without a running server: SQLite lets another process read while the server
writes, so no request to the server is needed, and a snapshot can be made of a server that hangs.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Final, cast

from k3py.cli.server_values import CommandParser, ServerValues, add_server_flags, load_server_values
from k3py.config.options import OPTIONS, why_not
from k3py.datastore.factory import open_backend, sqlite_path
from k3py.datastore.snapshot.folder import SnapshotFolder, base_of
from k3py.datastore.snapshot.saving import SnapshotSettings, save_backend, save_database
from k3py.errors import ConfigError
from k3py.server.snapshot_bucket import read_s3_settings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager

    from k3py.config.option import Option
    from k3py.datastore.snapshot.folder import Snapshot
    from k3py.datastore.snapshot.s3.bucket import Bucket, StoredSnapshot
    from k3py.datastore.snapshot.s3.settings import S3Settings
    from k3py.jsontypes import JsonObject

_PROG: Final = "k3py etcd-snapshot"
_S3: Final = tuple(one for one in OPTIONS if one.name == "etcd-s3" or one.name.startswith("etcd-s3-"))
_ACTIONS: Final = {"save": "save", "ls": "ls", "list": "ls", "l": "ls", "delete": "delete", "prune": "prune"}


def run(arguments: Sequence[str]) -> int:
    """Run the command; returns 0.

    Raises:
        ConfigError: the command line cannot be used.
        SnapshotError: it cannot be done.
    """
    _refuse(arguments)
    # Intermixed: the flags may stand between the action and its names.
    parsed = _parser().parse_intermixed_args(_spell_out(arguments))
    server = load_server_values(
        parsed, "node-name", "etcd-snapshot-dir", "etcd-snapshot-compress", *(one.name for one in _S3)
    )
    bucket = read_s3_settings(server.values)
    folder = SnapshotFolder(server.snapshot_dir)
    action = _ACTIONS[parsed.action]
    if action != "delete" and parsed.names:
        raise ConfigError(f"{_PROG} {action}: unexpected {parsed.names[0]!r}")
    if action == "save":
        made = asyncio.run(_save(server, parsed.name))
        print(f"Snapshot {made.name} saved.")
        if bucket is not None:
            print(f"Copied to {asyncio.run(_upload(bucket, made)).location}.")
    elif action == "ls":
        _list(folder.snapshots(), asyncio.run(_stored(bucket)), server, parsed.output)
    elif action == "delete":
        if not parsed.names:
            raise ConfigError(f"{_PROG} delete: must name at least one snapshot")
        for name in parsed.names:
            if bucket is not None:
                asyncio.run(_delete_stored(bucket, name))
            if bucket is None or (folder.path / name).exists():
                folder.delete(name)
            print(f"Snapshot {name} deleted.")
    else:
        base = base_of(parsed.name, server.node_name)
        for name in folder.prune(base, _retention(parsed, server)):
            print(f"Snapshot {name} deleted.")
        if bucket is not None and bucket.keep:
            for name in asyncio.run(_prune_stored(bucket, base)):
                print(f"Snapshot {name} deleted from S3.")
    return 0


def _refuse(arguments: Sequence[str]) -> None:
    for argument in arguments:
        name = argument.removeprefix("--").partition("=")[0]
        if not argument.startswith("--"):
            continue
        if why := why_not(name) or why_not(f"etcd-{name}"):
            raise ConfigError(f"--{name}: {why}")
        if name in ("etcd-server", "etcd-token"):
            raise ConfigError(
                f"--{name}: is not needed: snapshots are made where the datastore lies; run it there"
            )


def _spell_out(arguments: Sequence[str]) -> list[str]:
    bools = {"--etcd-snapshot-compress", "--snapshot-compress"}
    bools.update(flag for one in _S3 if one.value_type == "bool" for flag in _flags(one))
    return [f"{one}=true" if one in bools else one for one in arguments]


def _parser() -> CommandParser:
    parser = CommandParser(_PROG, "Save, list, delete and prune snapshots of the datastore.")
    parser.add_argument("action", choices=tuple(_ACTIONS), metavar="save|ls|delete|prune")
    parser.add_argument("names", nargs="*", metavar="NAME", help="delete: which ones")
    add_server_flags(parser)
    parser.add_argument("--node-name", metavar="NAME", help="the node's name in names of snapshots")
    parser.add_argument(
        "--dir", "--etcd-snapshot-dir", dest="etcd_snapshot_dir", metavar="PATH", help="folder of snapshots"
    )
    parser.add_argument("--name", default="on-demand", help="what the name begins with (default: on-demand)")
    parser.add_argument(
        "--snapshot-compress",
        "--etcd-snapshot-compress",
        dest="etcd_snapshot_compress",
        metavar="BOOL",
        help="compress with gzip (default: true)",
    )
    parser.add_argument(
        "--snapshot-retention",
        "--etcd-snapshot-retention",
        dest="retention",
        metavar="N",
        help="prune: how many to keep (default: 5)",
    )
    for one in _S3:
        parser.add_argument(*_flags(one), dest=one.field, metavar=one.value_type.upper(), help=one.help)
    parser.add_argument("--output", "-o", choices=("standard", "json"), default="standard", help="ls: format")
    return parser


def _flags(option: Option) -> tuple[str, str]:
    return f"--{option.name.removeprefix('etcd-')}", f"--{option.name}"


async def _upload(settings: S3Settings, made: Snapshot) -> StoredSnapshot:
    async with _bucket(settings) as bucket:
        return await bucket.upload(made)


async def _stored(settings: S3Settings | None) -> list[StoredSnapshot]:
    if settings is None:
        return []
    async with _bucket(settings) as bucket:
        return await bucket.snapshots()


async def _delete_stored(settings: S3Settings, name: str) -> None:
    async with _bucket(settings) as bucket:
        await bucket.delete(name)


async def _prune_stored(settings: S3Settings, base: str) -> list[str]:
    async with _bucket(settings) as bucket:
        return await bucket.prune(base, settings.keep)


def _bucket(settings: S3Settings) -> AbstractAsyncContextManager[Bucket]:
    from k3py.datastore.snapshot.s3.bucket import open_bucket  # noqa: PLC0415 - only for who has one

    return open_bucket(settings)


async def _save(server: ServerValues, name: str) -> Snapshot:
    if not name or "/" in name:
        raise ConfigError(f"--name: {name!r}: must be a part of a file name")
    settings = SnapshotSettings(
        folder=server.snapshot_dir,
        name=name,
        node_name=server.node_name,
        compress=bool(server.values["etcd_snapshot_compress"]),
    )
    database = sqlite_path(server.endpoint, server.server_dir)
    if database is not None:
        return await save_database(settings, database)
    async with open_backend(server.endpoint, history_s=None, tls=server.tls) as backend:
        return await save_backend(settings, backend)


def _retention(parsed: argparse.Namespace, server: ServerValues) -> int:
    text = parsed.retention
    if text is None:
        return cast("int", server.values["etcd_snapshot_retention"])
    if not text.isdecimal():
        raise ConfigError(f"--snapshot-retention: {text!r}: must be a whole number")
    return int(text)


def _list(
    local: Sequence[Snapshot], stored: Sequence[StoredSnapshot], server: ServerValues, output: str
) -> None:
    found = [(one, one.path.as_uri()) for one in local] + [(one, one.location) for one in stored]
    if output == "json":
        items = [_as_object(one, location, server.node_name) for one, location in found]
        json.dump(
            {
                "kind": "ETCDSnapshotFileList",
                "apiVersion": "k3s.cattle.io/v1",
                "metadata": {},
                "items": items,
            },
            sys.stdout,
        )
        print()
        return
    rows = [("Name", "Location", "Size", "Created")]
    rows += [(one.name, location, str(one.size_bytes), _time(one)) for one, location in found]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        print(" ".join((*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[3])))


def _time(one: Snapshot | StoredSnapshot) -> str:
    return one.created.strftime("%Y-%m-%dT%H:%M:%SZ")


def _as_object(one: Snapshot | StoredSnapshot, location: str, node_name: str) -> JsonObject:
    return {
        "metadata": {"name": one.name, "creationTimestamp": _time(one)},
        "spec": {"snapshotName": one.name, "nodeName": node_name, "location": location},
        "status": {"size": str(one.size_bytes), "creationTime": _time(one), "readyToUse": True},
    }
