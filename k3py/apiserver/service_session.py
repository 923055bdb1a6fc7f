"""HTTP sessions in which `<service>.<namespace>.svc` leads to one of the Service's ready endpoints, as K3s routes; for webhooks."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from k3py.apiserver.aggregation.api_services import ServiceReference
from k3py.apiserver.aggregation.endpoints import ServiceEndpoints, Unavailable
from k3py.apiserver.egress import EgressConnector

if TYPE_CHECKING:
    from k3py.api.registry import KindRegistry
    from k3py.apiserver.interface import Egress
    from k3py.storage.interface import Storage

_SERVICE_PARTS = 3


class ServiceResolver(AbstractResolver):
    """Resolves names of Services by their EndpointSlices, other names by DNS."""

    def __init__(self, endpoints: ServiceEndpoints) -> None:
        self._endpoints = endpoints
        self._dns = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the address. Raises OSError."""
        parts = host.split(".")
        if len(parts) != _SERVICE_PARTS or parts[2] != "svc":
            return await self._dns.resolve(host, port, family)
        try:
            address, number = await self._endpoints.resolve(
                ServiceReference(namespace=parts[1], name=parts[0], port=port)
            )
        except Unavailable as fault:
            raise OSError(fault.message) from fault
        if not _is_address(address):  # an ExternalName
            return await self._dns.resolve(address, number, family)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=number,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        """Release what DNS holds."""
        await self._dns.close()


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def open_service_session(
    storage: Storage, kinds: KindRegistry, egress: Egress | None
) -> aiohttp.ClientSession:
    """Open a session whose connections go through `egress`; the caller closes it. Proxies of the environment are not used."""
    # Endpoints come and go: each connection asks anew.
    connector = EgressConnector(
        egress, resolver=ServiceResolver(ServiceEndpoints(storage, kinds)), use_dns_cache=False, limit=0
    )
    return aiohttp.ClientSession(connector=connector, trust_env=False)
