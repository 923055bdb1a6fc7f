"""Leases of a `Backend` over a `Log`: granted, kept alive, revoked and ended through the writer."""

from __future__ import annotations

import asyncio
import secrets
from functools import partial
from typing import TYPE_CHECKING

from k3py.datastore.errors import DatastoreError, LeaseExists, LeaseNotFound
from k3py.datastore.interface import NO_LEASE, LeaseId, LeaseStatus
from k3py.datastore.mvcc import evaluation
from k3py.datastore.mvcc.leases import GRANTED_AT_UNKNOWN_S
from k3py.datastore.mvcc.log import Lease
from k3py.datastore.mvcc.writer import Write, Writer
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.datastore.interface import Event
    from k3py.datastore.mvcc.evaluation import View
    from k3py.datastore.mvcc.log import Log, LogState

MAX_LEASE_TTL_S = 9_000_000_000
REVOKES_AT_ONCE = 200


class _StillAlive(DatastoreError):
    """A lease was kept alive while its end waited in the queue."""


class LeaseKeeper(Writer):
    """What `MvccBackend` keeps leases with."""

    def __init__(
        self, rows: Log, state: LogState, *, driver: str, history_s: float | None, window_s: float
    ) -> None:
        super().__init__(rows, state, driver=driver, history_s=history_s, window_s=window_s)
        self._granting: dict[LeaseId, Lease] = {}

    async def grant_lease(self, ttl_s: int, *, lease: LeaseId = NO_LEASE) -> LeaseId:
        """See `Backend`.

        Raises:
            ValueError: `ttl_s` is not between 1 and 9,000,000,000.
            LeaseExists: `lease` is in use.
        """
        if not 1 <= ttl_s <= MAX_LEASE_TTL_S:
            raise ValueError("too large lease TTL" if ttl_s > 0 else "lease TTL must be positive")
        granted = Lease(lease or LeaseId(secrets.randbits(62) + 1), ttl_s, clock.wall_s())

        def evaluate(_: View) -> tuple[object, Sequence[Event]]:
            # A group may be evaluated twice.
            if granted.id in self.reaper or self._granting.setdefault(granted.id, granted) is not granted:
                raise LeaseExists("lease already exists")
            return granted.id, ()

        write = Write(asyncio.get_running_loop().create_future(), evaluate, grant=granted)
        try:
            await self._enqueue(write).future
            self.reaper.add(granted.id, ttl_s=ttl_s, remaining_s=ttl_s)
        finally:
            if self._granting.get(granted.id) is granted:
                del self._granting[granted.id]
        return granted.id

    async def keep_alive(self, lease: LeaseId) -> int:
        """See `Backend`.

        The store learns once that a lease is kept alive: from then on it has its whole time after a restart, as an etcd gives it.
        """
        ttl_s = self.reaper.ttl_s(lease)
        if ttl_s is None:
            raise LeaseNotFound("requested lease not found")
        if lease not in self._renewed:
            kept = Lease(lease, ttl_s, GRANTED_AT_UNKNOWN_S)

            def evaluate(_: View) -> tuple[object, Sequence[Event]]:
                if lease not in self.reaper:
                    raise LeaseNotFound("requested lease not found")
                return None, ()

            write = Write(asyncio.get_running_loop().create_future(), evaluate, grant=kept)
            await self._enqueue(write).future
            if lease not in self.reaper:
                raise LeaseNotFound("requested lease not found")
            self._renewed.add(lease)
        self.reaper.add(lease, ttl_s=ttl_s, remaining_s=ttl_s)
        return ttl_s

    async def lease_status(self, lease: LeaseId) -> LeaseStatus | None:
        """See `Backend`."""
        keys = await self._log.lease_keys(lease)
        ttl_s, remaining = self.reaper.ttl_s(lease), self.reaper.remaining_s(lease)
        if ttl_s is None or remaining is None:
            return None
        return LeaseStatus(lease, ttl_s, remaining, tuple(sorted(keys)))

    async def leases(self) -> tuple[LeaseId, ...]:
        """See `Backend`."""
        return tuple(sorted(self.reaper))

    async def revoke_lease(self, lease: LeaseId) -> None:
        """See `Backend`."""
        if lease not in self.reaper:
            raise LeaseNotFound("requested lease not found")
        await self._enqueue(self._revocation(lease)).future

    @staticmethod
    def _revocation(lease: LeaseId) -> Write:
        evaluate = partial(evaluation.evaluate_revoke, lease=lease)
        return Write(asyncio.get_running_loop().create_future(), evaluate, revoke=lease)

    def _expiry(self, lease: LeaseId) -> Write:
        write = self._revocation(lease)
        revoke = write.evaluate

        def evaluate(view: View) -> tuple[object, Sequence[Event]]:
            if self.reaper.remaining_s(lease):
                raise _StillAlive("kept alive")
            return revoke(view)

        write.evaluate = evaluate
        return write

    async def _expire(self, leases: Sequence[LeaseId]) -> None:
        for at in range(0, len(leases), REVOKES_AT_ONCE):
            some = [lease for lease in leases[at : at + REVOKES_AT_ONCE] if lease in self.reaper]
            futures = [self._enqueue(self._expiry(lease)).future for lease in some]
            if futures:
                done, _ = await asyncio.wait(futures)
                for error in [future.exception() for future in done]:
                    if error is not None and not isinstance(error, _StillAlive):
                        raise error
