"""Pods that wait for a node: active by priority, backing off, unschedulable until something changes, gated.

::

    add ──► active ──pop──► (a cycle) ──bound──► gone
              ▲                 │
              │            unschedulable ──► waits; an event that may help ──► backing off ──deadline──► active
              └── gate removed ── gated

Nothing polls: backing-off pods come back by one timer, unschedulable ones by events of nodes and pods (and after 5 minutes at the
latest, as upstream's flush does). Source: kubernetes/pkg/scheduler/backend/queue v1.35.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3py.jsontypes import JsonObject
    from k3py.scheduler.interface import ClusterEvent

INITIAL_BACKOFF_S: Final = 1.0
MAX_BACKOFF_S: Final = 10.0
MAX_UNSCHEDULABLE_S: Final = 300.0


@dataclass(slots=True)
class QueuedPod:
    """A pod in the queue; `refused_by` names the plugins that refused it last."""

    pod: JsonObject
    added_s: float
    attempts: int = 0
    refused_by: frozenset[str] = field(default=frozenset())
    tried_s: float = 0.0

    @property
    def backoff_until_s(self) -> float:
        """Return when it may be tried again."""
        if not self.attempts:
            return 0.0
        delay_s = min(INITIAL_BACKOFF_S * 2.0 ** (self.attempts - 1), MAX_BACKOFF_S)
        return self.tried_s + delay_s


class SchedulingQueue:
    """See the module; keys are pod uids.

    Args:
        held_back: says whether a pod is gated.
        may_help: (pod, plugin name, event): whether the event may help a pod that the plugin refused.
    """

    def __init__(
        self,
        held_back: Callable[[JsonObject], bool],
        may_help: Callable[[JsonObject, str, ClusterEvent], bool],
    ) -> None:
        self._held_back = held_back
        self._may_help = may_help
        self._pods: dict[str, QueuedPod] = {}
        self._active: list[tuple[int, float, int, str]] = []
        self._is_active: set[str] = set()
        self._waiting: set[str] = set()  # unschedulable
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._in_flight: dict[str, list[ClusterEvent]] = {}
        self._order = itertools.count()
        self._wakeup = asyncio.Event()

    def add(self, pod: JsonObject) -> None:
        """Add a pod, or take a new state of one that waits (which gives it a new try)."""
        uid = pod["metadata"]["uid"]
        known = self._pods.get(uid)
        if known is None:
            known = self._pods[uid] = QueuedPod(pod, clock.monotonic_s())
        known.pod = pod
        if uid in self._in_flight or uid in self._is_active:
            return
        if self._held_back(pod):
            self._waiting.discard(uid)
            self._cancel_timer(uid)
            return
        self._activate_after_backoff(uid, known)

    def remove(self, uid: str) -> None:
        """Forget a pod: it is bound, finished or deleted."""
        self._pods.pop(uid, None)
        self._waiting.discard(uid)
        self._is_active.discard(uid)
        self._cancel_timer(uid)

    async def pop(self) -> QueuedPod:
        """Wait for the most important active pod and take it; end its cycle with `remove` or `put_back`."""
        while True:
            while self._active:
                uid = heapq.heappop(self._active)[3]
                if uid in self._is_active:
                    self._is_active.discard(uid)
                    self._in_flight[uid] = []
                    return self._pods[uid]
            self._wakeup.clear()
            await self._wakeup.wait()

    def finish(self, uid: str) -> None:
        """End a cycle without putting the pod back (it is being bound)."""
        self._in_flight.pop(uid, None)

    def put_back(self, queued: QueuedPod, refused_by: frozenset[str]) -> None:
        """End a cycle that failed: wait for an event, or go on to back off if one that may help came meanwhile."""
        uid = queued.pod["metadata"]["uid"]
        events = self._in_flight.pop(uid, [])
        known = self._pods.get(uid)
        if known is None:
            return
        known.attempts += 1
        known.tried_s = clock.monotonic_s()
        known.refused_by = refused_by
        if not refused_by or any(self._helps(known, event) for event in events):
            self._activate_after_backoff(uid, known)
            return
        self._waiting.add(uid)
        self._start_timer(uid, MAX_UNSCHEDULABLE_S)

    def on_event(self, event: ClusterEvent) -> None:
        """Move the pods that `event` may help on."""
        for events in self._in_flight.values():
            events.append(event)
        for uid in [uid for uid in self._waiting if self._helps(self._pods[uid], event)]:
            self._activate_after_backoff(uid, self._pods[uid])

    def _helps(self, queued: QueuedPod, event: ClusterEvent) -> bool:
        return any(self._may_help(queued.pod, plugin, event) for plugin in queued.refused_by)

    def _activate_after_backoff(self, uid: str, queued: QueuedPod) -> None:
        self._waiting.discard(uid)
        left_s = queued.backoff_until_s - clock.monotonic_s()
        if left_s > 0:
            self._start_timer(uid, left_s)
        else:
            self._activate(uid)

    def _start_timer(self, uid: str, delay_s: float) -> None:
        self._cancel_timer(uid)
        self._timers[uid] = asyncio.get_running_loop().call_later(delay_s, self._activate, uid)

    def _cancel_timer(self, uid: str) -> None:
        timer = self._timers.pop(uid, None)
        if timer is not None:
            timer.cancel()

    def _activate(self, uid: str) -> None:
        self._cancel_timer(uid)
        self._waiting.discard(uid)
        queued = self._pods.get(uid)
        if queued is None or uid in self._is_active or uid in self._in_flight:
            return
        self._is_active.add(uid)
        priority = int((queued.pod["spec"]).get("priority") or 0)
        heapq.heappush(self._active, (-priority, queued.added_s, next(self._order), uid))
        self._wakeup.set()
