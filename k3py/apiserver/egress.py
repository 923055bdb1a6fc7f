"""Connections out of the API server: through a tunnel where one leads there, else straight."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    import socket
    import ssl

    from aiohttp.client_proto import ResponseHandler

    from k3py.apiserver.interface import Egress


class LateEgress:
    """An `Egress` that leads nowhere but straight until `inner` is set: tunnels need an API server first."""

    def __init__(self) -> None:
        self.inner: Egress | None = None

    async def connect(self, host: str, port: int) -> socket.socket | None:
        """Return a connected socket that leads there, None = dial it directly. Raises OSError."""
        return await self.inner.connect(host, port) if self.inner is not None else None


async def open_egress(
    egress: Egress | None, host: str, port: int, *, tls: ssl.SSLContext | None, server_hostname: str = ""
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection; `server_hostname`: to verify instead of `host`. Raises OSError (ssl.SSLError is one)."""
    name = (server_hostname or host) if tls is not None else None
    tunnelled = await egress.connect(host, port) if egress is not None else None
    if tunnelled is None:
        return await asyncio.open_connection(host, port, ssl=tls, server_hostname=name)
    return await asyncio.open_unix_connection(sock=tunnelled, ssl=tls, server_hostname=name)


class EgressConnector(aiohttp.TCPConnector):
    """A pool of aiohttp whose connections take the same ways; `options` are TCPConnector's."""

    def __init__(self, egress: Egress | None, **options: Any) -> None:
        super().__init__(**options)
        self._egress = egress

    async def _wrap_create_connection(
        self,
        *args: Any,
        addr_infos: Any,
        req: aiohttp.ClientRequest,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's signature
        **options: Any,
    ) -> tuple[asyncio.Transport, ResponseHandler]:
        if self._egress is not None and addr_infos:
            host, port = addr_infos[0][4][:2]
            try:
                async with asyncio.timeout(timeout.sock_connect):
                    tunnelled = await self._egress.connect(host, port)
                    if tunnelled is not None:
                        options.pop("client_error", None)
                        return await self._loop.create_unix_connection(*args, sock=tunnelled, **options)
            except OSError as error:
                raise aiohttp.ClientConnectorError(req.connection_key, error) from error
        return await super()._wrap_create_connection(
            *args, addr_infos=addr_infos, req=req, timeout=timeout, **options
        )
