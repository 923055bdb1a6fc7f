"""Metrics of Jobs and CronJobs under upstream's stable names."""

from types import SimpleNamespace

from k3py.controllers.workloads import cron_job
from k3py.controllers.workloads.job.metrics import PODS_CREATED, JobMetrics
from k3py.util import clock
from k3py.util.metrics import Registry
from tests.support.controllers import World

JOB = {"spec": {"completionMode": "Indexed"}}


def test_what_happened_to_a_job():
    registry = Registry()
    metrics = JobMetrics(registry)
    metrics.observe_sync(JOB, PODS_CREATED, clock.monotonic_s(), failed=False)
    metrics.observe_sync({"spec": {}}, PODS_CREATED, clock.monotonic_s(), failed=True)
    metrics.observe_pods(JOB, [{"status": {"phase": one}} for one in ("Succeeded", "Failed", "Running")])
    metrics.observe_finished(JOB, SimpleNamespace(kind="FailureTarget", reason="BackoffLimitExceeded"))
    metrics.observe_finished(JOB, SimpleNamespace(kind="SuccessCriteriaMet", reason="CompletionsReached"))
    lines = registry.to_text().splitlines()
    for line in (
        'job_controller_job_syncs_total{action="pods_created",completion_mode="Indexed",result="success"} 1',
        'job_controller_job_syncs_total{action="pods_created",completion_mode="NonIndexed",result="error"} 1',
        'job_controller_job_pods_finished_total{completion_mode="Indexed",result="succeeded"} 1',
        'job_controller_job_pods_finished_total{completion_mode="Indexed",result="failed"} 1',
        'job_controller_jobs_finished_total{completion_mode="Indexed",reason="BackoffLimitExceeded",result="failed"} 1',
        'job_controller_jobs_finished_total{completion_mode="Indexed",reason="",result="succeeded"} 1',
    ):
        assert line in lines


async def test_cron_jobs_tell_how_late_they_are():
    world = World()
    _ = cron_job.build(world.context)
    assert "cronjob_controller_job_creation_skew_duration_seconds" in world.context.metrics.to_text()
