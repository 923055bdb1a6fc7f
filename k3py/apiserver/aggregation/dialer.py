"""TLS connections to extension API servers, with the front proxy's certificate.

Source: k8s.io/kube-aggregator/pkg/apiserver/handler_proxy.go updateAPIService v0.35.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ssl
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from k3py.apiserver.aggregation.endpoints import Unavailable
from k3py.apiserver.egress import open_egress

if TYPE_CHECKING:
    from pathlib import Path

    from k3py.api.user import User
    from k3py.apiserver.aggregation.api_services import Registration
    from k3py.apiserver.aggregation.endpoints import ServiceEndpoints
    from k3py.apiserver.interface import Egress

_DIAL_S: Final = 5.0
_MOST_CONTEXTS: Final = 32
_HEADER_KEY: Final = "!#$&'*+.^_`|~"


class ExtensionDialer:
    """Opens connections; TLS settings are kept a while, since bundles are slow to read.

    Args:
        endpoints: where Services lead.
        egress: the way out to nodes and pods, None = straight.
        certificate, key: of the front proxy, by which extension API servers believe X-Remote-… headers; None = without.
    """

    def __init__(
        self,
        endpoints: ServiceEndpoints,
        *,
        egress: Egress | None = None,
        certificate: Path | None = None,
        key: Path | None = None,
    ) -> None:
        self._egress = egress
        self._endpoints = endpoints
        self._certificate = certificate
        self._key = key
        self._contexts: dict[tuple[str, bool], ssl.SSLContext] = {}

    def reload(self) -> None:
        """Take a renewed certificate into use for new connections."""
        self._contexts.clear()

    async def connect(
        self, registration: Registration
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, str]:
        """Open a connection; the last result is "host:port" of the endpoint.

        Raises:
            Unavailable: the Service leads nowhere, or the bundle is unusable.
            OSError: the endpoint cannot be reached, or is not who it must be (ssl.SSLError).
            TimeoutError: nobody answers.
        """
        service = registration.service
        if service is None:
            raise TypeError("local APIServices are not dialled")
        host, port = await self._endpoints.resolve(service)
        context = self._context_for(registration)
        async with asyncio.timeout(_DIAL_S):
            reader, writer = await open_egress(
                self._egress, host, port, tls=context, server_hostname=service.host
            )
        return reader, writer, f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def _context_for(self, registration: Registration) -> ssl.SSLContext:
        key = (registration.ca_bundle, registration.insecure)
        found = self._contexts.get(key)
        if found is None:
            if len(self._contexts) >= _MOST_CONTEXTS:
                self._contexts.clear()
            found = self._contexts[key] = self._make_context(registration)
        return found

    def _make_context(self, registration: Registration) -> ssl.SSLContext:
        try:
            bundle = base64.b64decode(registration.ca_bundle).decode()
            context = ssl.create_default_context(cadata=bundle or None)
        except (binascii.Error, UnicodeDecodeError, ssl.SSLError, ValueError) as error:
            raise Unavailable("FailedDiscoveryCheck", f"unusable caBundle: {error}") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if registration.insecure:  # the APIService's owner says so
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self._certificate is not None:
            context.load_cert_chain(self._certificate, self._key)
        return context


def remote_headers(user: User) -> list[tuple[str, str]]:
    """Return the headers that tell an extension API server who asks.

    Source: k8s.io/client-go/transport/round_trippers.go SetAuthProxyHeaders v0.35.

    Raises:
        ValueError: a name (of a certificate, say) cannot be a header: nobody may smuggle headers in.
    """
    headers = [("X-Remote-User", user.name)]
    if user.uid:
        headers.append(("X-Remote-Uid", user.uid))
    headers += [("X-Remote-Group", group) for group in user.groups]
    headers += [
        (f"X-Remote-Extra-{quote(key, safe=_HEADER_KEY)}", value)
        for key, values in user.extra.items()
        for value in values
    ]
    if any(not character.isprintable() for _, value in headers for character in value):
        raise ValueError("the user's name, groups or extra values cannot be sent as headers")
    return headers
