"""A route for service addresses on machines that have none.

Without any route that matches, a process of the node gets "network is unreachable" before the rules that lead to an endpoint are asked.
Machines without a default gateway are usual where k3py is at home.
"""

from __future__ import annotations

import ipaddress
import logging
from typing import TYPE_CHECKING

from k3py.util.process import ProcessFailed, run

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger(__name__)


async def ensure_service_route(*, ip: Path, service_cidr: str, node_ip: str) -> bool:
    """Add a route for `service_cidr` through the loopback interface, if no route matches it; return whether it was added.

    The packet never takes it: its destination is rewritten first, and it is routed anew. A route that cannot be added is told, and
    is no reason to stop: pods reach services without it.
    """
    network = ipaddress.ip_network(service_cidr)
    if (await run([ip, "route", "get", str(network[1])], check=False)).returncode == 0:
        return False
    try:
        await run([ip, "route", "add", service_cidr, "dev", "lo", "src", node_ip])
    except ProcessFailed as error:
        raise ProcessFailed(
            f"no route to services ({service_cidr}), and none can be added: {error}"
        ) from None
    _log.info("no route matched services, added one for %s", service_cidr)
    return True
