"""What a Job has come to and which pods it needs: pure.

Source: syncJob and manageJob in kubernetes/pkg/controller/job/job_controller.go v1.35.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from k3py.api.timestamps import parse_time
from k3py.controllers.pod import is_active, is_ready, is_terminating, phase_of
from k3py.controllers.workloads.job.indexes import index_of, parse_indexes
from k3py.controllers.workloads.job.pods import (
    failure_count,
    finished_at,
    is_failed,
    is_indexed,
    is_tracked,
    replaces_failed_only,
)
from k3py.controllers.workloads.job.policy import judge_failure, match_success
from k3py.controllers.workloads.pod_ranking import rank_for_deletion

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from k3py.jsontypes import JsonObject

BURST: Final = 500
FIRST_BACKOFF_S: Final = 10.0
MAX_BACKOFF_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """A condition that ends a job: FailureTarget or SuccessCriteriaMet, with reason and message."""

    kind: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Backoff:
    """Failures since the last success, and when the last one was."""

    failures: int = 0
    last: datetime | None = None

    def left_s(self, now: datetime) -> float:
        """Return how long no new pod is to be made."""
        if not self.failures or self.last is None:
            return 0.0
        return max(0.0, delay_s(self.failures) - (now - self.last).total_seconds())


def delay_s(failures: int) -> float:
    """Return the delay after so many failures in a row."""
    return float(min(FIRST_BACKOFF_S * 2 ** min(failures - 1, 10), MAX_BACKOFF_S))


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A Job as it is seen now.

    released: uids of pods that were counted and let go, though `pods` may not show that yet. backoff: as of the last counting.
    """

    job: JsonObject
    pods: Sequence[JsonObject]
    now: datetime
    released: Collection[str] = ()
    backoff: Backoff = Backoff()

    def tracks(self, pod: JsonObject) -> bool:
        """Say whether the pod is still to be counted."""
        return is_tracked(pod) and pod["metadata"]["uid"] not in self.released


@dataclass(slots=True, kw_only=True)
class Standing:
    """What a Job has come to; `failed_indexes` is None unless there is a limit for each index.

    delayed: the failed pod of an index that stays until its successor is there.
    """

    active: list[JsonObject]
    ready: int
    terminating: int
    succeeded: int
    failed: int
    backoff: Backoff
    counted_indexes: set[int] = field(default_factory=set)
    succeeded_indexes: set[int] = field(default_factory=set)
    failed_indexes: set[int] | None = None
    delayed: dict[int, JsonObject] = field(default_factory=dict)
    verdict: Verdict | None = None
    wait_s: float | None = None


@dataclass(slots=True, kw_only=True)
class PodPlan:
    """Pods to delete, or indexes (None without) of pods to make; wait_s: seconds after which to look again."""

    delete: list[JsonObject] = field(default_factory=list)
    create: list[int | None] = field(default_factory=list)
    wait_s: float | None = None


def find_condition_of(job: JsonObject, kind: str) -> JsonObject | None:
    """Return the true condition of that type."""
    for one in (job.get("status") or {}).get("conditions") or ():
        if one["type"] == kind and one["status"] == "True":
            return dict(one)
    return None


def is_finished(job: JsonObject) -> bool:
    """Say whether the job is Complete or Failed."""
    return find_condition_of(job, "Complete") is not None or find_condition_of(job, "Failed") is not None


def is_suspended(job: JsonObject) -> bool:
    """Say whether the job is to have no pods for now."""
    return bool(job["spec"].get("suspend"))


def judge(view: View) -> Standing:
    """Count pods and find out whether the job has come to its end."""
    job, status = view.job, view.job.get("status") or {}
    uncounted = status.get("uncountedTerminatedPods") or {}
    known = {*(uncounted.get("succeeded") or ()), *(uncounted.get("failed") or ())}
    fresh = [pod for pod in view.pods if view.tracks(pod) and pod["metadata"]["uid"] not in known]
    new_succeeded = [pod for pod in fresh if phase_of(pod) == "Succeeded"]
    new_failed = [pod for pod in fresh if is_failed(job, pod)]
    counting = sum(1 for pod in new_failed if judge_failure(job, pod).counts)
    active = [pod for pod in view.pods if is_active(pod)]
    standing = Standing(
        active=active,
        ready=sum(1 for pod in active if is_ready(pod)),
        terminating=sum(1 for pod in view.pods if is_terminating(pod)),
        succeeded=status.get("succeeded", 0) + len(new_succeeded) + len(uncounted.get("succeeded") or ()),
        failed=status.get("failed", 0) + counting + len(uncounted.get("failed") or ()),
        backoff=_next_backoff(view.backoff, new_succeeded, new_failed),
    )
    if is_indexed(job):
        _count_indexes(view, standing)
    standing.verdict = _earlier_verdict(job) or _policy_verdict(view) or _limit_verdict(view, standing)
    return standing


def _next_backoff(old: Backoff, succeeded: Sequence[JsonObject], failed: Sequence[JsonObject]) -> Backoff:
    last_success = max((finished_at(pod) for pod in succeeded), default=None)
    times = [finished_at(pod) for pod in failed]
    if last_success is not None:
        times = [one for one in times if one > last_success]
        old = Backoff() if old.last is None or old.last <= last_success else old
    if not times:
        return old
    latest = max(times) if old.last is None else max(*times, old.last)
    return Backoff(old.failures + len(times), latest)


def _count_indexes(view: View, standing: Standing) -> None:
    job, status = view.job, view.job.get("status") or {}
    completions = job["spec"].get("completions") or 0
    standing.counted_indexes = parse_indexes(status.get("completedIndexes", ""), completions)
    standing.succeeded_indexes = standing.counted_indexes | {
        index_of(pod)
        for pod in view.pods
        if phase_of(pod) == "Succeeded" and view.tracks(pod) and 0 <= index_of(pod) < completions
    }
    standing.succeeded = len(standing.succeeded_indexes)
    limit = job["spec"].get("backoffLimitPerIndex")
    if limit is None:
        return
    failed = parse_indexes(status.get("failedIndexes", ""), completions)
    ended = [pod for pod in view.pods if view.tracks(pod) and is_failed(job, pod)]
    for pod in ended:
        if not 0 <= index_of(pod) < completions:
            continue
        verdict = judge_failure(job, pod)
        if verdict.action == "FailIndex" or (verdict.counts and failure_count(pod) >= limit):
            failed.add(index_of(pod))
    standing.failed_indexes = failed
    closed = failed | standing.succeeded_indexes | {index_of(pod) for pod in standing.active}
    for pod in ended:
        index = index_of(pod)
        if 0 <= index < completions and index not in closed:
            other = standing.delayed.get(index)
            if other is None or finished_at(other) < finished_at(pod):
                standing.delayed[index] = pod


def _earlier_verdict(job: JsonObject) -> Verdict | None:
    for kind in ("SuccessCriteriaMet", "FailureTarget"):
        condition = find_condition_of(job, kind)
        if condition is not None:
            return Verdict(kind, condition.get("reason", ""), condition.get("message", ""))
    return None


def _policy_verdict(view: View) -> Verdict | None:
    if not view.job["spec"].get("podFailurePolicy"):
        return None
    for pod in view.pods:
        if is_failed(view.job, pod):
            verdict = judge_failure(view.job, pod)
            if verdict.action == "FailJob":
                return Verdict("FailureTarget", "PodFailurePolicy", verdict.message)
    return None


def _limit_verdict(view: View, standing: Standing) -> Verdict | None:
    job, spec = view.job, view.job["spec"]
    if standing.failed > spec.get("backoffLimit", 6) or _restarted_too_often(job, view.pods):
        message = "Job has reached the specified backoff limit"
        return Verdict("FailureTarget", "BackoffLimitExceeded", message)
    deadline_s = spec.get("activeDeadlineSeconds")
    started = (job.get("status") or {}).get("startTime")
    if deadline_s is not None and not is_suspended(job):
        passed_s = (view.now - parse_time(started)).total_seconds() if started else 0.0
        if started and passed_s >= deadline_s:
            return Verdict(
                "FailureTarget", "DeadlineExceeded", "Job was active longer than specified deadline"
            )
        standing.wait_s = max(0.0, deadline_s - passed_s)
    if not is_indexed(job):
        return None
    failed = len(standing.failed_indexes or ())
    maximum = spec.get("maxFailedIndexes")
    if maximum is not None and failed > maximum:
        message = "Job has exceeded the specified maximal number of failed indexes"
        return Verdict("FailureTarget", "MaxFailedIndexesExceeded", message)
    if failed and failed + len(standing.succeeded_indexes) >= (spec.get("completions") or 0):
        return Verdict("FailureTarget", "FailedIndexes", "Job has failed indexes")
    matched = match_success(job, standing.succeeded_indexes)
    return Verdict("SuccessCriteriaMet", "SuccessPolicy", matched) if matched else None


def _restarted_too_often(job: JsonObject, pods: Sequence[JsonObject]) -> bool:
    if (job["spec"]["template"].get("spec") or {}).get("restartPolicy") != "OnFailure":
        return False
    restarts = 0
    for pod in pods:
        if phase_of(pod) in ("Running", "Pending"):
            status = pod["status"]
            for one in (
                *(status.get("initContainerStatuses") or ()),
                *(status.get("containerStatuses") or ()),
            ):
                restarts += one.get("restartCount", 0)
    limit = job["spec"].get("backoffLimit", 6)
    return bool(restarts > 0 if limit == 0 else restarts >= limit)


def plan_pods(view: View, standing: Standing) -> PodPlan:
    """Return which pods to delete or to make for a job that has not ended."""
    job, spec = view.job, view.job["spec"]
    active = len(standing.active)
    if is_suspended(job):
        return PodPlan(delete=standing.active[:BURST])
    parallelism = spec.get("parallelism", 1)
    completions = spec.get("completions")
    if completions is None:
        wanted = active if standing.succeeded > 0 else parallelism
    else:
        wanted = max(0, min(completions - standing.succeeded, parallelism))
    surplus = _surplus(view, standing, max(0, active - wanted))
    if surplus:
        return PodPlan(delete=surplus[:BURST])
    missing = wanted - active - (standing.terminating if replaces_failed_only(job) else 0)
    if missing <= 0:
        return PodPlan()
    left_s = 0.0 if spec.get("backoffLimitPerIndex") is not None else standing.backoff.left_s(view.now)
    if left_s > 0:
        return PodPlan(wait_s=left_s)
    missing = min(missing, BURST)
    if not is_indexed(job):
        return PodPlan(create=[None] * missing)
    return _plan_indexes(view, standing, missing)


def _surplus(view: View, standing: Standing, at_least: int) -> list[JsonObject]:
    surplus: list[JsonObject] = []
    rest = standing.active
    if is_indexed(view.job):
        completions = view.job["spec"].get("completions") or 0
        by_index: dict[int, list[JsonObject]] = {}
        for pod in rest:
            by_index.setdefault(index_of(pod), []).append(pod)
        rest = []
        for index, pods in by_index.items():
            if 0 <= index < completions and index not in standing.succeeded_indexes:
                ranked = rank_for_deletion(pods, (), view.now)
                surplus += ranked[:-1]
                rest.append(ranked[-1])
            else:
                surplus += pods
    if len(surplus) < at_least:
        surplus += rank_for_deletion(rest, (), view.now)[: at_least - len(surplus)]
    return surplus


def _plan_indexes(view: View, standing: Standing, missing: int) -> PodPlan:
    taken = standing.succeeded_indexes | {index_of(pod) for pod in standing.active}
    taken |= standing.failed_indexes or set()
    if replaces_failed_only(view.job):
        taken |= {index_of(pod) for pod in view.pods if is_terminating(pod)}
    free: list[int | None] = []
    for index in range(view.job["spec"].get("completions") or 0):
        if len(free) >= missing:
            break
        if index not in taken:
            free.append(index)
    if standing.failed_indexes is None:
        return PodPlan(create=free)
    plan = PodPlan()
    for one in free:
        pod = standing.delayed.get(one) if one is not None else None
        left_s = 0.0
        if pod is not None:
            left_s = Backoff(failure_count(pod) + 1, finished_at(pod)).left_s(view.now)
        if left_s > 0:
            plan.wait_s = left_s if plan.wait_s is None else min(plan.wait_s, left_s)
        else:
            plan.create.append(one)
    return plan


def is_complete(job: JsonObject, standing: Standing, active: int) -> bool:
    """Say whether enough pods succeeded and none is left."""
    completions = job["spec"].get("completions")
    needed = 1 if completions is None else completions
    return standing.succeeded >= needed and active == 0
