"""Metrics of Jobs; names, labels and buckets as upstream's stable ones. Source: kubernetes/pkg/controller/job/metrics v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.controllers.pod import phase_of
from k3py.util import clock
from k3py.util.metrics import Counter, Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.controllers.workloads.job.plan import Verdict
    from k3py.jsontypes import JsonObject
    from k3py.util.metrics import Registry

RECONCILING: Final = "reconciling"
PODS_CREATED: Final = "pods_created"
PODS_DELETED: Final = "pods_deleted"
TRACKING: Final = "tracking"
_SECONDS: Final = tuple(0.004 * 2**power for power in range(15))
_SYNC: Final = ("action", "completion_mode", "result")


class JobMetrics:
    """What the controller counts; `registry` shows it."""

    def __init__(self, registry: Registry) -> None:
        self._syncs = Counter("job_controller_job_syncs_total", "Looks at Jobs.", _SYNC)
        self._seconds = Histogram(
            "job_controller_job_sync_duration_seconds", "Duration of looks at Jobs.", _SYNC, buckets=_SECONDS
        )
        self._finished = Counter(
            "job_controller_jobs_finished_total",
            "Jobs that have ended.",
            ("completion_mode", "reason", "result"),
        )
        self._pods = Counter(
            "job_controller_job_pods_finished_total",
            "Pods of Jobs that have ended and are counted.",
            ("completion_mode", "result"),
        )
        registry.add(self._syncs, self._seconds, self._finished, self._pods)

    def observe_sync(self, job: JsonObject, action: str, since_s: float, *, failed: bool) -> None:
        """Note a look at a job that began at `since_s` (monotonic)."""
        labels = (action, _mode(job), "error" if failed else "success")
        self._syncs.add(*labels)
        self._seconds.observe(clock.monotonic_s() - since_s, *labels)

    def observe_finished(self, job: JsonObject, verdict: Verdict) -> None:
        """Note the end of a job."""
        failed = verdict.kind == "FailureTarget"
        self._finished.add(_mode(job), verdict.reason if failed else "", "failed" if failed else "succeeded")

    def observe_pods(self, job: JsonObject, pods: Iterable[JsonObject]) -> None:
        """Note pods that have ended and whose finalizer is gone."""
        for pod in pods:
            phase = phase_of(pod)
            if phase in ("Succeeded", "Failed"):
                self._pods.add(_mode(job), phase.lower())


def _mode(job: JsonObject) -> str:
    return str(job["spec"].get("completionMode", "NonIndexed"))
