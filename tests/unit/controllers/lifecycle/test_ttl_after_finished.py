"""Jobs are deleted ttlSecondsAfterFinished after their end (api-machinery §6.1)."""

from datetime import timedelta

from k3py.api.resource import JOBS
from k3py.api.timestamps import format_time
from k3py.controllers.lifecycle import ttl_after_finished
from k3py.util import clock
from tests.support.controllers import World


def make_job(name, ttl_s, ended_s_ago):
    spec = {} if ttl_s is None else {"ttlSecondsAfterFinished": ttl_s}
    at = format_time(clock.now() - timedelta(seconds=ended_s_ago))
    return {
        "kind": "Job",
        "apiVersion": "batch/v1",
        "metadata": {"name": name, "namespace": "default", "uid": name},
        "spec": spec,
        "status": {"conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": at}]},
    }


async def test_only_jobs_whose_time_is_over_go():
    world = World()
    for one in (make_job("over", 10, 11), make_job("young", 100, 11), make_job("forever", None, 1000)):
        world.client.seed(JOBS, one)
    async with world.running(ttl_after_finished.build):
        await world.until(lambda: _alive(world) == {"young", "forever"})
        controller = ttl_after_finished.build(world.context)
        wait_s = await controller.reconcile("default/young")
    assert _alive(world) == {"young", "forever"}
    assert wait_s is not None
    assert 85 < wait_s <= 90


def _alive(world):
    jobs = world.client.objects(JOBS)
    return {one["metadata"]["name"] for one in jobs if "deletionTimestamp" not in one["metadata"]}
