"""What the kubelet counts; names, labels and buckets as upstream's. Source: pkg/kubelet/metrics v1.35."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from k3py.util.metrics import Counter, Histogram, Registry

if TYPE_CHECKING:
    from k3py.runtime.interface import CallObserver

_BUCKETS: Final = (
    0.005,
    0.0125,
    0.03125,
    0.078125,
    0.195312,
    0.488281,
    1.2207,
    3.05176,
    7.62939,
    19.0735,
    47.6,
)
_WORD: Final = re.compile(r"(?<!^)(?=[A-Z])")


class KubeletMetrics:
    """Counters of one kubelet; `registry` shows them."""

    def __init__(self) -> None:
        self.pods_started = Counter("kubelet_started_pods_total", "Pods whose sandbox was started.")
        self.pods_failed = Counter(
            "kubelet_started_pods_errors_total", "Pods whose sandbox could not be started."
        )
        self.containers_started = Counter(
            "kubelet_started_containers_total", "Containers that were started.", ("container_type",)
        )
        self.containers_failed = Counter(
            "kubelet_started_containers_errors_total",
            "Containers that could not be started.",
            ("code", "container_type"),
        )
        self.evictions = Counter("kubelet_evictions", "Pods that were evicted.", ("eviction_signal",))
        self._calls = Counter(
            "kubelet_runtime_operations_total", "Calls of the container runtime.", ("operation_type",)
        )
        self._call_errors = Counter(
            "kubelet_runtime_operations_errors_total",
            "Calls of the container runtime that failed.",
            ("operation_type",),
        )
        self._call_seconds = Histogram(
            "kubelet_runtime_operations_duration_seconds",
            "Duration of calls of the container runtime.",
            ("operation_type",),
            buckets=_BUCKETS,
        )
        self.registry = Registry()
        self.registry.add(
            self.pods_started,
            self.pods_failed,
            self.containers_started,
            self.containers_failed,
            self.evictions,
            self._calls,
            self._call_errors,
            self._call_seconds,
        )

    def observe_call(self, method: str, seconds: float, *, failed: bool) -> None:
        """Note a call of the runtime, e.g. "RunPodSandbox"."""
        name = operation_name(method)
        self._calls.add(name)
        self._call_seconds.observe(seconds, name)
        if failed:
            self._call_errors.add(name)


def operation_name(method: str) -> str:
    """Return what upstream calls a method of CRI: "RunPodSandbox" → "run_podsandbox"."""
    return _WORD.sub("_", method.replace("PodSandbox", "Podsandbox")).lower()


if TYPE_CHECKING:

    def _check(one: KubeletMetrics) -> CallObserver:
        return one.observe_call
