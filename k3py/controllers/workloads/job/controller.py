"""Runs pods of a Job until enough of them succeeded, or too many failed.

Source: kubernetes/pkg/controller/job v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.object import key_of, split_key
from k3py.api.resource import JOBS, PODS
from k3py.api.selectors import selector_from_object
from k3py.api.status import ApiError
from k3py.api.timestamps import format_time
from k3py.client.expectations import Expectations
from k3py.controllers.interface import Watch
from k3py.controllers.ownership import (
    CONTROLLER_INDEX,
    ORPHAN_INDEX,
    claim,
    find_controller,
    index_by_controller,
    index_orphans,
)
from k3py.controllers.pod import is_ready
from k3py.controllers.workloads.job.metrics import (
    PODS_CREATED,
    PODS_DELETED,
    RECONCILING,
    TRACKING,
    JobMetrics,
)
from k3py.controllers.workloads.job.plan import (
    Backoff,
    Standing,
    Verdict,
    View,
    is_complete,
    is_finished,
    is_suspended,
    judge,
    plan_pods,
)
from k3py.controllers.workloads.job.pods import FINALIZER, is_tracked, make_job_pod
from k3py.controllers.workloads.job.policy import judge_failure
from k3py.controllers.workloads.job.tracking import (
    finish,
    plan_counted,
    plan_tracking,
    with_condition,
    with_verdict,
)
from k3py.controllers.workloads.pod_control import PodControl
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from k3py.controllers.interface import ControllerContext
    from k3py.controllers.workloads.job.plan import PodPlan
    from k3py.jsontypes import JsonObject

_ORPHAN: Final = "orphan:"
OWN_NAME: Final = "kubernetes.io/job-controller"


class JobController:
    """See the module."""

    name = "job-controller"
    workers = 5

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._recorder = context.recorder
        self._control = PodControl(context.client, context.recorder)
        jobs = context.informers.informer(JOBS)
        pods = context.informers.informer(PODS)
        pods.add_index(CONTROLLER_INDEX, index_by_controller)
        pods.add_index(ORPHAN_INDEX, index_orphans)
        self._jobs, self._pods = jobs.lister, pods.lister
        self._expectations = Expectations()
        self._released: dict[str, set[str]] = {}
        self._backoffs: dict[str, Backoff] = {}
        self._metrics = JobMetrics(context.metrics)
        self._actions: dict[str, str] = {}  # what a look at a job has done so far
        self.watches = (Watch(jobs, self._keys_of_job), Watch(pods, self._keys_of_pod))

    def _keys_of_job(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        obj = new or old
        if obj is None:
            return ()
        keys = [key_of(obj)]
        if new is None:
            keys += [
                _ORPHAN + key_of(pod) for pod in self._pods.by_index(CONTROLLER_INDEX, obj["metadata"]["uid"])
            ]
        return keys

    def _keys_of_pod(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        keys: set[str] = set()
        pod = new or old
        if pod is None:
            return keys
        namespace, uid = pod["metadata"]["namespace"], pod["metadata"]["uid"]
        for one in (old, new):
            reference = find_controller(one) if one is not None else None
            if reference is not None and reference["kind"] == "Job":
                key = f"{namespace}/{reference['name']}"
                keys.add(key)
                if new is None or not is_tracked(new):
                    self._released.get(key, set()).discard(uid)
                if old is None:
                    self._expectations.creation_observed(key)
                if new is None or "deletionTimestamp" in new["metadata"]:
                    self._expectations.deletion_observed(key, uid)
                if (
                    new is not None
                    and is_tracked(new)
                    and self._jobs.find(namespace, reference["name"]) is None
                ):
                    keys.add(_ORPHAN + key_of(new))
        if new is not None and find_controller(new) is None:
            if is_tracked(new):
                keys.add(_ORPHAN + key_of(new))
            labels = new["metadata"].get("labels") or {}
            keys.update(
                key_of(job)
                for job in self._jobs.list(namespace)
                if labels and selector_from_object(job["spec"].get("selector")).matches(labels)
            )
        return keys

    async def reconcile(self, key: str) -> float | None:
        """Bring one job a step on; or free a pod whose job is gone."""
        if key.startswith(_ORPHAN):
            await self._free_orphan(key.removeprefix(_ORPHAN))
            return None
        namespace, name = split_key(key)
        job = self._jobs.find(namespace, name)
        if job is None or is_finished(job):
            self._expectations.delete(key)
            self._backoffs.pop(key, None)
            self._released.pop(key, None)
            if job is not None:
                await self._release(key, [pod for pod in self._owned(job) if is_tracked(pod)])
            return None
        if job["spec"].get("managedBy", OWN_NAME) != OWN_NAME:
            return None
        mode = job["spec"].get("completionMode", "NonIndexed")
        if mode not in ("NonIndexed", "Indexed"):
            message = "Skipped Job sync because completion mode is unknown"
            self._recorder.event(job, "Warning", "UnknownCompletionMode", message)
            return None
        satisfied = self._expectations.satisfied(key)
        view = View(
            job=job,
            pods=await self._claim(job),
            now=clock.now(),
            released=frozenset(self._released.get(key, ())),
            backoff=self._backoffs.get(key, Backoff()),
        )
        began_s, failed = clock.monotonic_s(), True
        self._actions[key] = RECONCILING
        try:
            wait_s = await self._advance(key, view, satisfied=satisfied)
            failed = False
            return wait_s
        finally:
            self._metrics.observe_sync(job, self._actions.pop(key), began_s, failed=failed)

    def _owned(self, job: JsonObject) -> Sequence[JsonObject]:
        return self._pods.by_index(CONTROLLER_INDEX, job["metadata"]["uid"])

    async def _claim(self, job: JsonObject) -> list[JsonObject]:
        return await claim(
            self._client,
            owner=job,
            owner_resource=JOBS,
            resource=PODS,
            selector=selector_from_object(job["spec"]["selector"]),
            candidates=[
                *self._owned(job),
                *self._pods.by_index(ORPHAN_INDEX, job["metadata"]["namespace"]),
            ],
        )

    async def _advance(self, key: str, view: View, *, satisfied: bool) -> float | None:
        job = view.job
        status = dict(job.get("status") or {})
        if not status.get("startTime") and not is_suspended(job):
            status["startTime"] = format_time(view.now)
        standing = judge(view)
        failure: ApiError | None = None
        wait_s = standing.wait_s
        terminating, active, ready = standing.terminating, len(standing.active), standing.ready
        is_settled = satisfied
        if standing.verdict is not None:
            gone, failure = await self._delete(key, job, standing.active, keep_finalizer=True)
            is_settled = is_settled and len(gone) == active
            active -= len(gone)
            ready -= sum(1 for pod in gone if is_ready(pod))
            terminating += len(gone)
        elif satisfied and "deletionTimestamp" not in job["metadata"]:
            plan = plan_pods(view, standing)
            wait_s = _earliest(wait_s, plan.wait_s)
            if plan.delete:
                self._actions[key] = PODS_DELETED
                gone, failure = await self._delete(key, job, plan.delete, keep_finalizer=False)
                active -= len(gone)
                ready -= sum(1 for pod in gone if is_ready(pod))
                terminating += len(gone)
            elif plan.create:
                self._actions[key] = PODS_CREATED
                made, failure = await self._create(key, view, standing, plan)
                active += made
            if not is_complete(job, standing, active):
                status = self._note_suspension(job, status)
        if standing.verdict is None and failure is None and is_complete(job, standing, active):
            message = "Reached expected number of succeeded pods"
            standing.verdict = Verdict("SuccessCriteriaMet", "CompletionsReached", message)
        status["ready"], status["terminating"] = ready, terminating
        if active:
            status["active"] = active
        else:
            status.pop("active", None)
        await self._count(key, view, standing, status, is_settled=is_settled)
        if failure is not None:
            raise failure
        return wait_s

    def _note_suspension(self, job: JsonObject, status: JsonObject) -> JsonObject:
        now = clock.now()
        if is_suspended(job):
            status, changed = with_condition(
                status, "Suspended", "True", "JobSuspended", "Job suspended", now
            )
            if changed:
                self._recorder.event(job, "Normal", "Suspended", "Job suspended")
            return status
        status, changed = with_condition(status, "Suspended", "False", "JobResumed", "Job resumed", now)
        if changed:
            self._recorder.event(job, "Normal", "Resumed", "Job resumed")
            status["startTime"] = format_time(now)
        return status

    async def _count(
        self, key: str, view: View, standing: Standing, status: JsonObject, *, is_settled: bool
    ) -> None:
        """Name ended pods in the status, let them go, count them; then end the job when nothing is left of it."""
        job, verdict = view.job, standing.verdict
        if verdict is not None:
            status = with_verdict(status, verdict, view.now)
        tracking = plan_tracking(view, standing, status)
        status = tracking.status
        tracked = {pod["metadata"]["uid"] for pod in view.pods if view.tracks(pod)}
        if not tracking.release:
            status = plan_counted(status, tracked)
        job = await self._write(job, status)
        if tracking.release:
            if self._actions.get(key) == RECONCILING:
                self._actions[key] = TRACKING
            released = await self._release(key, tracking.release)
            ended = [pod for pod in tracking.release if pod["metadata"]["uid"] in tracked & released]
            self._metrics.observe_pods(job, ended)
            status = plan_counted(status, tracked - released)
        self._backoffs[key] = standing.backoff
        uncounted = status["uncountedTerminatedPods"]
        if verdict is not None and is_settled and not uncounted and not status["terminating"]:
            status = finish(status, verdict, clock.now())
            job = await self._write(job, status)
            self._metrics.observe_finished(job, verdict)
            self._tell_finished(job, verdict)
        else:
            await self._write(job, status)

    async def _write(self, job: JsonObject, status: JsonObject) -> JsonObject:
        if status == (job.get("status") or {}):
            return job
        return await self._client.update(JOBS, {**job, "status": status}, subresource="status")

    def _tell_finished(self, job: JsonObject, verdict: Verdict) -> None:
        if verdict.kind == "FailureTarget":
            self._recorder.event(job, "Warning", verdict.reason, verdict.message)
            return
        completions = job["spec"].get("completions")
        if completions is not None and job["status"].get("succeeded", 0) > completions:
            message = "Too many succeeded pods running after completion count reached"
            self._recorder.event(job, "Warning", "TooManySucceededPods", message)
        self._recorder.event(job, "Normal", "Completed", "Job completed")

    async def _create(
        self, key: str, view: View, standing: Standing, plan: PodPlan
    ) -> tuple[int, ApiError | None]:
        pods = []
        for index in plan.create:
            replaced = standing.delayed.get(index) if index is not None else None
            ignored = replaced is not None and not judge_failure(view.job, replaced).counts
            pods.append(make_job_pod(view.job, index, replaced, ignored=ignored))
        self._expectations.expect_creations(key, len(pods))
        missing = [0]

        def note_missing() -> None:
            missing[0] += 1
            self._expectations.creation_observed(key)

        failure = await self._control.create_all(view.job, pods, note_missing)
        return len(pods) - missing[0], failure

    async def _delete(
        self, key: str, job: JsonObject, pods: Sequence[JsonObject], *, keep_finalizer: bool
    ) -> tuple[list[JsonObject], ApiError | None]:
        """Delete pods; those that are only too many lose their finalizer first, so that they do not count as failed."""
        if not pods:
            return [], None
        self._expectations.expect_deletions(key, [pod["metadata"]["uid"] for pod in pods])
        if not keep_finalizer:
            await self._release(key, [pod for pod in pods if is_tracked(pod)])
        gone: list[JsonObject] = []
        failure: ApiError | None = None
        for pod in pods:
            error = await self._control.delete(job, pod)
            if error is None or error.code == 404:
                gone.append(pod)
            if error is not None:
                self._expectations.deletion_observed(key, pod["metadata"]["uid"])
                if error.code != 404:
                    failure = failure or error
        return gone, failure

    async def _release(self, key: str, pods: Sequence[JsonObject]) -> set[str]:
        """Remove the finalizer; returns the uids for which that is done."""
        done = set()
        for pod in pods:
            uid = pod["metadata"]["uid"]
            self._released.setdefault(key, set()).add(uid)
            try:
                await self._strip(pod)
            except ApiError:
                self._released[key].discard(uid)
                raise
            done.add(uid)
        return done

    async def _strip(self, pod: JsonObject) -> None:
        metadata = pod["metadata"]
        patch = {"metadata": {"uid": metadata["uid"], "$deleteFromPrimitiveList/finalizers": [FINALIZER]}}
        try:
            await self._client.patch(PODS, metadata["name"], patch, namespace=metadata["namespace"])
        except ApiError as error:
            if error.code not in (404, 409, 422):  # gone, or another pod of that name
                raise

    async def _free_orphan(self, key: str) -> None:
        namespace, name = split_key(key)
        pod = self._pods.find(namespace, name)
        if pod is None or not is_tracked(pod):
            return
        reference = find_controller(pod)
        if reference is not None and reference["kind"] == "Job":
            job = self._jobs.find(namespace, reference["name"])
            if job is not None and job["metadata"]["uid"] == reference["uid"]:
                return
        await self._strip(pod)


def _earliest(*waits: float | None) -> float | None:
    return min((one for one in waits if one is not None), default=None)


def build(context: ControllerContext) -> JobController:
    """Make the controller."""
    return JobController(context)
