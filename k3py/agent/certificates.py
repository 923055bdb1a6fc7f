"""Renews an agent's certificates in the running process, without dropping a connection (J-85, J-86).

When they are due, when the node's address is another one, and when the node started from what it had because its server was away.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from k3py.agent.errors import JoinRefused, ServerUnreachable
from k3py.pki.tls import find_renewal_s
from k3py.util import clock
from k3py.util.backoff import Backoff
from k3py.util.supervise import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from k3py.agent.join import Joiner
    from k3py.cluster.server_list import ServerList
    from k3py.network.own_address import OwnAddress

log = logging.getLogger(__name__)

_LONGEST_S: Final = 86400.0  # clocks of such machines jump
_SHORTEST_S: Final = 3600.0  # between two that were due: a clock far ahead finds every certificate old
_FIRST_RETRY_S, _LONGEST_RETRY_S = 1.0, 600.0


class AgentCertificates:
    """A component.

    Args:
        joiner: gets them.
        folder: where they lie.
        servers: learns where the servers are on the same occasion.
        own: the node's address.
        at_once: they may be of long ago: ask for new ones as soon as a server answers.
        hooks: called when certificates were written: take them into use.
    """

    name = "certificate-renewal"
    policy = Policy.RESTART

    def __init__(
        self,
        joiner: Joiner,
        folder: Path,
        servers: ServerList,
        own: OwnAddress,
        *,
        at_once: bool,
        hooks: Sequence[Callable[[], None]],
    ) -> None:
        self._joiner = joiner
        self._folder = folder
        self._servers = servers
        self._own = own
        self._hooks = hooks
        self._not_before_s = 0.0
        self._wanted = asyncio.Event()
        if at_once:
            self._wanted.set()
        own.on_change(self._wanted.set)

    async def run(self, started: Callable[[], None]) -> None:
        """Renew until cancelled."""
        started()
        backoff = Backoff(first_s=_FIRST_RETRY_S, cap_s=_LONGEST_RETRY_S, jitter=0.5)
        while True:
            await self._wait_due()
            try:
                await self._renew()
            except (ServerUnreachable, JoinRefused, OSError) as error:
                level = logging.DEBUG if backoff.attempts else logging.WARNING
                log.log(level, "certificates cannot be renewed, will try again", extra={"why": str(error)})
                self._wanted.set()
                await asyncio.sleep(backoff.next_s())
            else:
                backoff.reset()

    async def _wait_due(self) -> None:
        while not self._wanted.is_set():
            due_s = max(await asyncio.to_thread(self._due_s), self._not_before_s - clock.monotonic_s())
            if due_s <= 0:
                return
            try:
                async with asyncio.timeout(min(due_s, _LONGEST_S)):
                    await self._wanted.wait()
            except TimeoutError:
                continue

    def _due_s(self) -> float:
        return min(find_renewal_s(file) for file in self._folder.glob("*kube*.crt"))

    async def _renew(self) -> None:
        """Raises JoinRefused, ServerUnreachable, OSError."""
        self._wanted.clear()
        self._joiner.node_ip = self._own.all[0]
        joined = await self._joiner.renew()
        for hook in self._hooks:
            hook()
        self._not_before_s = clock.monotonic_s() + _SHORTEST_S
        log.info("took renewed certificates into use", extra={"address": self._own.text})
        await self._servers.learn(joined.servers)
