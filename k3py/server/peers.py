"""What a server does when others may share its datastore: agrees with them on critical arguments, is known as alive, compacts in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.config.critical import critical_arguments, find_mismatch
from k3py.errors import ConfigError
from k3py.server.leadership import Compaction, Led, make_election
from k3py.server.living_servers import LivingServer, LivingServers, find_servers

if TYPE_CHECKING:
    from k3py.config.server import ServerConfig
    from k3py.datastore.interface import Backend
    from k3py.server.control_plane import ControlPlane
    from k3py.util.supervise import Component


async def check_peers(config: ServerConfig, backend: Backend) -> None:
    """Compare critical arguments with those of the servers that are alive.

    Raises:
        ConfigError: one has others; names the flag and the server.
        Unavailable: the datastore does not answer.
    """
    own = critical_arguments(config)
    for address, server in sorted((await find_servers(backend)).items()):
        if address == config.advertise_address:  # our own, of a life that was cut short
            continue
        fault = find_mismatch(own, server.arguments, f"{server.node_name} ({address})")
        if fault:
            raise ConfigError(fault)


def build_peers(config: ServerConfig, backend: Backend, plane: ControlPlane) -> list[Component]:
    """Make the components, in starting order."""
    masters = plane.client("system:k3py-supervisor", "system:masters", user_agent="k3py-supervisor")
    own = LivingServer(
        address=config.advertise_address,
        port=config.https_listen_port,
        node_name=config.node_name,
        arguments=critical_arguments(config),
    )
    living = LivingServers(backend, masters, own)
    led = Led(masters, make_election("k3py", config.node_name), (Compaction(backend),))
    return [living, led]
