"""Requests that are being answered: counted, so that a stop lets them end.

Source: etcd server/embed/etcd.go (`stopServers`: GracefulStop with the request timeout as its limit), v3.6.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from grpclib.const import Status

from k3py.datastore.etcdapi.conditions import refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)


class InFlight:
    """Counts the requests that are being answered; takes no more once it drains."""

    def __init__(self) -> None:
        self._running = 0
        self._draining = False
        self._ended = asyncio.Event()

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count one request for the time of the block.

        Raises:
            GRPCError: UNAVAILABLE, the server stops; clients go elsewhere.
        """
        if self._draining:
            raise refusal("server stopped", Status.UNAVAILABLE)
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1
            if not self._running:
                self._ended.set()

    async def drain(self, limit_s: float) -> None:
        """Take no more requests; return when all have ended, after `limit_s` seconds at the latest."""
        self._draining = True
        if not self._running:
            return
        self._ended.clear()
        try:
            async with asyncio.timeout(limit_s):
                await self._ended.wait()
        except TimeoutError:
            log.warning("requests did not end in time, cutting them", extra={"requests": self._running})
