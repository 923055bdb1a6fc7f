"""Makes snapshots at the times of a schedule, and removes old ones (C-34, D-20)."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from k3py.api.cron import parse_schedule
from k3py.datastore.errors import DatastoreError
from k3py.datastore.factory import sqlite_path
from k3py.datastore.snapshot.folder import SnapshotFolder
from k3py.datastore.snapshot.saving import SnapshotSettings, save_backend, save_database
from k3py.server.snapshot_bucket import config_secret, read_s3_settings
from k3py.util import clock
from k3py.util.offload import offload
from k3py.util.supervise import Policy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from k3py.api.cron import Schedule
    from k3py.client.interface import Client
    from k3py.config.server import ServerConfig
    from k3py.datastore.interface import Backend
    from k3py.datastore.snapshot.folder import Snapshot
    from k3py.datastore.snapshot.s3.settings import S3Settings

log = logging.getLogger(__name__)

OWN_SCHEDULE: Final = "0 */12 * * *"
"""For stores that k3py runs itself: SQLite and the managed etcd."""

LONGEST_SLEEP_S: Final = 3600.0
"""A clock that is set while the schedule sleeps (a board without a battery, at boot) is noticed so late at most."""


def scheduled_snapshots(
    config: ServerConfig, backend: Backend, client: Client | None = None
) -> list[SnapshotSchedule]:
    """Return the component that the configuration asks for, or none; `client` reads the Secret that may name the bucket.

    Raises:
        ConfigError: the bucket is named wrongly.
    """
    secret = config_secret(config.etcd_s3) if client is not None else ""
    bucket = None if secret else read_s3_settings(config.etcd_s3)

    async def find_bucket() -> S3Settings | None:
        if not secret or client is None:
            return bucket
        from k3py.server.snapshot_secret import read_secret  # noqa: PLC0415 - only for who has one

        return await read_secret(client, secret)

    database = sqlite_path(config.datastore_endpoint, config.data_dir / "server")
    is_own = database is not None or config.runs_etcd
    text = config.etcd_snapshot_schedule_cron or (OWN_SCHEDULE if is_own else "")
    if config.etcd_disable_snapshots or not text:
        return []
    settings = SnapshotSettings(
        folder=config.etcd_snapshot_dir,
        name=config.etcd_snapshot_name,
        node_name=config.node_name,
        compress=config.etcd_snapshot_compress,
        keep=config.etcd_snapshot_retention,
    )

    async def save() -> Snapshot:
        if database is not None:
            return await save_database(settings, database)
        return await save_backend(settings, backend)

    return [SnapshotSchedule(parse_schedule(text), settings, save, find_bucket)]


class SnapshotSchedule:
    """A component that sleeps until the next time of `cron` (local time) and then calls `save`."""

    name = "snapshot-schedule"
    policy = Policy.RESTART

    def __init__(
        self,
        cron: Schedule,
        settings: SnapshotSettings,
        save: Callable[[], Awaitable[Snapshot]],
        find_bucket: Callable[[], Awaitable[S3Settings | None]] | None = None,
    ) -> None:
        self._cron = cron
        self._settings = settings
        self._save = save
        self._find_bucket = find_bucket

    async def run(self, started: Callable[[], None]) -> None:
        """Make snapshots until cancelled; one that fails is logged, the next is made at its time."""
        started()
        due = self._next_s()
        while due is not None:
            left_s = due - clock.wall_s()
            if left_s > 0:
                await asyncio.sleep(min(left_s, LONGEST_SLEEP_S))
                due = self._nearer(due)
                continue
            await self._make()
            due = self._next_s()
        log.warning("the snapshot schedule has no future date")
        await asyncio.get_running_loop().create_future()

    def _next_s(self) -> float | None:
        found = self._cron.next_after(clock.now().astimezone().replace(tzinfo=None))
        return None if found is None else found.timestamp()

    def _nearer(self, due: float) -> float:
        """Return the next time again if the clock was set back meanwhile."""
        now_due = self._next_s()
        return due if now_due is None else min(due, now_due)

    async def _make(self) -> None:
        try:
            made = await self._save()
            old = []
            if self._settings.keep > 0:
                old = await offload(
                    SnapshotFolder(self._settings.folder).prune, self._settings.base, self._settings.keep
                )
        except DatastoreError as error:
            log.warning("cannot make a snapshot, trying again at its next time", extra={"error": str(error)})
            return
        log.info(
            "made a snapshot", extra={"snapshot": made.name, "bytes": made.size_bytes, "removed": len(old)}
        )
        if self._find_bucket is not None:
            await self._copy(made, self._find_bucket)

    async def _copy(self, made: Snapshot, find_bucket: Callable[[], Awaitable[S3Settings | None]]) -> None:
        try:
            settings = await find_bucket()
            if settings is None:
                return
            from k3py.datastore.snapshot.s3.bucket import open_bucket  # noqa: PLC0415 - only for who has one

            async with open_bucket(settings) as bucket:
                stored = await bucket.upload(made)
                old = await bucket.prune(self._settings.base, settings.keep) if settings.keep else []
        except DatastoreError as error:
            log.warning("cannot copy a snapshot to S3", extra={"snapshot": made.name, "error": str(error)})
            return
        log.info("copied a snapshot to S3", extra={"location": stored.location, "removed": len(old)})
