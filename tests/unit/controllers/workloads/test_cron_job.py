"""CronJobs: due times over zones and gaps, concurrency, history, crash between job and status (api-machinery §6.1)."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from k3py.api.cron import parse_schedule
from k3py.api.object import deep_copy
from k3py.api.resource import CRON_JOBS, JOBS
from k3py.api.timestamps import format_time, parse_time
from k3py.controllers.workloads import cron_job
from k3py.controllers.workloads.cron_job import make_job, plan_history, plan_start
from k3py.util import clock
from tests.support.controllers import World

LONG_AGO = "2026-01-01T00:00:00Z"


def make_cron_job(last=LONG_AGO, **spec):
    job_spec = {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}
    return {
        "kind": "CronJob",
        "apiVersion": "batch/v1",
        "metadata": {"name": "c", "namespace": "default", "uid": "u", "creationTimestamp": LONG_AGO},
        "spec": {"schedule": "*/5 * * * *", "jobTemplate": {"spec": job_spec}, **spec},
        "status": {"lastScheduleTime": last} if last else {},
    }


def job(name, kind="Complete", started=LONG_AGO, **status):
    owner = {"kind": "CronJob", "apiVersion": "batch/v1", "name": "c", "uid": "u", "controller": True}
    conditions = [{"type": kind, "status": "True", "lastTransitionTime": started}] if kind else []
    metadata = {"name": name, "namespace": "default", "uid": f"uid-{name}", "ownerReferences": [owner]}
    return {
        "kind": "Job",
        "apiVersion": "batch/v1",
        "metadata": metadata,
        "spec": {},
        "status": {"startTime": started, "conditions": conditions, **status},
    }


@pytest.fixture
def world():
    return World()


def _jobs(world):
    return [one["metadata"]["name"] for one in world.client.objects(JOBS)]


def _status(world):
    return world.client.objects(CRON_JOBS)[0]["status"]


def test_the_latest_missed_start_is_the_one_that_counts():
    now = parse_time("2026-01-01T00:13:00Z")
    due = plan_start(make_cron_job(), parse_schedule("*/5 * * * *"), now)
    assert (due.at, due.missed, due.next) == (now - timedelta(minutes=3), 2, now + timedelta(minutes=2))


def test_uneven_schedules_find_their_latest_start():
    now = parse_time("2026-01-01T23:00:00Z")
    due = plan_start(make_cron_job(), parse_schedule("0,1 9 * * *"), now)
    assert due.at == parse_time("2026-01-01T09:01:00Z")


def test_a_deadline_shortens_the_look_back():
    now = parse_time("2026-01-01T00:13:00Z")
    assert (
        plan_start(make_cron_job(startingDeadlineSeconds=60), parse_schedule("*/5 * * * *"), now).at is None
    )


def test_the_schedule_is_read_in_its_time_zone():
    now = parse_time("2026-07-01T12:00:00Z").astimezone(ZoneInfo("America/New_York"))
    due = plan_start(make_cron_job("2026-07-01T00:00:00Z"), parse_schedule("0 7 * * *"), now)
    assert due.at == parse_time("2026-07-01T11:00:00Z")


def test_the_jobs_name_is_its_minute():
    at = parse_time("2026-01-01T00:05:00Z")
    made = make_job(make_cron_job(), at)
    assert made["metadata"]["name"] == f"c-{int(at.timestamp()) // 60}"
    annotation = made["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"]
    assert annotation == "2026-01-01T00:05:00Z"


def test_history_keeps_the_newest():
    jobs = [
        job("a", started="2026-01-01T00:00:00Z"),
        job("b", started="2026-01-02T00:00:00Z"),
        job("f", "Failed"),
    ]
    limits = make_cron_job(successfulJobsHistoryLimit=1, failedJobsHistoryLimit=0)
    assert [one["metadata"]["name"] for one in plan_history(limits, jobs)] == ["a", "f"]


async def test_a_missed_start_is_made_up_for_once(world):
    world.client.seed(CRON_JOBS, make_cron_job())
    async with world.running(cron_job.build):
        await world.until(lambda: _status(world).get("active"))
    assert len(_jobs(world)) == 1
    assert "SuccessfulCreate" in world.recorder.reasons()


async def test_a_crash_between_job_and_status_starts_no_second_job(world):
    world.client.seed(CRON_JOBS, make_cron_job(schedule="0 0 1 1 *", last="2025-06-01T00:00:00Z"))
    due = plan_start(world.client.objects(CRON_JOBS)[0], parse_schedule("0 0 1 1 *"), clock.now())
    made = make_job(make_cron_job(), due.at)
    await world.client.create(JOBS, made, namespace="default")
    async with world.running(cron_job.build):
        await world.until(lambda: _status(world).get("active"))
    assert _jobs(world) == [made["metadata"]["name"]]
    assert _status(world)["lastScheduleTime"] == format_time(due.at)


@pytest.mark.parametrize(
    ("policy", "reason", "left"),
    [("Forbid", "JobAlreadyActive", True), ("Replace", "SuccessfulDelete", False)],
)
async def test_concurrency_policies(world, policy, reason, left):
    owner = make_cron_job(concurrencyPolicy=policy)
    reference = {"kind": "Job", "name": "old", "namespace": "default", "uid": "uid-old"}
    owner["status"]["active"] = [reference]
    world.client.seed(JOBS, job("old", ""))
    world.client.seed(CRON_JOBS, owner)
    async with world.running(cron_job.build):
        await world.until(lambda: reason in world.recorder.reasons())
        if not left:
            await world.until(lambda: len(_jobs(world)) == 1 and "old" not in _jobs(world))
    assert ("old" in _jobs(world)) is left


async def test_ended_and_missing_jobs_leave_active(world):
    owner = make_cron_job(suspend=True)
    owner["status"]["active"] = [
        {"kind": "Job", "name": name, "namespace": "default", "uid": f"uid-{name}"}
        for name in ("done", "lost")
    ]
    done = "2026-01-05T00:00:00Z"
    world.client.seed(JOBS, job("done", completionTime=done))
    world.client.seed(CRON_JOBS, owner)
    async with world.running(cron_job.build):
        await world.until(lambda: "active" not in _status(world))
    assert _status(world)["lastSuccessfulTime"] == done
    assert sorted(world.recorder.reasons()) == ["MissingJob", "SawCompletedJob"]


async def test_a_schedule_that_cannot_be_read_is_told(world):
    for number, spec in enumerate(({"schedule": "nonsense"}, {"timeZone": "No/Where"})):
        broken = deep_copy(make_cron_job(**spec))
        broken["metadata"] |= {"name": f"c{number}", "uid": f"u{number}"}
        world.client.seed(CRON_JOBS, broken)
    async with world.running(cron_job.build):
        await world.until(lambda: len(world.recorder.reasons()) == 2)
    assert set(world.recorder.reasons()) == {"UnparseableSchedule", "UnknownTimeZone"}
