"""The agent's end of its tunnels: one to every server, dialled from here, so that servers reach this node wherever it stands.

The address to join is used for a tunnel while none of the servers that the cluster names can be reached. A tunnel that stands is the
sign that its server is well; how it ends is told to the load balancer.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, Protocol

import aiohttp

from k3py.cluster.load_balancer import DIAL_S, watch_over
from k3py.cluster.tunnel.session import TunnelSession
from k3py.util.backoff import Backoff
from k3py.util.supervise import Policy, TaskScope
from k3py.util.upgrade import CHUNK_BYTES
from k3py.wire.tunnel import LARGEST_FRAME_BYTES, TunnelError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from k3py.cluster.tunnel.dial_policy import DialPolicy

_LOG: Final = logging.getLogger(__name__)
PATH: Final = "/v1-k3py/connect"
PING_S: Final = 60.0  # only when nothing else came meanwhile
FIRST_RETRY_S: Final = 1.0
LONGEST_RETRY_S: Final = 30.0
_ANSWER_S: Final = 10.0
_LAST_RESORT_S: Final = 2.0


class KnownServers(Protocol):
    """Where servers are, as "host:port": by what the cluster says, and one to try while none of those is reached ("" = none)."""

    @property
    def learned(self) -> tuple[str, ...]:
        """Those that the cluster names."""

    @property
    def join(self) -> str:
        """The last resort."""

    def on_change(self, handler: Callable[[], None]) -> None:
        """Call `handler` whenever `learned` has changed."""


class ServerWatcher(Protocol):
    """Who wants to know how servers are, and may know better."""

    def mark_good(self, address: str) -> None:
        """A tunnel to it stands."""

    def mark_bad(self, address: str) -> None:
        """The tunnel to it has ended."""

    def on_bad(self, handler: Callable[[str], None]) -> None:
        """Call `handler(address)` for a server that was found unwell."""


class AgentTunnels:
    """A component: keeps a tunnel to every server.

    Args:
        servers: where they are.
        balancer: is told which are well, None = nobody is.
        tls: with the cluster's CA and the node's client certificate; renewed ones are taken into use for new tunnels.
        server_hostname: name to verify instead of the server's address.
        policy: what may be dialled.
    """

    name = "tunnels"
    policy = Policy.RESTART

    def __init__(
        self,
        servers: KnownServers,
        balancer: ServerWatcher | None,
        *,
        tls: ssl.SSLContext,
        server_hostname: str,
        dial_policy: DialPolicy,
    ) -> None:
        self._servers = servers
        self._balancer = balancer
        self._tls = tls
        self._server_hostname = server_hostname
        self._dial_policy = dial_policy
        self._up: set[str] = set()
        self._changed = asyncio.Event()
        self._suspect: set[str] = set()
        servers.on_change(self._changed.set)
        if balancer is not None:
            balancer.on_bad(self._doubt)

    @property
    def connected(self) -> frozenset[str]:
        """Addresses of the servers to which a tunnel stands."""
        return frozenset(self._up)

    async def run(self, started: Callable[[], None]) -> None:
        """Keep tunnels until cancelled; the node needs none to start."""
        started()
        workers: dict[str, asyncio.Task[None]] = {}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=DIAL_S)
        connector = aiohttp.TCPConnector(limit=0, force_close=True, use_dns_cache=False)
        async with (
            aiohttp.ClientSession(
                connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()
            ) as http,
            TaskScope() as scope,
        ):
            while True:
                self._changed.clear()
                wanted = self._wanted()
                for address in self._suspect & workers.keys():
                    workers.pop(address).cancel()
                self._suspect.clear()
                for address in [one for one in workers if one not in wanted]:
                    workers.pop(address).cancel()
                for address in wanted:
                    if address not in workers:
                        work = self._keep(http, address)
                        workers[address] = scope.spawn(work, name=f"tunnel-to-{address}")
                await self._changed.wait()

    def reconnect(self) -> None:
        """Open all tunnels anew: this machine's address is another one, and those that stand lead nowhere."""
        self._suspect |= self._up
        self._changed.set()

    def _doubt(self, address: str) -> None:
        """A server that cannot be dialled has no living tunnel, whatever it looks like from here."""
        if address in self._up:
            self._suspect.add(address)
            self._changed.set()

    def _wanted(self) -> set[str]:
        learned = set(self._servers.learned)
        return learned if learned & self._up or not self._servers.join else learned | {self._servers.join}

    async def _keep(self, http: aiohttp.ClientSession, address: str) -> None:
        backoff = Backoff(first_s=FIRST_RETRY_S, cap_s=LONGEST_RETRY_S, jitter=0.5)
        if address not in self._servers.learned and self._servers.learned:
            await asyncio.sleep(_LAST_RESORT_S)  # the servers themselves come first
        while True:
            try:
                await self._carry(http, address, backoff)
                why = "it ended"
            except (aiohttp.ClientError, OSError, TunnelError) as error:
                why = str(error) or type(error).__name__
            level = logging.DEBUG if backoff.attempts else logging.WARNING
            _LOG.log(level, "no tunnel to a server, will try again", extra={"server": address, "why": why})
            await asyncio.sleep(backoff.next_s())

    async def _carry(self, http: aiohttp.ClientSession, address: str, backoff: Backoff) -> None:
        async with asyncio.timeout(_ANSWER_S) as deadline:
            async with http.ws_connect(
                f"https://{address}{PATH}",
                ssl=self._tls,
                server_hostname=self._server_hostname,
                heartbeat=PING_S,
                max_msg_size=LARGEST_FRAME_BYTES,
                compress=0,
            ) as websocket:
                deadline.reschedule(None)
                watch_over(websocket)
                backoff.reset()
                self._note(address, up=True)
                try:
                    await TunnelSession(websocket, dial=self._dial).run()
                finally:
                    self._note(address, up=False)

    def _note(self, address: str, *, up: bool) -> None:
        if up:
            _LOG.info("a tunnel to a server stands", extra={"server": address})
            self._up.add(address)
            if self._balancer is not None:
                self._balancer.mark_good(address)
        else:
            self._up.discard(address)
            if self._balancer is not None:
                self._balancer.mark_bad(address)
        self._changed.set()

    async def _dial(self, target: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Raises OSError (PermissionError is one)."""
        host, port = self._dial_policy.check(target)
        async with asyncio.timeout(DIAL_S):
            return await asyncio.open_connection(host, port, limit=CHUNK_BYTES)
