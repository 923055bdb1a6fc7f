"""What a server does when others may share its datastore: agrees with them on critical arguments, is known as alive, compacts in turn."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from k3py.cluster.bootstrap_data.files import ENCRYPTION
from k3py.cluster.bootstrap_data.sealing import END, PREFIX
from k3py.cluster.bootstrap_data.sharing import ForeignBootstrapData
from k3py.config.critical import critical_arguments, find_mismatch
from k3py.errors import ConfigError
from k3py.server.leadership import Compaction, Led, make_election
from k3py.server.living_servers import LivingServer, LivingServers, find_servers
from k3py.util.supervise import Policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3py.config.server import ServerConfig
    from k3py.datastore.interface import Backend
    from k3py.server.control_plane import ControlPlane
    from k3py.server.secrets_encryption.rotation import SecretsEncryption
    from k3py.server.shared_identity import SharedIdentity
    from k3py.util.supervise import Component

log = logging.getLogger(__name__)


async def check_peers(config: ServerConfig, backend: Backend, password: str) -> None:
    """Compare critical arguments with those of the servers that are alive; `password`: of the servers' token.

    Raises:
        ConfigError: one has others; names the flag and the server.
        Unavailable: the datastore does not answer.
    """
    own = critical_arguments(config, password)
    for address, server in sorted((await find_servers(backend)).items()):
        if address == config.advertise_address:  # our own, of a life that was cut short
            if server.node_name != config.node_name:
                log.warning(
                    "--advertise-address: another server has advertised this address a moment ago",
                    extra={"address": address, "server": server.node_name},
                )
            continue
        fault = find_mismatch(own, server.arguments, f"{server.node_name} ({address})")
        if fault:
            raise ConfigError(fault)


def build_peers(
    config: ServerConfig, backend: Backend, plane: ControlPlane, shared: SharedIdentity
) -> list[Component]:
    """Make the components, in starting order."""
    masters = plane.client("system:k3py-supervisor", "system:masters", user_agent="k3py-supervisor")
    own = LivingServer(
        address=config.advertise_address,
        port=config.https_listen_port,
        node_name=config.node_name,
        arguments=critical_arguments(config, shared.password),
    )
    living = LivingServers(backend, masters, own)
    followers: list[Component] = []
    led: list[Component] = [Compaction(backend)]
    if plane.keys_of_secrets is not None:
        followers.append(KeysFollower(backend, shared, plane.keys_of_secrets, living))
        led.append(Reencryption(plane.keys_of_secrets))
    return [living, *followers, Led(masters, make_election("k3py", config.node_name), led)]


class Reencryption:
    """A component: has Secrets re-encrypted by this server, while it runs."""

    name = "reencryption"
    policy = Policy.RESTART

    def __init__(self, encryption: SecretsEncryption) -> None:
        self._encryption = encryption

    async def run(self, started: Callable[[], None]) -> None:
        """Lead until cancelled; what was begun is finished."""
        self._encryption.lead(whether=True)
        try:
            started()
            await asyncio.Event().wait()
        finally:
            self._encryption.lead(whether=False)


class KeysFollower:
    """A component: takes keys of Secrets into use that other servers put into the datastore, and tells them that it did."""

    name = "keys-follower"
    policy = Policy.RESTART

    def __init__(
        self, backend: Backend, shared: SharedIdentity, encryption: SecretsEncryption, living: LivingServers
    ) -> None:
        self._backend = backend
        self._shared = shared
        self._encryption = encryption
        self._living = living

    async def run(self, started: Callable[[], None]) -> None:
        """Follow until cancelled. Raises K3pyError, OSError: it is tried again."""
        seen = self._backend.current_revision
        await self._encryption.follow(self._living)
        await self._adopt()
        started()
        async with self._backend.watch(PREFIX, END, after=seen) as watch:
            async for batch in watch:
                if batch.events:
                    await self._adopt()

    async def _adopt(self) -> None:
        try:
            stored = await self._shared.store.read()
        except ForeignBootstrapData:
            log.warning("the token was rotated by another server: restart this one with the new --token")
            return
        keys = {name: stored.files[name].content for name in ENCRYPTION if name in stored.files}
        await self._encryption.adopt(keys)
