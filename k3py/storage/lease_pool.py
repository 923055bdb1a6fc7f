"""Leases of objects that go by themselves (Events): one lease for all objects of about a minute.

Source: k8s.io/apiserver/pkg/storage/etcd3/lease_manager.go v0.35 (reuse for min(5 % of the TTL, 60 s), 1000 objects a lease).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from k3py.datastore.interface import LeaseId
from k3py.util import clock

if TYPE_CHECKING:
    from k3py.datastore.interface import Backend

OBJECTS_PER_LEASE: Final = 1000


class LeasePool:
    """Hands out a lease that lives at least `ttl_s` seconds from now."""

    def __init__(self, backend: Backend, ttl_s: int) -> None:
        self._backend = backend
        self._ttl_s = ttl_s
        self._reuse_s = min(ttl_s * 0.05, 60.0)
        self._lease = LeaseId(0)
        self._reuse_until_s = 0.0
        self._objects = 0
        self._granting = asyncio.Lock()

    async def take(self) -> LeaseId:
        """Return a lease for one object; raises the datastore's Unavailable."""
        async with self._granting:
            now_s = clock.monotonic_s()
            if self._lease == 0 or now_s >= self._reuse_until_s or self._objects >= OBJECTS_PER_LEASE:
                self._lease = await self._backend.grant_lease(self._ttl_s + int(self._reuse_s))
                self._reuse_until_s = now_s + self._reuse_s
                self._objects = 0
            self._objects += 1
            return self._lease
