"""Renews certificates in the running process, 120 days before they end, without dropping a connection (J-85, J-86).

One deadline for all of them; looked at once a day at the latest, because clocks of such machines jump.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from k3py.pki.errors import PkiError
from k3py.pki.provision import ensure_leaves
from k3py.pki.tls import find_renewal_s
from k3py.util.supervise import Policy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from k3py.pki.layout import Leaf
    from k3py.server.identity import ServerIdentity

log = logging.getLogger(__name__)

_LONGEST_S: Final = 86400.0
_SHORTEST_S: Final = 60.0


class CertificateRenewal:
    """A component.

    Args:
        identity: authorities and the leaves they signed.
        on_renewal: called when certificates were written: takes them into use.
    """

    name = "certificate-renewal"
    policy = Policy.RESTART

    def __init__(self, identity: ServerIdentity, on_renewal: Callable[[], Awaitable[None]]) -> None:
        self._identity = identity
        self._on_renewal = on_renewal
        self._leaves = identity.leaves

    async def run(self, started: Callable[[], None]) -> None:
        """Renew what is due until cancelled."""
        started()
        while True:
            due_s = await asyncio.to_thread(self._due_s)
            await asyncio.sleep(max(_SHORTEST_S, min(_LONGEST_S, due_s)))
            await self.renew()

    def _due_s(self) -> float:
        return min(find_renewal_s(leaf.certificate) for leaf in self._leaves)

    async def use(self, leaves: tuple[Leaf, ...]) -> None:
        """Want other leaves from now on, such as for a machine whose address has changed."""
        self._leaves = leaves
        await self.renew()

    async def renew(self) -> None:
        """Renew what is due now; what cannot be written is told and tried again."""
        try:
            written = await asyncio.to_thread(ensure_leaves, self._identity.authorities, self._leaves)
        except (PkiError, OSError) as error:
            log.warning("certificates cannot be renewed, will try again", extra={"why": str(error)})
            return
        if written:
            await self._on_renewal()
            log.info("took renewed certificates into use", extra={"count": len(written)})
