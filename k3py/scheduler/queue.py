"""Pods that wait for a node: active by priority, backing off, unschedulable until something changes, gated.

::

    add ──► active ──pop──► (a cycle) ──bound──► gone
              ▲                 │
              │            unschedulable ──► waits; an event that may help ──► backing off ──deadline──► active
              └── gate removed ── gated

Nothing polls: backing-off pods come back by one timer, unschedulable ones by events (and after 5 minutes at the latest, as upstream's
flush does). While no pod is active, one that backs off without an error goes at once. Source: kubernetes/pkg/scheduler/backend/queue
v1.35.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from k3py.scheduler.watched import GATING
from k3py.util import clock
from k3py.util.metrics import Counter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from k3py.scheduler.interface import ClusterEvent, Interest
    from k3py.scheduler.node_info import PodInfo

INITIAL_BACKOFF_S: Final = 1.0
MAX_BACKOFF_S: Final = 10.0
MAX_UNSCHEDULABLE_S: Final = 300.0


@dataclass(slots=True)
class QueuedPod:
    """A pod in the queue.

    Attributes:
        refused_by: the plugins that refused it last, none after an error.
        changed: the pod changed during its cycle.
    """

    info: PodInfo
    added_s: float
    attempts: int = 0
    refused_by: frozenset[str] = field(default=frozenset())
    tried_s: float = 0.0
    changed: bool = False


class SchedulingQueue:
    """See the module; keys are pod uids.

    Args:
        held_back: says whether a pod is gated.
        may_help: (pod, plugin name, event): whether the event may help a pod that the plugin refused.
        interests: by plugin name; a plugin that is missing is asked about everything.
        initial_backoff_s, max_backoff_s: podInitialBackoffSeconds, podMaxBackoffSeconds.
        incoming: counts pods that enter a queue, by event and queue.
    """

    def __init__(
        self,
        held_back: Callable[[PodInfo], bool],
        may_help: Callable[[PodInfo, str, ClusterEvent], bool],
        interests: Mapping[str, frozenset[Interest]],
        *,
        initial_backoff_s: float = INITIAL_BACKOFF_S,
        max_backoff_s: float = MAX_BACKOFF_S,
        incoming: Counter | None = None,
    ) -> None:
        self._held_back = held_back
        self._incoming = incoming or Counter("", "", ("event", "queue"))
        self._may_help = may_help
        self._interests = interests
        self._backoff_s = (initial_backoff_s, max_backoff_s)
        self._pods: dict[str, QueuedPod] = {}
        self._active: list[tuple[int, float, int, str]] = []
        self._is_active: set[str] = set()
        self._waiting: dict[str, dict[str, None]] = {}  # plugin → uids of unschedulable pods that it refused
        self._backing_off: dict[str, float] = {}  # uid → when it may be tried, of those without an error
        self._gated: set[str] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._in_flight: dict[str, list[ClusterEvent]] = {}
        self._order = itertools.count()
        self._wakeup = asyncio.Event()

    def add(self, info: PodInfo) -> None:
        """Add a pod, or take a new state of one that waits (which gives it a new try)."""
        uid = info.uid
        known = self._pods.get(uid)
        if known is None:
            known = self._pods[uid] = QueuedPod(info, clock.monotonic_s())
        known.info = info
        if uid in self._in_flight:
            known.changed = True
            return
        if uid in self._is_active:
            return
        if self._held_back(info):
            self._incoming.add("PodAdd", "gated")
            self._stop_waiting(uid)
            self._gated.add(uid)
            return
        self._gated.discard(uid)
        self._activate_after_backoff(uid, known, event="PodAdd")

    def sizes(self) -> dict[str, int]:
        """Return the number of waiting pods by queue, with upstream's names."""
        unschedulable = {uid for uids in self._waiting.values() for uid in uids}
        return {
            "active": len(self._is_active),
            "backoff": len(self._timers.keys() - unschedulable),
            "unschedulable": len(unschedulable),
            "gated": len(self._gated),
        }

    def remove(self, uid: str) -> None:
        """Forget a pod: it is bound, finished or deleted."""
        self._stop_waiting(uid)
        self._pods.pop(uid, None)
        self._gated.discard(uid)
        self._is_active.discard(uid)

    async def pop(self) -> QueuedPod:
        """Wait for the most important active pod and take it; end its cycle with `finish` or `put_back`."""
        while True:
            while self._active:
                uid = heapq.heappop(self._active)[3]
                if uid in self._is_active:
                    self._is_active.discard(uid)
                    return self._take(uid)
            if self._backing_off:
                uid = min(self._backing_off, key=lambda one: self._backing_off[one])
                self._stop_waiting(uid)
                return self._take(uid)
            self._wakeup.clear()
            await self._wakeup.wait()

    def _take(self, uid: str) -> QueuedPod:
        self._in_flight[uid] = []
        queued = self._pods[uid]
        queued.changed = False
        return queued

    def finish(self, uid: str) -> None:
        """End a cycle without putting the pod back (it is bound or gone)."""
        self._in_flight.pop(uid, None)

    def put_back(self, queued: QueuedPod, refused_by: frozenset[str]) -> None:
        """End a cycle that failed: wait for an event, or go on to back off if one that may help came meanwhile."""
        uid = queued.info.uid
        events = self._in_flight.pop(uid, [])
        known = self._pods.get(uid)
        if known is None:
            return
        known.attempts += 1
        known.tried_s = clock.monotonic_s()
        known.refused_by = refused_by
        if known.changed and self._held_back(known.info):
            self._gated.add(uid)
            return
        if not refused_by or known.changed or any(self._helps(known, event) for event in events):
            self._activate_after_backoff(uid, known, event="ScheduleAttemptFailure")
            return
        self._incoming.add("ScheduleAttemptFailure", "unschedulable")
        for plugin in refused_by:
            self._waiting.setdefault(plugin, {})[uid] = None
        self._start_timer(uid, MAX_UNSCHEDULABLE_S)

    def on_event(self, event: ClusterEvent) -> None:
        """Move the pods that `event` may help on."""
        for events in self._in_flight.values():
            events.append(event)
        if self._gated and event.resource in GATING:
            for uid in tuple(self._gated):
                self.add(self._pods[uid].info)
        for plugin, uids in tuple(self._waiting.items()):
            if not self._is_interested(plugin, event):
                continue
            for uid in tuple(uids):
                queued = self._pods[uid]
                if self._may_help(queued.info, plugin, event):
                    self._activate_after_backoff(uid, queued, event=f"{event.resource}{event.kind}")

    def _is_interested(self, plugin: str, event: ClusterEvent) -> bool:
        interests = self._interests.get(plugin)
        return interests is None or (event.resource, event.kind) in interests

    def _helps(self, queued: QueuedPod, event: ClusterEvent) -> bool:
        return any(
            self._is_interested(plugin, event) and self._may_help(queued.info, plugin, event)
            for plugin in queued.refused_by
        )

    def _activate_after_backoff(self, uid: str, queued: QueuedPod, *, event: str) -> None:
        self._stop_waiting(uid)
        if not queued.attempts:
            self._incoming.add(event, "active")
            self._activate(uid)
            return
        first_s, most_s = self._backoff_s
        until_s = queued.tried_s + min(first_s * 2.0 ** min(queued.attempts - 1, 30), most_s)
        left_s = until_s - clock.monotonic_s()
        if left_s <= 0:
            self._incoming.add(event, "active")
            self._activate(uid)
            return
        self._incoming.add(event, "backoff")
        self._start_timer(uid, left_s)
        if queued.refused_by:
            self._backing_off[uid] = until_s
            self._wakeup.set()

    def _start_timer(self, uid: str, delay_s: float) -> None:
        self._timers[uid] = asyncio.get_running_loop().call_later(delay_s, self._activate, uid)

    def _stop_waiting(self, uid: str) -> None:
        timer = self._timers.pop(uid, None)
        if timer is not None:
            timer.cancel()
        self._backing_off.pop(uid, None)
        queued = self._pods.get(uid)
        for plugin in () if queued is None else queued.refused_by:
            uids = self._waiting.get(plugin)
            if uids is not None:
                uids.pop(uid, None)
                if not uids:
                    del self._waiting[plugin]

    def _activate(self, uid: str) -> None:
        self._stop_waiting(uid)
        queued = self._pods.get(uid)
        if queued is None or uid in self._is_active or uid in self._in_flight:
            return
        self._is_active.add(uid)
        heapq.heappush(self._active, (-queued.info.priority, queued.added_s, next(self._order), uid))
        self._wakeup.set()
