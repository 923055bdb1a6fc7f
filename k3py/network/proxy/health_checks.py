"""HealthChecks: tells external load balancers whether this node has endpoints of a service (spec.healthCheckNodePort).

One small HTTP server a port, for services of type LoadBalancer with externalTrafficPolicy Local: 200 with endpoints, 503 without.
Source: kube-proxy's health check server v1.35 (status codes and JSON body).
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from k3py.network.interface import ServiceKey

_log = logging.getLogger(__name__)

_REQUEST_S: Final = 5.0
_MOST_BYTES: Final = 8192


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """Whose endpoints a port tells of, and how many are on this node and ready."""

    service: ServiceKey
    local_endpoints: int


class HealthChecks:
    """Listens on exactly the ports that services ask for, on all addresses."""

    def __init__(self) -> None:
        self._checks: dict[int, HealthCheck] = {}
        self._servers: dict[int, asyncio.Server] = {}

    async def apply(self, checks: Mapping[int, HealthCheck]) -> None:
        """Listen on these ports, and no others; a port that is taken is told, and tried again at the next call."""
        self._checks = dict(checks)
        for port in [port for port in self._servers if port not in checks]:
            self._servers.pop(port).close()
        for port in checks:
            if port not in self._servers:
                try:
                    self._servers[port] = await self._listen(port)
                except OSError as error:
                    _log.warning("no health checks of a service on port %d: %s", port, error)

    def close(self) -> None:
        """Listen no longer."""
        for server in self._servers.values():
            server.close()
        self._servers.clear()

    async def _listen(self, port: int) -> asyncio.Server:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._answer(port, reader, writer)

        return await asyncio.start_server(answer, None, port, limit=_MOST_BYTES)

    async def _answer(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_S):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(self._response(port))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            _log.debug("a health check's connection ended")
        finally:
            writer.close()

    def _response(self, port: int) -> bytes:
        check = self._checks.get(port)
        count = 0 if check is None else check.local_endpoints
        namespace, name = ("", "") if check is None else check.service
        body = orjson.dumps(
            {
                "service": {"namespace": namespace, "name": name},
                "localEndpoints": count,
                "serviceProxyHealthy": True,
            }
        )
        status = b"200 OK" if count else b"503 Service Unavailable"
        return (
            b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nX-Content-Type-Options: nosniff\r\n"
            b"X-Load-Balancing-Endpoint-Weight: %d\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
            % (status, count, len(body), body)
        )
