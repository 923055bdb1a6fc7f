"""Pods of a Job: what tracks them, whether they failed and when, and what a new one looks like.

Source: kubernetes/pkg/controller/job/{job_controller,indexed_job_utils,backoff_utils}.go v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.resource import JOBS
from k3py.api.timestamps import parse_time
from k3py.controllers.pod import find_condition, phase_of
from k3py.controllers.workloads.job.indexes import INDEX_KEY
from k3py.controllers.workloads.pod_control import make_pod

if TYPE_CHECKING:
    from datetime import datetime

    from k3py.jsontypes import JsonObject

FINALIZER: Final = "batch.kubernetes.io/job-tracking"
FAILURES_KEY: Final = "batch.kubernetes.io/job-index-failure-count"
IGNORED_KEY: Final = "batch.kubernetes.io/job-index-ignored-failure-count"
_ENVIRONMENT: Final = "JOB_COMPLETION_INDEX"


def is_tracked(pod: JsonObject) -> bool:
    """Say whether the pod waits to be counted."""
    return FINALIZER in (pod["metadata"].get("finalizers") or ())


def replaces_failed_only(job: JsonObject) -> bool:
    """Say whether a pod is replaced only once it has ended, not when its deletion begins."""
    return job["spec"].get("podReplacementPolicy") == "Failed" or bool(job["spec"].get("podFailurePolicy"))


def is_failed(job: JsonObject, pod: JsonObject) -> bool:
    """Say whether the pod counts as failed."""
    phase = phase_of(pod)
    if phase == "Failed":
        return True
    if replaces_failed_only(job):
        return False
    return "deletionTimestamp" in pod["metadata"] and phase != "Succeeded"


def is_indexed(job: JsonObject) -> bool:
    """Say whether each completion has an index."""
    return bool(job["spec"].get("completionMode") == "Indexed")


def failure_count(pod: JsonObject, key: str = FAILURES_KEY) -> int:
    """Return how often the pod's index failed before it."""
    text = (pod["metadata"].get("annotations") or {}).get(key, "0")
    return int(text) if text.isdigit() else 0


def finished_at(pod: JsonObject) -> datetime:
    """Return when the pod ended, as well as can be told."""
    status = pod.get("status") or {}
    statuses = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
    ends = [((one.get("state") or {}).get("terminated") or {}).get("finishedAt") for one in statuses]
    if statuses and any(ends):
        return max(parse_time(one) for one in ends if one)
    ready = find_condition(pod, "Ready")
    if ready is not None and ready["status"] == "False" and ready.get("lastTransitionTime"):
        return parse_time(ready["lastTransitionTime"])
    metadata = pod["metadata"]
    return parse_time(metadata.get("deletionTimestamp") or metadata["creationTimestamp"])


def make_job_pod(
    job: JsonObject, index: int | None, replaced: JsonObject | None, *, ignored: bool
) -> JsonObject:
    """Return a new pod.

    Args:
        job: its owner.
        index: completion index, None for a job without.
        replaced: the failed pod of that index whose failures it inherits.
        ignored: the failure of `replaced` does not count.
    """
    pod = make_pod(job, JOBS)
    metadata = pod["metadata"]
    metadata["finalizers"] = [*metadata.get("finalizers", ()), FINALIZER]
    if index is None:
        return pod
    metadata["generateName"] = f"{job['metadata']['name']}-{index}-"[:247]
    annotations = {**metadata.get("annotations", {}), INDEX_KEY: str(index)}
    metadata["labels"] = {**metadata.get("labels", {}), INDEX_KEY: str(index)}
    if job["spec"].get("backoffLimitPerIndex") is not None:
        counted = failure_count(replaced) if replaced is not None else 0
        skipped = failure_count(replaced, IGNORED_KEY) if replaced is not None else 0
        if replaced is not None:
            counted, skipped = counted + (not ignored), skipped + ignored
        annotations[FAILURES_KEY] = str(counted)
        if skipped:
            annotations[IGNORED_KEY] = str(skipped)
    metadata["annotations"] = annotations
    pod["spec"]["hostname"] = f"{job['metadata']['name']}-{index}"
    source = {"fieldRef": {"fieldPath": f"metadata.labels['{INDEX_KEY}']"}}
    for container in (*pod["spec"].get("containers", ()), *pod["spec"].get("initContainers", ())):
        environment = container.get("env") or []
        if not any(one["name"] == _ENVIRONMENT for one in environment):
            container["env"] = [*environment, {"name": _ENVIRONMENT, "valueFrom": source}]
    return pod
