"""The address of this machine, and how it is followed: the kernel tells of every change, nothing is asked again and again.

An address is an attribute of a node and no part of its identity: what depends on it asks here when it needs it, and is told when it
has changed. A machine that has none for a while keeps the last one, and one that gets a further one (a second line, a VPN) keeps the first
as long as it has that.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING, Final

from k3py.util.supervise import Policy

if TYPE_CHECKING:
    from collections.abc import Callable

_LOG: Final = logging.getLogger(__name__)
LOOPBACK: Final = "127.0.0.1"
SETTLE_S: Final = 1.0
_IPV4_ADDRESSES, _IPV4_ROUTES, _IPV6_ADDRESSES, _IPV6_ROUTES = 0x10, 0x40, 0x100, 0x400
_GROUPS: Final = _IPV4_ADDRESSES | _IPV4_ROUTES | _IPV6_ADDRESSES | _IPV6_ROUTES


class OwnAddress:
    """The node's address, or two, comma-separated.

    Args:
        text: as it is now.
        find: finds it anew (may block), loopback = there is none; None = it was given by the operator and stays.
    """

    def __init__(self, text: str, find: Callable[[], str] | None = None) -> None:
        self.text = text
        self._find = find
        self._complete: Callable[[str], tuple[str, ...]] | None = None
        self._handlers: list[Callable[[], None]] = []

    @property
    def follows(self) -> bool:
        """Say whether it can change."""
        return self._find is not None

    @property
    def all(self) -> tuple[str, ...]:
        """Return the addresses, the first is the node's main one."""
        return tuple(one for one in self.text.split(",") if one)

    def complete(self, complete: Callable[[str], tuple[str, ...]]) -> None:
        """Let `complete` make all addresses out of the main one, from now on: that of the other family may be needed, too."""
        self._complete = complete
        self.text = ",".join(complete(self.all[0]))

    def on_change(self, handler: Callable[[], None]) -> None:
        """Call `handler` in the loop after each change; it must not block."""
        self._handlers.append(handler)

    async def look(self) -> bool:
        """Find the address anew; return whether it has changed."""
        if self._find is None:
            return False
        found = await asyncio.to_thread(self._find)
        if found in ("", LOOPBACK, "::1"):
            return False
        if self._complete is not None:
            found = ",".join(self._complete(found))
        if found == self.text:
            return False
        main = self.all[0]
        if found.partition(",")[0] != main and await asyncio.to_thread(is_assigned, main):
            return False
        _LOG.warning("this machine has another address", extra={"before": self.text, "now": found})
        self.text = found
        for handler in tuple(self._handlers):
            handler()
        return True


def is_assigned(address: str) -> bool:
    """Say whether an address is one of this machine's, loopback aside. Blocking, microseconds."""
    if address in ("", LOOPBACK, "::1"):
        return False
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


class AddressWatch:
    """A component: looks at the address whenever the kernel says that addresses or routes have changed."""

    name = "address-watch"
    policy = Policy.RESTART

    def __init__(self, own: OwnAddress, *, settle_s: float = SETTLE_S) -> None:
        self._own = own
        self._settle_s = settle_s
        self._changed = asyncio.Event()

    def look(self) -> None:
        """Look soon: the way to the servers may be another one."""
        self._changed.set()

    async def run(self, started: Callable[[], None]) -> None:
        """Follow until cancelled. Raises OSError when the kernel does not tell."""
        loop = asyncio.get_running_loop()
        with socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        ) as kernel:
            kernel.setblocking(False)
            kernel.bind((0, _GROUPS))
            loop.add_reader(kernel, self._drain, kernel)
            try:
                started()
                self._changed.set()  # what changed before we listened
                while True:
                    await self._changed.wait()
                    await asyncio.sleep(self._settle_s)  # an address comes with routes, one after another
                    self._changed.clear()
                    await self._own.look()
            finally:
                loop.remove_reader(kernel)

    def _drain(self, kernel: socket.socket) -> None:
        try:
            while kernel.recv(65536):
                self._changed.set()
        except BlockingIOError:
            return
        except OSError:  # ENOBUFS: so many changes that some were not told
            self._changed.set()
