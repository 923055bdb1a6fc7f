"""The way to kubelets and pods: through a tunnel where there is one, else directly."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from k3py.apiserver.egress import open_egress
from k3py.pki.tls import ignore_dates

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

    from k3py.apiserver.interface import Egress


class KubeletDialer:
    """A `KubeletConnector` that opens TCP connections: TLS with the API server's client certificate for https, none for http.

    Args:
        certificate, key: the API server's client certificate for kubelets.
        authority: CA of kubelets' serving certificates; their name or address is checked too.
        egress: the tunnels, None = none.
    """

    def __init__(
        self, *, certificate: Path, key: Path, authority: Path, egress: Egress | None = None
    ) -> None:
        self._egress = egress
        self._certificate = certificate
        self._key = key
        self._context = ssl.create_default_context(cafile=authority)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        ignore_dates(self._context)
        self._unchecked = ssl.create_default_context()
        self._unchecked.check_hostname = False
        self._unchecked.verify_mode = ssl.CERT_NONE
        self.reload()

    def reload(self) -> None:
        """Take a renewed client certificate into use for new connections."""
        self._context.load_cert_chain(self._certificate, self._key)

    async def connect(
        self, target: str, *, is_kubelet: bool = True
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection to the host of `target`. Raises OSError (ssl.SSLError is one).

        Source: k8s.io/kubernetes/pkg/controlplane/apiserver (CreateProxyTransport) v1.35: pods and services are not verified.
        """
        url = urlsplit(target)
        secure = url.scheme == "https"
        return await open_egress(
            self._egress,
            url.hostname or "",
            url.port or (443 if secure else 80),
            tls=(self._context if is_kubelet else self._unchecked) if secure else None,
        )
