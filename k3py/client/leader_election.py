"""Who leads, when several servers run the same controllers: a Lease that its holder renews.

Not used with one server (ARCHITECTURE §1.4). Safety rests on clocks running at about the same speed, not on their agreeing: a candidate waits
`lease_s` from when *it* saw the lease change last. Source: client-go tools/leaderelection v0.35.
"""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.api.object import deep_copy
from k3py.api.resource import LEASES
from k3py.api.status import ApiError
from k3py.errors import K3pyError
from k3py.util import clock
from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from k3py.client.interface import Client
    from k3py.jsontypes import JsonObject

log = logging.getLogger(__name__)

JITTER: Final = 1.2
_RELEASE_S: Final = 2.0
"""A store that does not answer keeps nobody from stopping."""

_SPREAD_S: Final = 0.3
"""Candidates that wait for the same deadline come one after the other."""


class LeadershipLost(K3pyError):
    """The lease could not be renewed in time: whatever needs leadership must stop at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Election:
    """What is elected and how long things take; seconds as upstream's defaults.

    name, namespace: of the Lease. identity: of this candidate, unique.
    lease_s: how long others wait for a silent leader. renew_s: after which a leader that cannot renew gives up (< lease_s).
    retry_s: pause between attempts to get or renew the lease.
    """

    name: str
    identity: str
    namespace: str = "kube-system"
    lease_s: float = 15.0
    renew_s: float = 10.0
    retry_s: float = 2.0


class LeaderElector:
    """One candidate."""

    def __init__(self, client: Client, election: Election) -> None:
        self._client = client
        self._election = election
        self._observed: JsonObject | None = None
        self._observed_s = 0.0

    @property
    def leader(self) -> str:
        """Return the identity of the last known holder, "" = nobody."""
        return "" if self._observed is None else str(self._observed["spec"].get("holderIdentity") or "")

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Wait for leadership, then run `lead()` while renewing; release the lease when it returns or this is cancelled.

        Raises:
            LeadershipLost: `lead` was cancelled because the lease could not be renewed.
        """
        while True:
            if await self._try_to_lead():
                break
            await self._wait()
        log.info("became leader", extra={"lease": self._election.name})
        try:
            async with TaskScope() as scope:
                renewing = scope.spawn(self._renew(), name="renew-lease")
                await lead()
                renewing.cancel()
        finally:
            await self._release()

    async def _wait(self) -> None:
        """Wait until the lease changes or its holder has been silent for its whole time; at most, when it cannot be watched, a pause."""
        pause_s = self._election.retry_s * (1.0 + random.random() * JITTER)  # noqa: S311
        spec = self._observed["spec"] if self._observed is not None else {}
        left_s = spec.get("leaseDurationSeconds", 0.0) - (clock.monotonic_s() - self._observed_s)
        if self._observed is None or left_s <= 0:  # we may, but could not
            await asyncio.sleep(pause_s)
            return
        try:
            async with asyncio.timeout(left_s + random.random() * _SPREAD_S):  # noqa: S311
                try:
                    async with self._client.watch(
                        LEASES,
                        namespace=self._election.namespace,
                        field_selector=f"metadata.name={self._election.name}",
                        resource_version=self._observed["metadata"]["resourceVersion"],
                    ) as events:
                        async for event in events:
                            if event.type != "BOOKMARK":
                                return
                except ApiError as error:
                    log.debug("cannot watch the lease", extra={"error": error.message})
                await asyncio.sleep(pause_s)
        except TimeoutError:
            return

    async def _renew(self) -> None:
        last_s = clock.monotonic_s()
        while True:
            await asyncio.sleep(self._election.retry_s)
            try:
                async with asyncio.timeout(self._election.renew_s - (clock.monotonic_s() - last_s)):
                    renewed = await self._try_to_lead()
            except TimeoutError:
                renewed = False
            if renewed:
                last_s = clock.monotonic_s()
            elif self.leader != self._election.identity:
                raise LeadershipLost(f"{self._election.name}: {self.leader or 'nobody'} leads now")
            elif clock.monotonic_s() - last_s >= self._election.renew_s:
                raise LeadershipLost(f"{self._election.name}: the lease could not be renewed in time")

    async def _try_to_lead(self) -> bool:
        """Get or renew the lease; False: somebody else holds it, or the API server did not let us."""
        election = self._election
        try:
            lease = await self._client.get(LEASES, election.name, namespace=election.namespace)
        except ApiError as error:
            return error.code == 404 and await self._create()
        version = lease["metadata"]["resourceVersion"]
        if self._observed is None or self._observed["metadata"]["resourceVersion"] != version:
            self._observed, self._observed_s = lease, clock.monotonic_s()
        spec = lease["spec"]
        holder = spec.get("holderIdentity") or ""
        waited_s = clock.monotonic_s() - self._observed_s
        if holder not in ("", election.identity) and waited_s < spec.get(
            "leaseDurationSeconds", election.lease_s
        ):
            return False
        new = deep_copy(lease)
        new["spec"]["renewTime"] = _micro_time()
        if holder != election.identity:
            new["spec"] |= {
                "holderIdentity": election.identity,
                "leaseDurationSeconds": int(election.lease_s),
                "acquireTime": new["spec"]["renewTime"],
                "leaseTransitions": spec.get("leaseTransitions", 0) + 1,
            }
        return await self._write(new)

    async def _create(self) -> bool:
        now = _micro_time()
        lease = {
            "kind": "Lease",
            "apiVersion": "coordination.k8s.io/v1",
            "metadata": {"name": self._election.name, "namespace": self._election.namespace},
            "spec": {
                "holderIdentity": self._election.identity,
                "leaseDurationSeconds": int(self._election.lease_s),
                "acquireTime": now,
                "renewTime": now,
                "leaseTransitions": 0,
            },
        }
        try:
            self._observed = await self._client.create(LEASES, lease, namespace=self._election.namespace)
        except ApiError as error:
            log.info("cannot create the lease", extra={"error": error.message})
            return False
        self._observed_s = clock.monotonic_s()
        return True

    async def _write(self, lease: JsonObject) -> bool:
        try:
            self._observed = await self._client.update(LEASES, lease)
        except ApiError as error:
            log.info("cannot renew the lease", extra={"error": error.message})
            return False
        self._observed_s = clock.monotonic_s()
        return True

    async def _release(self) -> None:
        """Let others lead at once."""
        if self._observed is None or self.leader != self._election.identity:
            return
        lease = deep_copy(self._observed)
        now = _micro_time()
        lease["spec"] |= {
            "holderIdentity": "",
            "leaseDurationSeconds": 1,
            "renewTime": now,
            "acquireTime": now,
        }
        try:
            async with asyncio.timeout(_RELEASE_S):
                await self._write(lease)
        except TimeoutError:
            log.info("cannot release the lease, it runs out", extra={"lease": self._election.name})


def _micro_time() -> str:
    return clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
