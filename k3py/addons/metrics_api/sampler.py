"""Asks kubelets for their figures, only when somebody asks us.

Usage of CPU needs two samples. Somebody who asks again and again (a HorizontalPodAutoscaler) gets the usage since it asked last; the first
one in a while waits a second for the other sample. Answers a few seconds old are given again, so that several askers cost one sample.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, Protocol

from k3py.addons.metrics_api.usage import compare, read_summary
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from k3py.addons.metrics_api.usage import NodeUsage, Sample
    from k3py.jsontypes import JsonObject

log = logging.getLogger(__name__)

_SHORTEST_WINDOW_S: Final = 1.0
_LONGEST_WINDOW_S: Final = 60.0
_FRESH_S: Final = 5.0
_ANSWER_S: Final = 10.0


class Summaries(Protocol):
    """The way to kubelets."""

    async def fetch(self, node: JsonObject) -> JsonObject:
        """Return the Summary of a Node's kubelet. Raises OSError, TimeoutError."""


class _Node:
    __slots__ = ("lock", "sample", "usage")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.sample: Sample | None = None
        self.usage: NodeUsage | None = None


class Sampler:
    """Keeps the last sample of each node that was asked for.

    Args:
        summaries: the way to kubelets.
        pause: waits some seconds (asyncio.sleep).
        monotonic_s: the clock of windows.
    """

    def __init__(
        self,
        summaries: Summaries,
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic_s: Callable[[], float] = clock.monotonic_s,
    ) -> None:
        self._summaries = summaries
        self._pause = pause
        self._monotonic_s = monotonic_s
        self._nodes: dict[str, _Node] = {}

    async def read(self, node: JsonObject) -> NodeUsage | None:
        """Return the usage of a node and its containers, None when its kubelet does not tell."""
        state = self._nodes.setdefault(node["metadata"]["name"], _Node())
        async with state.lock:
            usage, now_s = state.usage, self._monotonic_s()
            if usage is not None and now_s - usage.taken_s < _FRESH_S:
                return usage
            try:
                async with asyncio.timeout(_ANSWER_S):
                    return await self._measure(node, state)
            except (OSError, TimeoutError) as error:
                name = node["metadata"]["name"]
                log.warning("a kubelet does not tell its figures", extra={"node": name, "error": str(error)})
                return None

    async def _measure(self, node: JsonObject, state: _Node) -> NodeUsage:
        before = state.sample
        after = await self._take(node)
        if before is not None:
            age_s = after.taken_s - before.taken_s
            is_usable = _SHORTEST_WINDOW_S <= age_s <= _LONGEST_WINDOW_S
            # What has started since could not be told: then the window begins anew.
            if not is_usable or not after.containers.keys() <= before.containers.keys():
                before = None
        if before is None:
            before = after
            await self._pause(_SHORTEST_WINDOW_S)
            after = await self._take(node)
        state.sample = after
        state.usage = usage = compare(before, after)
        return usage

    async def _take(self, node: JsonObject) -> Sample:
        summary = await self._summaries.fetch(node)
        return read_summary(summary, taken_s=self._monotonic_s(), time=clock.now())

    def forget(self, names: set[str]) -> None:
        """Drop all nodes but these."""
        for name in self._nodes.keys() - names:
            del self._nodes[name]
