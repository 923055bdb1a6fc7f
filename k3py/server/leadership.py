"""Parts of a server of which only one runs in a cluster, although every server has them: run while this server holds a Lease.

Only where several servers can share the datastore; a server that is alone elects nobody, writes nothing for it, and runs these parts like all others.
Source: kube-controller-manager and kube-scheduler v1.35 (names of the Leases); here a server that loses a Lease goes on without these parts instead of ending.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import TYPE_CHECKING, Final

from k3py.client.leader_election import Election, LeaderElector, LeadershipLost
from k3py.util.supervise import Policy
from k3py.util.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from k3py.client.interface import Client
    from k3py.datastore.interface import Backend
    from k3py.util.supervise import Component

log = logging.getLogger(__name__)

_LEASE_S: Final = 10.0
_RENEW_S: Final = 6.0
_RETRY_S: Final = 2.0


def make_election(lease: str, node_name: str) -> Election:
    """Return who is elected how: a leader that was killed is replaced within 10 s and a moment."""
    identity = f"{node_name}_{uuid.uuid4()}"
    return Election(name=lease, identity=identity, lease_s=_LEASE_S, renew_s=_RENEW_S, retry_s=_RETRY_S)


class Led:
    """A component around components: they run while this server leads.

    Args:
        client: acts as the parts' own user.
        election: see `make_election`.
        components: in starting order; started anew each time.
    """

    policy = Policy.RESTART

    def __init__(self, client: Client, election: Election, components: Sequence[Component]) -> None:
        self.name = f"lease-{election.name}"
        self.components = tuple(components)
        self._client = client
        self._election = election
        self._running: Supervisor | None = None

    async def run(self, started: Callable[[], None]) -> None:
        """Stand for election until cancelled; a Lease that is held is given back."""
        started()
        while True:
            try:
                await LeaderElector(self._client, self._election).run(self._lead)
            except LeadershipLost as error:
                log.warning("leads no longer", extra={"lease": self._election.name, "why": str(error)})

    async def _lead(self) -> None:
        self._running = Supervisor(self.components)
        try:
            await self._running.run()
        finally:
            self._running = None

    def health(self) -> Mapping[str, str | None]:
        """Return what is wrong with each part while this server leads; {} else."""
        return {} if self._running is None else self._running.health()


class Compaction:
    """A component: has the datastore compacted from here, while it runs."""

    name = "compaction"
    policy = Policy.RESTART

    def __init__(self, backend: Backend) -> None:
        backend.compact_by_itself(whether=False)
        self._backend = backend

    async def run(self, started: Callable[[], None]) -> None:
        """Compact until cancelled."""
        self._backend.compact_by_itself(whether=True)
        try:
            started()
            await asyncio.Event().wait()
        finally:
            self._backend.compact_by_itself(whether=False)


if TYPE_CHECKING:

    def _check(led: Led, compaction: Compaction) -> tuple[Component, Component]:
        return led, compaction
