"""Starts Jobs at set times.

Source: kubernetes/pkg/controller/cronjob v1.35.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from k3py.api.cron import ScheduleError, parse_schedule
from k3py.api.object import deep_copy, key_of, split_key
from k3py.api.resource import CRON_JOBS, JOBS
from k3py.api.status import ApiError
from k3py.api.timestamps import format_time, parse_time
from k3py.controllers.interface import Watch
from k3py.controllers.ownership import (
    CONTROLLER_INDEX,
    find_controller,
    index_by_controller,
    make_controller_reference,
)
from k3py.util import clock
from k3py.util.metrics import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime, tzinfo

    from k3py.api.cron import Schedule
    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject

SLACK_S: Final = 0.1
MANY_MISSED: Final = 100
_SKEW_S: Final = tuple(2**power for power in range(10))
STAMP: Final = "batch.kubernetes.io/cronjob-scheduled-timestamp"


@dataclass(frozen=True, slots=True)
class Due:
    """The latest time at which a job should have started, None = not yet; how many were missed; the next time to look."""

    at: datetime | None
    missed: int
    next: datetime | None


def plan_start(cron_job: JsonObject, schedule: Schedule, now: datetime) -> Due:
    """Find the latest start between the last one and `now`, which is in the schedule's zone."""
    last = (cron_job.get("status") or {}).get("lastScheduleTime")
    since = parse_time(last or cron_job["metadata"]["creationTimestamp"]).astimezone(now.tzinfo)
    deadline_s = cron_job["spec"].get("startingDeadlineSeconds")
    if deadline_s is not None:
        since = max(since, now - timedelta(seconds=deadline_s))
    following = schedule.next_after(now)
    first = schedule.next_after(since)
    if first is None or first > now:
        return Due(None, 0, following)
    second = schedule.next_after(first)
    if second is None or second > now:
        return Due(first, 1, following)
    step_s = max(1.0, (second - first).total_seconds())
    missed = int((now - first).total_seconds() // step_s) + 1
    for start in (first + timedelta(seconds=(missed - 2) * step_s), first):
        found, at = None, schedule.next_after(start)
        while at is not None and at <= now:
            found, at = at, schedule.next_after(at)
        if found is not None:
            return Due(found, missed, following)
    return Due(first, missed, following)


def finished_as(job: JsonObject) -> str:
    """Return "Complete" or "Failed", "" while the job goes on."""
    for one in (job.get("status") or {}).get("conditions") or ():
        if one["type"] in ("Complete", "Failed") and one["status"] == "True":
            return str(one["type"])
    return ""


def plan_history(cron_job: JsonObject, jobs: Sequence[JsonObject]) -> list[JsonObject]:
    """Return the oldest finished jobs beyond the limits."""
    surplus: list[JsonObject] = []
    for kind, key in (("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")):
        limit = cron_job["spec"].get(key)
        if limit is None:
            continue
        ended = [one for one in jobs if finished_as(one) == kind]
        ended.sort(key=lambda one: ((one.get("status") or {}).get("startTime", ""), one["metadata"]["name"]))
        surplus += ended[: max(0, len(ended) - limit)]
    return surplus


def make_job(cron_job: JsonObject, at: datetime) -> JsonObject:
    """Return the Job for a start; its name comes from the minute, so that no start happens twice."""
    template = deep_copy(cron_job["spec"]["jobTemplate"])
    metadata = template.get("metadata") or {}
    owner = cron_job["metadata"]
    stamp = at.isoformat(timespec="seconds").replace("+00:00", "Z")
    return {
        "kind": "Job",
        "apiVersion": "batch/v1",
        "metadata": {
            "name": f"{owner['name']}-{int(at.timestamp()) // 60}",
            "namespace": owner["namespace"],
            **({"labels": metadata["labels"]} if metadata.get("labels") else {}),
            "annotations": {**(metadata.get("annotations") or {}), STAMP: stamp},
            "ownerReferences": [make_controller_reference(cron_job, CRON_JOBS)],
        },
        "spec": template["spec"],
    }


class CronJobController:
    """See the module."""

    name = "cronjob-controller"
    workers = 5

    def __init__(self, context: ControllerContext) -> None:
        self._skew = Histogram(
            "cronjob_controller_job_creation_skew_duration_seconds",
            "How much later than scheduled Jobs were made.",
            (),
            buckets=_SKEW_S,
        )
        context.metrics.add(self._skew)
        self._client = context.client
        self._recorder = context.recorder
        cron_jobs = context.informers.informer(CRON_JOBS)
        jobs = context.informers.informer(JOBS)
        jobs.add_index(CONTROLLER_INDEX, index_by_controller)
        self._cron_jobs, self._jobs = cron_jobs.lister, jobs.lister
        self.watches = (Watch(cron_jobs, self._keys_of_cron_job), Watch(jobs, self._keys_of_job))

    def _keys_of_cron_job(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        obj = new or old
        return (key_of(obj),) if obj is not None else ()

    def _keys_of_job(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        keys = set()
        for one in (old, new):
            reference = find_controller(one) if one is not None else None
            if one is not None and reference is not None and reference["kind"] == "CronJob":
                keys.add(f"{one['metadata']['namespace']}/{reference['name']}")
        return keys

    async def reconcile(self, key: str) -> float | None:
        """Note ended jobs, start the one that is due, and come back when the next one is."""
        namespace, name = split_key(key)
        cron_job = self._cron_jobs.find(namespace, name)
        if cron_job is None:
            return None
        jobs = self._jobs.by_index(CONTROLLER_INDEX, cron_job["metadata"]["uid"])
        status = await self._note_jobs(cron_job, jobs)
        cron_job = await self._write(cron_job, status)
        wait_s: float | None = None
        if "deletionTimestamp" not in cron_job["metadata"] and not cron_job["spec"].get("suspend"):
            wait_s = await self._start_due(cron_job)
        for one in plan_history(cron_job, jobs):
            await self._delete(cron_job, one)
        return wait_s

    async def _note_jobs(self, cron_job: JsonObject, jobs: Sequence[JsonObject]) -> JsonObject:
        """Return the status with `active` as it is now."""
        status = deep_copy(cron_job.get("status") or {})
        active: list[JsonObject] = list(status.get("active") or ())
        known = {one["uid"] for one in active}
        for job in jobs:
            uid, ended = job["metadata"]["uid"], finished_as(job)
            job_name = job["metadata"]["name"]
            if uid in known and ended:
                active = [one for one in active if one["uid"] != uid]
                message = f"Saw completed job: {job_name}, condition: {ended}"
                self._recorder.event(cron_job, "Normal", "SawCompletedJob", message)
            elif uid not in known and not ended and not await self._is_active(cron_job, uid):
                message = f"Saw a job that the controller did not create or forgot: {job_name}"
                self._recorder.event(cron_job, "Warning", "UnexpectedJob", message)
            if ended == "Complete":
                done = job["status"].get("completionTime", "")
                if done > status.get("lastSuccessfulTime", ""):
                    status["lastSuccessfulTime"] = done
        present = {one["metadata"]["uid"] for one in jobs}
        for one in [one for one in active if one["uid"] not in present]:
            if not await self._exists(one):
                active.remove(one)
                self._recorder.event(
                    cron_job, "Normal", "MissingJob", f"Active job went missing: {one['name']}"
                )
        return _with_active(status, active)

    async def _is_active(self, cron_job: JsonObject, uid: str) -> bool:
        """Ask the API, for the informer may not yet know the job that was just started."""
        metadata = cron_job["metadata"]
        live = await self._client.get(CRON_JOBS, metadata["name"], namespace=metadata["namespace"])
        return any(one["uid"] == uid for one in (live.get("status") or {}).get("active") or ())

    async def _exists(self, reference: JsonObject) -> bool:
        try:
            live = await self._client.get(JOBS, reference["name"], namespace=reference["namespace"])
        except ApiError as error:
            if error.code == 404:
                return False
            raise
        return bool(live["metadata"]["uid"] == reference["uid"])

    async def _write(self, cron_job: JsonObject, status: JsonObject) -> JsonObject:
        if status == (cron_job.get("status") or {}):
            return cron_job
        return await self._client.update(CRON_JOBS, {**cron_job, "status": status}, subresource="status")

    async def _start_due(self, cron_job: JsonObject) -> float | None:
        spec = cron_job["spec"]
        try:
            zone = _zone_of(spec.get("timeZone"))
        except (OSError, ValueError, LookupError) as error:
            message = f'invalid timeZone: "{spec["timeZone"]}": {error}'
            self._recorder.event(cron_job, "Warning", "UnknownTimeZone", message)
            return None
        try:
            schedule = parse_schedule(spec["schedule"])
        except ScheduleError as error:
            message = f'unparseable schedule: "{spec["schedule"]}" : {error}'
            self._recorder.event(cron_job, "Warning", "UnparseableSchedule", message)
            return None
        now = clock.now().astimezone(zone)
        due = plan_start(cron_job, schedule, now)
        wait_s = (due.next - now).total_seconds() + SLACK_S if due.next is not None else None
        if due.at is None:
            return wait_s
        if due.missed > MANY_MISSED:
            message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
            self._recorder.event(cron_job, "Warning", "TooManyMissedTimes", message)
        deadline_s = spec.get("startingDeadlineSeconds")
        if deadline_s is not None and due.at + timedelta(seconds=deadline_s) < now:
            message = f"Missed scheduled time to start a job: {due.at.isoformat(timespec='seconds')}"
            self._recorder.event(cron_job, "Warning", "MissSchedule", message)
            return wait_s
        status = deep_copy(cron_job.get("status") or {})
        job = make_job(cron_job, due.at)
        active: list[JsonObject] = list(status.get("active") or ())
        if status.get("lastScheduleTime") == format_time(due.at) or any(
            one["name"] == job["metadata"]["name"] for one in active
        ):
            return wait_s
        policy = spec.get("concurrencyPolicy", "Allow")
        if policy == "Forbid" and active:
            message = "Not starting job because prior execution is running and concurrency policy is Forbid"
            self._recorder.event(cron_job, "Normal", "JobAlreadyActive", message)
            return wait_s
        if policy == "Replace":
            for one in active:
                await self._replace(cron_job, one)
            active = []
        made = await self._create(cron_job, job)
        if made is None:
            return wait_s
        self._skew.observe((clock.now() - due.at).total_seconds())
        reference = {"kind": "Job", "apiVersion": "batch/v1"}
        reference |= {key: made["metadata"][key] for key in ("name", "namespace", "uid", "resourceVersion")}
        status["lastScheduleTime"] = format_time(due.at)
        await self._write(cron_job, _with_active(status, [*active, reference]))
        return wait_s

    async def _create(self, cron_job: JsonObject, job: JsonObject) -> JsonObject | None:
        namespace = job["metadata"]["namespace"]
        try:
            made = await self._client.create(JOBS, job, namespace=namespace)
        except ApiError as error:
            if error.has_cause("NamespaceTerminating"):
                return None
            if error.reason == "AlreadyExists":  # made before a crash, or somebody else's
                live = await self._client.get(JOBS, job["metadata"]["name"], namespace=namespace)
                reference = find_controller(live)
                if reference is not None and reference["uid"] == cron_job["metadata"]["uid"]:
                    return live
            self._recorder.event(cron_job, "Warning", "FailedCreate", f"Error creating job: {error.message}")
            raise
        self._recorder.event(
            cron_job, "Normal", "SuccessfulCreate", f"Created job {made['metadata']['name']}"
        )
        return made

    async def _replace(self, cron_job: JsonObject, reference: JsonObject) -> None:
        job = self._jobs.find(reference["namespace"], reference["name"])
        if job is not None and job["metadata"]["uid"] == reference["uid"]:
            await self._delete(cron_job, job)

    async def _delete(self, cron_job: JsonObject, job: JsonObject) -> None:
        metadata = job["metadata"]
        try:
            await self._client.delete(
                JOBS,
                metadata["name"],
                namespace=metadata["namespace"],
                uid=metadata["uid"],
                propagation_policy="Background",
            )
        except ApiError as error:
            if error.code == 404:
                return
            self._recorder.event(cron_job, "Warning", "FailedDelete", f"Deleted job: {error.message}")
            raise
        self._recorder.event(cron_job, "Normal", "SuccessfulDelete", f"Deleted job {metadata['name']}")


def _with_active(status: JsonObject, active: list[JsonObject]) -> JsonObject:
    rest = {key: value for key, value in status.items() if key != "active"}
    return {"active": active, **rest} if active else rest


def _zone_of(name: str | None) -> tzinfo | None:
    """Return the zone, None = the machine's own."""
    return ZoneInfo(name) if name else None


def build(context: ControllerContext) -> CronJobController:
    """Make the controller."""
    return CronJobController(context)
