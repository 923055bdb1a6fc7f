"""The backend --audit-webhook-config-file: events go to another server in batches; requests never wait for it.

Source: k8s.io/apiserver/plugin/pkg/audit/{buffered,webhook} v0.35.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import orjson

from k3py.apiserver.review_webhook import WebhookFault
from k3py.util.supervise import Policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3py.apiserver.audit.recorder import Backend
    from k3py.apiserver.review_webhook import ReviewWebhook
    from k3py.util.supervise import Component

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSettings:
    """most_buffered, most_events: in all and in one batch; longest_wait_s: for a batch to fill; pause_s: after a failure."""

    most_buffered: int = 10000
    most_events: int = 400
    longest_wait_s: float = 30.0
    pause_s: float = 10.0


class WebhookBatch:
    """A component, and a backend. What does not fit is dropped and told."""

    name = "audit-webhook"
    policy = Policy.RESTART

    def __init__(self, webhook: ReviewWebhook, settings: BatchSettings) -> None:
        self._webhook = webhook
        self._settings = settings
        self._lines: deque[bytes] = deque()
        self._filled = asyncio.Event()
        self._full = asyncio.Event()
        self._dropped = 0

    async def room(self) -> None:
        """Return: nobody waits for a webhook."""

    def take(self, line: bytes) -> None:
        """Take an event, or drop it."""
        if len(self._lines) >= self._settings.most_buffered:
            self._dropped += 1
            return
        self._lines.append(line)
        self._filled.set()
        if len(self._lines) >= self._settings.most_events:
            self._full.set()

    async def run(self, started: Callable[[], None]) -> None:
        """Send until cancelled, and then the rest once."""
        started()
        try:
            while True:
                await self._filled.wait()
                try:
                    async with asyncio.timeout(self._settings.longest_wait_s):
                        await self._full.wait()
                except TimeoutError:
                    pass  # a batch that is not full goes, too
                await self._send()
        finally:
            if self._lines:
                try:
                    async with asyncio.timeout(2):
                        await self._webhook.send(self._batch(len(self._lines)))
                except (WebhookFault, TimeoutError) as error:
                    log.warning(
                        "audit events were not sent", extra={"count": len(self._lines), "why": str(error)}
                    )
            await self._webhook.close()

    async def _send(self) -> None:
        count = min(len(self._lines), self._settings.most_events)
        try:
            await self._webhook.send(self._batch(count))
        except WebhookFault as error:
            log.warning(
                "audit events cannot be sent, trying again", extra={"count": count, "why": str(error)}
            )
            await asyncio.sleep(self._settings.pause_s)
            return
        for _ in range(count):
            self._lines.popleft()
        if self._dropped:
            log.warning("audit events were dropped: the webhook was too slow", extra={"count": self._dropped})
            self._dropped = 0
        if not self._lines:
            self._filled.clear()
        if len(self._lines) < self._settings.most_events:
            self._full.clear()

    def _batch(self, count: int) -> bytes:
        items = [orjson.Fragment(one) for one in islice(self._lines, count)]
        return orjson.dumps(
            {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": items}
        )


if TYPE_CHECKING:

    def _check(one: WebhookBatch) -> tuple[Backend, Component]:
        return one, one
