"""The scheduler's metrics; names, labels and buckets as upstream's stable ones. Source: kubernetes/pkg/scheduler/metrics v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.util import clock
from k3py.util.metrics import Computed, Counter, Histogram

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from k3py.util.metrics import Registry

SCHEDULED: Final = "scheduled"
UNSCHEDULABLE: Final = "unschedulable"
ERROR: Final = "error"
_SECONDS: Final = tuple(0.001 * 2**power for power in range(15))
_POINT_SECONDS: Final = tuple(0.0001 * 2**power for power in range(12))
_VICTIMS: Final = (1, 2, 4, 8, 16, 32, 64)
_ATTEMPTS: Final = (1, 2, 4, 8, 16)


class SchedulerMetrics:
    """What the scheduler counts; `incoming` counts pods that enter a queue, by event and queue."""

    def __init__(self) -> None:
        self._attempts = Counter(
            "scheduler_schedule_attempts_total",
            "Attempts to schedule pods, by result.",
            ("profile", "result"),
        )
        self._seconds = Histogram(
            "scheduler_scheduling_attempt_duration_seconds",
            "Duration of attempts to schedule pods.",
            ("profile", "result"),
            buckets=_SECONDS,
        )
        self._pod_attempts = Histogram(
            "scheduler_pod_scheduling_attempts",
            "Attempts that a pod took until it was scheduled.",
            (),
            buckets=_ATTEMPTS,
        )
        self._preemptions = Counter(
            "scheduler_preemption_attempts_total", "Attempts to make room by preemption."
        )
        self._victims = Histogram(
            "scheduler_preemption_victims", "Pods that had to go for another one.", (), buckets=_VICTIMS
        )
        self._points = Histogram(
            "scheduler_framework_extension_point_duration_seconds",
            "Duration of all plugins of an extension point.",
            ("extension_point", "profile", "status"),
            buckets=_POINT_SECONDS,
        )
        self.incoming = Counter(
            "scheduler_queue_incoming_pods_total",
            "Pods that entered a queue, by event and queue.",
            ("event", "queue"),
        )

    def publish(self, registry: Registry, sizes: Callable[[], Mapping[str, int]]) -> None:
        """Add all to a registry; `sizes` gives the number of waiting pods by queue."""
        registry.add(
            self._attempts,
            self._seconds,
            self._pod_attempts,
            self._preemptions,
            self._victims,
            self._points,
            self.incoming,
            Computed(
                "scheduler_pending_pods",
                "Pods that wait, by queue.",
                ("queue",),
                lambda: [((queue,), float(count)) for queue, count in sizes().items()],
            ),
        )

    def observe_point(self, profile: str, point: str, since_s: float, *, refused: bool = False) -> None:
        """Note that the plugins of an extension point, which began at `since_s`, are done."""
        status = "Unschedulable" if refused else "Success"
        self._points.observe(clock.monotonic_s() - since_s, point, profile, status)

    def observe_attempt(self, profile: str, result: str, since_s: float) -> None:
        """Note the end of a cycle that began at `since_s` (monotonic)."""
        self._attempts.add(profile, result)
        self._seconds.observe(clock.monotonic_s() - since_s, profile, result)

    def observe_scheduled(self, attempts: int) -> None:
        """Note that a pod has a node, after so many attempts."""
        self._pod_attempts.observe(attempts)

    def observe_preemption(self, victims: int) -> None:
        """Note that room is made, for which so many pods go."""
        self._preemptions.add()
        self._victims.observe(victims)
