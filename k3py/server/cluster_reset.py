"""`k3py server --cluster-reset`: puts a snapshot back, or makes a member of the managed etcd the only one, and ends (D-30 to D-32).

`server/db/reset-flag` then keeps the same command from running again by mistake (it stays in a unit file, say) until a normal start.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from k3py.datastore.factory import name_of, open_backend, sqlite_path
from k3py.datastore.snapshot.folder import SnapshotFolder
from k3py.datastore.snapshot.restoring import remove_remains, restore_backend, restore_database
from k3py.datastore.tls_files import TlsFiles
from k3py.errors import ConfigError, K3pyError
from k3py.server.etcd.choice import runs_etcd
from k3py.server.etcd.layout import EtcdLayout
from k3py.server.snapshot_bucket import read_s3_settings
from k3py.util.data_dir import hold_data_dir
from k3py.util.files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from k3py.config.server import ServerConfig
    from k3py.datastore.snapshot.s3.settings import S3Settings

log = logging.getLogger(__name__)

_FLAG: Final = "server/db/reset-flag"


async def reset_cluster(config: ServerConfig) -> int:
    """Restore; returns the exit code.

    Raises:
        ConfigError: no snapshot is named, and the datastore has no members.
        K3pyError: it was done already, a server runs, or the snapshot cannot be used; the store is then unchanged.
    """
    snapshot = config.cluster_reset_restore_path
    with hold_data_dir(config.data_dir):
        flag = config.data_dir / _FLAG
        if flag.exists():
            raise K3pyError(
                f"the datastore was already restored (see {flag}): start the server without --cluster-reset first"
            )
        folder = flag.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        member = EtcdLayout(data_dir=config.data_dir)
        if snapshot is None:
            await _forget_members(config, member)
            write_atomically(flag, b"members were forgotten\n")
            return 0
        bucket = read_s3_settings(config.etcd_s3)
        if bucket is not None:
            snapshot = await _fetch(bucket, snapshot.name, config.etcd_snapshot_dir)
        database = sqlite_path(config.datastore_endpoint, config.data_dir / "server")
        old: Path | None = None
        if runs_etcd(config) or member.restore_mark.exists():
            from k3py.server.etcd.reset import restore_member  # noqa: PLC0415 - only for who has one

            restored, old = await restore_member(config, member, snapshot)
        elif database is not None:
            restored = await restore_database(snapshot, database)
        else:
            tls = TlsFiles(config.datastore_cafile, config.datastore_certfile, config.datastore_keyfile)
            async with open_backend(
                config.datastore_endpoint, history_s=None, incomplete=True, tls=tls
            ) as backend:
                name = name_of(config.datastore_endpoint)
                restored = await restore_backend(snapshot, backend, name=name, work=folder)
        write_atomically(flag, b"restored from " + str(snapshot).encode() + b"\n")
    log.info(
        "restored the datastore; start the server without --cluster-reset now",
        extra={
            "snapshot": str(snapshot),
            "keys": restored.count,
            "sha256": restored.hash,
            "revision": restored.revision,
            "old": str(restored.kept or old or "none"),
        },
    )
    return 0


async def _forget_members(config: ServerConfig, member: EtcdLayout) -> None:
    if not runs_etcd(config):
        raise ConfigError(
            "--cluster-reset: must be given together with --cluster-reset-restore-path: this server's datastore has no members to forget"
        )
    from k3py.server.etcd.reset import forget_members  # noqa: PLC0415 - only for who has one

    await forget_members(config, member)
    log.info(
        "this server is the only member of its etcd; start it without --cluster-reset now, and have the others join anew with an empty server/db"
    )


async def _fetch(settings: S3Settings, name: str, folder: Path) -> Path:
    """Copy a snapshot from S3 into the folder of snapshots, unless it is there; return its path."""
    from k3py.datastore.snapshot.s3.bucket import open_bucket  # noqa: PLC0415 - only for who has one

    target = folder / name
    if target.exists():
        return target
    with SnapshotFolder(folder).working() as work:
        async with open_bucket(settings) as bucket:
            await bucket.download(name, work)
        work.rename(target)
    return target


def was_reset(config: ServerConfig) -> bool:
    """Say whether the datastore was restored since the last normal start."""
    return (config.data_dir / _FLAG).exists()


def clear_reset_flag(config: ServerConfig) -> None:
    """Allow another restore: the server has started normally; remove what a killed one left. Blocking."""
    (config.data_dir / _FLAG).unlink(missing_ok=True)
    database = sqlite_path(config.datastore_endpoint, config.data_dir / "server")
    if database is not None:
        remove_remains(database)
