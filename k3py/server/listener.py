"""The TLS listener in front of the API server and the join endpoints."""

from __future__ import annotations

import errno
import logging
import socket
import ssl
from typing import TYPE_CHECKING, Final

from k3py.apiserver.connection import ConnectionServer
from k3py.errors import ConfigError
from k3py.pki.tls import ignore_dates
from k3py.server.handshakes import Handshakes
from k3py.util.supervise import Policy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from aiohttp import web

_LOG: Final = logging.getLogger(__name__)
_DRAIN_S: Final = 10.0
_BACKLOG: Final = 1024
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"


class ServingCertificate:
    """The server's TLS settings: TLS 1.2 at least, client certificates asked for but not required.

    `reload` takes a renewed certificate into use for new connections, without dropping old ones.
    """

    def __init__(
        self,
        *,
        certificate: Path,
        key: Path,
        client_ca: Path | None = None,
        request_header_ca: Path | None = None,
    ) -> None:
        self._certificate = certificate
        self._key = key
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(_CIPHERS)
        context.set_alpn_protocols(["http/1.1"])
        if client_ca is not None:
            context.load_verify_locations(cafile=client_ca)
            if request_header_ca is not None:  # of front proxies: who they are is the authenticators' to tell
                context.load_verify_locations(cafile=request_header_ca)
            context.verify_mode = ssl.CERT_OPTIONAL
            ignore_dates(context)  # the authenticators look at them, with an eye for nodes
        self.context = context
        self.reload()

    def reload(self) -> None:
        """Read certificate and key again."""
        self.context.load_cert_chain(self._certificate, self._key)


class Listener:
    """Accepts HTTPS connections and hands their requests to `handle` (a Component, essential).

    Args:
        handle: answers a request.
        drain: called when stopping, before connections close: ends long answers cleanly.
        host, port: where to listen; port 0 = any, `port` tells which.
        tls: certificate and client CA.
    """

    name = "https-listener"
    policy = Policy.ESSENTIAL

    def __init__(
        self,
        handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        *,
        drain: Callable[[], None],
        host: str,
        port: int,
        tls: ServingCertificate,
    ) -> None:
        self._handle = handle
        self._drain = drain
        self._host = host
        self.port = port
        self._tls = tls

    async def run(self, started: Callable[[], None]) -> None:
        """Listen until cancelled, then drain.

        Raises:
            ConfigError: the port is taken or the address is not this machine's.
        """
        connections = ConnectionServer(self._handle)
        listening = self._listen()
        self.port = listening.getsockname()[1]
        _LOG.info("listening on https://%s:%d", self._host, self.port)
        try:
            started()
            await Handshakes(listening, connections, self._tls.context).run()
        finally:
            listening.close()
            self._drain()
            connections.pre_shutdown()
            await connections.shutdown(_DRAIN_S)

    def _listen(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        both = self._host == "::" and socket.has_dualstack_ipv6()
        try:
            listening = socket.create_server(
                (self._host, self.port), family=family, backlog=_BACKLOG, dualstack_ipv6=both
            )
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise ConfigError(
                    f"--https-listen-port={self.port}: {self._host or '*'}:{self.port} is in use by another program"
                ) from error
            raise ConfigError(
                f"--https-listen-port={self.port}: cannot listen on {self._host or '*'}:{self.port}: {error.strerror}"
            ) from error
        listening.setblocking(False)
        return listening
