"""Follows the address of a server's machine: certificates, the Service `kubernetes` and the node get the new one while everything runs."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from k3py.api.status import ApiError
from k3py.config.server import find_node_ips
from k3py.datastore.errors import DatastoreError
from k3py.network.own_address import OwnAddress
from k3py.server.identity import make_leaves
from k3py.util.backoff import Backoff
from k3py.util.supervise import Policy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from k3py.config.server import ServerConfig
    from k3py.pki.layout import Leaf, PkiPaths

_LOG: Final = logging.getLogger(__name__)


def find_own(config: ServerConfig) -> OwnAddress:
    """Return the machine's address; one that was given, by itself or by what is bound, stays."""
    if not config.finds_address:
        return OwnAddress(",".join(config.node_ips))
    return OwnAddress(
        ",".join(config.node_ips), lambda: ",".join(find_node_ips(config.bind_address, config.cluster_cidr))
    )


class ServerAddress:
    """A component.

    Args:
        config: names in certificates besides the address; whether the node's address is advertised.
        paths: where certificates lie.
        own: the address.
        use: takes leaves for these addresses into use.
        advertise: each tells others the new address; ApiError and DatastoreError are tried again.
    """

    name = "server-address"
    policy = Policy.RESTART

    def __init__(
        self,
        config: ServerConfig,
        paths: PkiPaths,
        own: OwnAddress,
        *,
        use: Callable[[tuple[Leaf, ...]], Awaitable[None]],
        advertise: Sequence[Callable[[str], Awaitable[None]]],
    ) -> None:
        self._config = config
        self._paths = paths
        self._own = own
        self._use = use
        self._advertise = advertise if config.advertises_node_ip else ()
        # The names of certificates grow while the server runs: somebody may still come over an address of before.
        self._addresses = [config.advertise_address, *own.all]
        self._changed = asyncio.Event()
        own.on_change(self._changed.set)

    async def run(self, started: Callable[[], None]) -> None:
        """Follow until cancelled."""
        started()
        backoff = Backoff(first_s=1.0, cap_s=30.0, jitter=0.2)
        while True:
            await self._changed.wait()
            self._changed.clear()
            address, *others = self._own.all
            known = [one for one in self._addresses if one not in (address, *others)]
            self._addresses = [address, *others, *known]
            await self._use(make_leaves(self._config, self._paths, self._addresses))
            try:
                for tell in self._advertise:
                    await tell(address)
            except (ApiError, DatastoreError) as error:
                _LOG.warning("the new address cannot be told, will try again", extra={"why": str(error)})
                self._changed.set()
                await asyncio.sleep(backoff.next_s())
            else:
                backoff.reset()
