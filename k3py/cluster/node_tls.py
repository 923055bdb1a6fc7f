"""How a part of a node proves who it is: TLS settings that take renewed files into use without a new connection."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from k3py.pki.tls import ignore_dates

if TYPE_CHECKING:
    from pathlib import Path


class NodeTls:
    """Reads files: blocking, small.

    Args:
        authority: of the servers.
        leaf: the client certificate and key, without suffix.
    """

    def __init__(self, authority: Path, leaf: Path) -> None:
        self._ca = authority
        self._certificate = leaf.with_name(leaf.name + ".crt")
        self._key = leaf.with_name(leaf.name + ".key")
        self.context = ssl.create_default_context(cafile=str(self._ca))
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        ignore_dates(self.context)
        self.context.load_cert_chain(self._certificate, self._key)

    def reload(self) -> None:
        """Take renewed files into use for new connections; an authority that is new is trusted besides the old one."""
        self.context.load_verify_locations(cafile=str(self._ca))
        self.context.load_cert_chain(self._certificate, self._key)
