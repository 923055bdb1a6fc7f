"""HTTP connections of aiohttp's low-level server that remember what TLS said about their client.

A client has `HEADER_S` for the head of a request, and 1 MiB. Source: ReadHeaderTimeout and MaxHeaderBytes of
k8s.io/apiserver/pkg/server/secure_serving.go v0.35 and Go's net/http.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import StreamReader

LONGEST_HEADER_BYTES: Final = 64 * 1024
MOST_HEAD_BYTES: Final = 1024 * 1024
KEEPALIVE_S: Final = 180.0
HEADER_S: Final = 32.0
_LOG: Final = logging.getLogger(__name__)


class Connection(web.RequestHandler):
    """One client connection."""

    __slots__ = ("_body", "_head_bytes", "_head_deadline", "_peer_authorities", "_peer_certificate")

    _peer_authorities: tuple[bytes, ...] | None
    _peer_certificate: bytes | None
    _body: StreamReader | None
    _head_bytes: int
    _head_deadline: asyncio.TimerHandle | None

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

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Give the client its time for the first request's head."""
        super().connection_made(transport)
        self._body = None
        self._head_bytes = 0
        self._head_deadline = None
        self._expect_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the deadline."""
        self._forget_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in bytes; what is no whole head yet is limited in time and size."""
        super().data_received(data)
        if self._messages:
            self._body = self._messages[-1][1]
        # A body may still come in when its request has been answered, unread: it is no head.
        is_body = self._body is not None and not self._body.is_eof()
        if is_body or self._current_request is not None or self._messages or self._upgraded:
            if self._head_deadline is not None:
                self._forget_head()
            return
        self._head_bytes += len(data)
        if self._head_bytes > MOST_HEAD_BYTES:
            self._give_up()
        elif self._head_deadline is None:
            self._expect_head()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is not HTTP as Go's server does; that is the client's fault and no error of this server."""
        if not isinstance(exc, HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        _LOG.debug("%s sent what is not HTTP: %s", request.remote, exc)
        is_long = isinstance(exc, LineTooLong) or "too many headers" in str(exc).lower()
        code, text = (431, "Request Header Fields Too Large") if is_long else (400, "Bad Request")
        answer = web.Response(status=code, text=f"{code} {text}", content_type="text/plain")
        answer.force_close()
        return answer

    def _expect_head(self) -> None:
        self._head_deadline = self._loop.call_later(HEADER_S, self._give_up)

    def _forget_head(self) -> None:
        self._head_bytes = 0
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None

    def _give_up(self) -> None:
        self._forget_head()
        self.force_close()


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
            auto_decompress=False,  # upstream does not either
            keepalive_timeout=KEEPALIVE_S,
            max_line_size=LONGEST_HEADER_BYTES,
            max_field_size=LONGEST_HEADER_BYTES,
            max_headers=1024,
        )

    def __call__(self) -> Connection:
        """Return the protocol of a new connection."""
        settings: dict[str, Any] = self._kwargs
        return Connection(self, loop=self._loop, **settings)
