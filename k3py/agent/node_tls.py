"""How a part of an agent proves who it is: TLS settings that take renewed files into use without a new connection."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from k3py.pki.tls import ignore_dates

if TYPE_CHECKING:
    from pathlib import Path


class NodeTls:
    """Reads files of <data-dir>/agent: blocking, small.

    Args:
        folder: where they lie.
        leaf: name of the client certificate.
    """

    def __init__(self, folder: Path, leaf: str) -> None:
        self._ca = folder / "server-ca.crt"
        self._certificate = folder / f"{leaf}.crt"
        self._key = folder / f"{leaf}.key"
        self.context = ssl.create_default_context(cafile=str(self._ca))
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        ignore_dates(self.context)
        self.context.load_cert_chain(self._certificate, self._key)

    def reload(self) -> None:
        """Take renewed files into use for new connections; an authority that is new is trusted besides the old one."""
        self.context.load_verify_locations(cafile=str(self._ca))
        self.context.load_cert_chain(self._certificate, self._key)
