"""HTTP connections of aiohttp's low-level server that remember what TLS said about their client."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

LONGEST_HEADER_BYTES: Final = 64 * 1024
KEEPALIVE_S: Final = 180.0


class Connection(web.RequestHandler):
    """One client connection."""

    __slots__ = ("_peer_authorities", "_peer_certificate")

    _peer_authorities: tuple[bytes, ...] | None
    _peer_certificate: bytes | None

    @property
    def peer_certificate(self) -> bytes:
        """DER of the client certificate that TLS verified, b"" = none; asked for once a connection."""
        try:
            found = self._peer_certificate
        except AttributeError:
            found = None
        if found is None:
            tls = self.transport.get_extra_info("ssl_object") if self.transport is not None else None
            found = (tls.getpeercert(True) if tls is not None else None) or b""
            self._peer_certificate = found
        return found

    @property
    def peer_authorities(self) -> tuple[bytes, ...]:
        """DER of the certificates above the client's, up to the authority that TLS trusts; asked for once a connection."""
        try:
            found = self._peer_authorities
        except AttributeError:
            found = None
        if found is None:
            tls = self.transport.get_extra_info("ssl_object") if self.transport is not None else None
            found = self._peer_authorities = _verified_chain(tls)[1:]
        return found


def _verified_chain(tls: ssl.SSLObject | None) -> tuple[bytes, ...]:
    """Return the chain that TLS verified, the leaf first; Python shows it publicly from 3.13 on."""
    if tls is None:
        return ()
    public: Callable[[], list[bytes]] | None = getattr(tls, "get_verified_chain", None)
    if public is not None:
        return tuple(public())
    inner: Any = tls._sslobj  # type: ignore[attr-defined]  # noqa: SLF001 - see above
    return tuple(ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in inner.get_verified_chain() or ())


class ConnectionServer(web.Server):
    """Makes a `Connection` for every accepted socket and calls `handler` for each of its requests.

    A client that goes away cancels the handler of its request, so that watches end at once.
    """

    def __init__(self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        super().__init__(
            handler,
            handler_cancellation=True,
            loop=asyncio.get_running_loop(),
            access_log=None,
            keepalive_timeout=KEEPALIVE_S,
            max_line_size=LONGEST_HEADER_BYTES,
            max_field_size=LONGEST_HEADER_BYTES,
            max_headers=1024,
        )

    def __call__(self) -> Connection:
        """Return the protocol of a new connection."""
        settings: dict[str, Any] = self._kwargs
        return Connection(self, loop=self._loop, **settings)
