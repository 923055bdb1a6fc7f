"""Counting ended pods exactly once: their finalizer stays until the status names them. Pure.

A pod's way: ended → its uid in status.uncountedTerminatedPods → finalizer removed → added to the counters. At each point a restart finds
in the API what is left to do. Source: trackJobStatusAndRemoveFinalizers in kubernetes/pkg/controller/job v1.35.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.api.timestamps import format_time
from k3py.controllers.pod import phase_of
from k3py.controllers.workloads.job.indexes import format_indexes, index_of
from k3py.controllers.workloads.job.pods import is_failed, is_indexed
from k3py.controllers.workloads.job.policy import judge_failure

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from k3py.controllers.workloads.job.plan import Standing, Verdict, View
    from k3py.jsontypes import JsonObject

MAX_UNCOUNTED: Final = 500
FINAL: Final = {"FailureTarget": "Failed", "SuccessCriteriaMet": "Complete"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracking:
    """status: to write before anything else; release: pods whose finalizer goes then."""

    status: JsonObject
    release: tuple[JsonObject, ...]


def plan_tracking(view: View, standing: Standing, status: JsonObject) -> Tracking:
    """Name newly ended pods in the status and tell which may be let go."""
    job = view.job
    uncounted = status.get("uncountedTerminatedPods") or {}
    succeeded, failed = list(uncounted.get("succeeded") or ()), list(uncounted.get("failed") or ())
    counted = set(standing.counted_indexes)
    verdict = standing.verdict
    lost = verdict is not None and verdict.kind == "FailureTarget"
    deleting = "deletionTimestamp" in job["metadata"]
    delayed = {pod["metadata"]["uid"] for pod in standing.delayed.values()} if verdict is None else set()
    release = []
    for pod in view.pods:
        uid, phase = pod["metadata"]["uid"], phase_of(pod)
        ended = phase == "Succeeded" or is_failed(job, pod)
        if not view.tracks(pod) or not (ended or deleting or verdict is not None):
            continue
        if uid in delayed and not deleting:
            continue
        release.append(pod)
        if phase == "Succeeded" and uid not in failed:
            if is_indexed(job):
                if index_of(pod) in standing.succeeded_indexes:
                    counted.add(index_of(pod))
            elif uid not in succeeded:
                succeeded.append(uid)
        elif (is_failed(job, pod) or lost) and uid not in failed and _counts(view, pod):
            failed.append(uid)
        if len(succeeded) + len(failed) >= MAX_UNCOUNTED:
            break
    status = {**status, "uncountedTerminatedPods": _uncounted(succeeded, failed)}
    if is_indexed(job):
        _set(status, "succeeded", len(counted))
        _set(status, "completedIndexes", format_indexes(counted))
        if standing.failed_indexes is not None:
            status["failedIndexes"] = format_indexes(standing.failed_indexes)
    return Tracking(status=status, release=tuple(release))


def _counts(view: View, pod: JsonObject) -> bool:
    if is_indexed(view.job) and not 0 <= index_of(pod) < (view.job["spec"].get("completions") or 0):
        return False
    return judge_failure(view.job, pod).counts


def _uncounted(succeeded: list[str], failed: list[str]) -> JsonObject:
    return {**({"succeeded": succeeded} if succeeded else {}), **({"failed": failed} if failed else {})}


def _set(status: JsonObject, key: str, value: int | str) -> None:
    if value:
        status[key] = value
    else:
        status.pop(key, None)


def plan_counted(status: JsonObject, tracked: Collection[str]) -> JsonObject:
    """Move uids whose pods have no finalizer any more into the counters; `tracked`: uids of those that still have it."""
    uncounted = status.get("uncountedTerminatedPods") or {}
    counted = dict(status)
    left: dict[str, list[str]] = {}
    for kind in ("succeeded", "failed"):
        uids = uncounted.get(kind) or ()
        left[kind] = [uid for uid in uids if uid in tracked]
        _set(counted, kind, counted.get(kind, 0) + len(uids) - len(left[kind]))
    counted["uncountedTerminatedPods"] = _uncounted(left["succeeded"], left["failed"])
    return counted


def with_condition(
    status: JsonObject, kind: str, value: str, reason: str, message: str, now: datetime
) -> tuple[JsonObject, bool]:
    """Set a condition; returns the status and whether that changed it. "False" is not written where there was none."""
    conditions = list(status.get("conditions") or ())
    known = next((one for one in conditions if one["type"] == kind), None)
    if known is None and value == "False":
        return status, False
    if known is not None and (known["status"], known.get("reason")) == (value, reason):
        return status, False
    stamp = format_time(now)
    new = {
        "type": kind,
        "status": value,
        "lastProbeTime": stamp,
        "lastTransitionTime": stamp,
        "reason": reason,
        "message": message,
    }
    return {**status, "conditions": [one for one in conditions if one is not known] + [new]}, True


def with_verdict(status: JsonObject, verdict: Verdict, now: datetime) -> JsonObject:
    """Add the condition that tells how the job will end."""
    return with_condition(status, verdict.kind, "True", verdict.reason, verdict.message, now)[0]


def finish(status: JsonObject, verdict: Verdict, now: datetime) -> JsonObject:
    """Add the condition that ends the job."""
    kind = FINAL[verdict.kind]
    status, _ = with_condition(status, kind, "True", verdict.reason, verdict.message, now)
    if kind == "Complete":
        status = {**status, "completionTime": format_time(now)}
    return status
