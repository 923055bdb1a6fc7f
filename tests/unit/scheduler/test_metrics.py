"""The scheduler counts what it does, under upstream's names."""

import asyncio

from k3py.api.resource import NODES, PODS
from k3py.scheduler.scheduler import Scheduler
from k3py.util.metrics import Registry
from k3py.util.supervise import TaskScope
from tests.support.controllers import World
from tests.support.objects import node, pod


async def test_attempts_queues_and_results():
    world, registry = World(), Registry()
    world.client.seed(NODES, node("a", cpu="1"))
    scheduler = Scheduler(world.client, world.informers, world.recorder, metrics=registry)
    async with TaskScope() as scope:
        started = asyncio.Event()
        _ = scope.spawn(scheduler.run(started.set), name="scheduler")
        await started.wait()
        world.client.seed(PODS, pod("fits", phase="Pending", cpu="500m"))
        world.client.seed(PODS, pod("big", phase="Pending", cpu="9"))
        gates = {"schedulingGates": [{"name": "hold"}]}
        world.client.seed(PODS, pod("gated", phase="Pending", spec=gates))
        await world.until(lambda: {"Scheduled", "FailedScheduling"} <= set(world.recorder.reasons()))
        lines = registry.to_text().splitlines()
        scope.cancel()
    profile = 'profile="default-scheduler"'
    assert f'scheduler_schedule_attempts_total{{{profile},result="scheduled"}} 1' in lines
    assert f'scheduler_schedule_attempts_total{{{profile},result="unschedulable"}} 1' in lines
    assert f'scheduler_scheduling_attempt_duration_seconds_count{{{profile},result="scheduled"}} 1' in lines
    assert "scheduler_pod_scheduling_attempts_count 1" in lines
    for point, status in (
        ("PreFilter", "Success"),
        ("Filter", "Success"),
        ("Filter", "Unschedulable"),
        ("Bind", "Success"),
    ):
        labels = f'extension_point="{point}",{profile},status="{status}"'
        assert any(
            line.startswith(f"scheduler_framework_extension_point_duration_seconds_count{{{labels}}}")
            for line in lines
        )
    assert 'scheduler_pending_pods{queue="unschedulable"} 1' in lines
    assert 'scheduler_pending_pods{queue="gated"} 1' in lines
    assert 'scheduler_pending_pods{queue="active"} 0' in lines
    assert 'scheduler_queue_incoming_pods_total{event="PodAdd",queue="active"} 2' in lines
    assert (
        'scheduler_queue_incoming_pods_total{event="ScheduleAttemptFailure",queue="unschedulable"} 1' in lines
    )
