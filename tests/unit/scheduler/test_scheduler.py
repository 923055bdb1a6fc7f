"""The scheduler as a whole: binds, explains, tries again when what failed changed (api-machinery §6.2)."""

import asyncio
from contextlib import asynccontextmanager

from k3py.api.object import deep_copy
from k3py.api.resource import NODES, PODS, RESOURCE_CLAIMS
from k3py.api.status import ApiError
from k3py.scheduler.cache import SchedulerCache
from k3py.scheduler.framework import Framework
from k3py.scheduler.observation import Observation
from k3py.scheduler.queue import SchedulingQueue
from k3py.scheduler.scheduler import Scheduler
from k3py.util.supervise import TaskScope
from tests.support.controllers import World
from tests.support.objects import node, pod


@asynccontextmanager
async def scheduling(world):
    scheduler = Scheduler(world.client, world.informers, world.recorder)
    async with TaskScope() as scope:
        started = asyncio.Event()
        _ = scope.spawn(scheduler.run(started.set), name="scheduler")
        await started.wait()
        try:
            yield
        finally:
            scope.cancel()
    world.client.check_untouched()


def waiting(name, **arguments):
    return pod(name, phase="Pending", **arguments)


def placed(world):
    return {one["metadata"]["name"]: one["spec"].get("nodeName", "") for one in world.client.objects(PODS)}


def condition(world, name):
    found = next(one for one in world.client.objects(PODS) if one["metadata"]["name"] == name)
    conditions = found["status"].get("conditions", [])
    return next((one for one in conditions if one["type"] == "PodScheduled"), {})


async def test_pods_spread_over_empty_nodes():
    world = World()
    for name in ("a", "b"):
        world.client.seed(NODES, node(name))
    async with scheduling(world):
        for number in range(4):
            world.client.seed(PODS, waiting(f"p{number}", cpu="500m"))
        await world.until(lambda: all(placed(world).values()))
    assert sorted(placed(world).values()) == ["a", "a", "b", "b"]
    assert "Scheduled" in world.recorder.reasons()


async def test_a_pod_that_fits_nowhere_is_explained_and_placed_when_a_node_comes():
    world = World()
    world.client.seed(NODES, node("small", cpu="1"))
    world.client.seed(NODES, node("tainted", taints=[{"key": "k", "value": "v", "effect": "NoSchedule"}]))
    async with scheduling(world):
        world.client.seed(PODS, waiting("big", cpu="2"))
        await world.until(lambda: condition(world, "big"))
        message = "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s). "
        message += "no new claims to deallocate, preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
        assert (condition(world, "big")["reason"], condition(world, "big")["message"]) == (
            "Unschedulable",
            message,
        )
        assert ("FailedScheduling", message) in world.recorder.events
        world.client.seed(NODES, node("large"))
        async with asyncio.timeout(5):
            while not placed(world)["big"]:
                await asyncio.sleep(0.01)
    assert placed(world)["big"] == "large"


async def test_a_gated_pod_waits_for_its_gate():
    world = World()
    world.client.seed(NODES, node("a"))
    gated = waiting("p", spec={"schedulingGates": [{"name": "hold"}]})
    async with scheduling(world):
        world.client.seed(PODS, gated)
        world.client.seed(PODS, waiting("q"))
        await world.until(lambda: placed(world)["q"])
        assert placed(world)["p"] == ""
        freed = deep_copy(gated)
        freed["spec"]["schedulingGates"] = []
        world.client.seed(PODS, freed)
        await world.until(lambda: placed(world)["p"])


async def test_pods_of_other_schedulers_and_placed_pods_are_left_alone():
    world = World()
    world.client.seed(NODES, node("a"))
    async with scheduling(world):
        world.client.seed(PODS, waiting("other", spec={"schedulerName": "mine"}))
        world.client.seed(PODS, waiting("p"))
        await world.until(lambda: placed(world)["p"])
    assert placed(world)["other"] == ""


async def test_higher_priority_goes_first():
    world = World()
    async with scheduling(world):
        for name, priority in (("low", 1), ("high", 1000)):
            world.client.seed(PODS, waiting(name, cpu="3", spec={"priority": priority}))
        await world.until(lambda: condition(world, "high") and condition(world, "low"))
        world.client.seed(NODES, node("a", cpu="4"))
        async with asyncio.timeout(5):
            while not any(placed(world).values()):
                await asyncio.sleep(0.01)
    assert placed(world) == {"high": "a", "low": ""}


async def test_a_failed_binding_frees_the_room_and_is_tried_again():
    world = World()
    world.client.seed(NODES, node("a", pods="1"))
    world.client.fail("create", PODS, ApiError(500, "InternalError", "boom"))
    async with scheduling(world):
        world.client.seed(PODS, waiting("p"))
        async with asyncio.timeout(5):
            while not placed(world)["p"]:
                await asyncio.sleep(0.01)


async def test_a_restarted_scheduler_counts_what_runs():
    world = World()
    world.client.seed(NODES, node("a", cpu="1"))
    world.client.seed(PODS, pod("running", node="a", cpu="800m"))
    async with scheduling(world):
        world.client.seed(PODS, waiting("p", cpu="500m"))
        await world.until(lambda: condition(world, "p"))
    assert "Insufficient cpu" in condition(world, "p")["message"]


async def test_an_important_pod_takes_the_room_of_a_lesser_one():
    world = World()
    world.client.seed(NODES, node("a", cpu="1"))
    world.client.seed(PODS, pod("lesser", node="a", cpu="1"))
    async with scheduling(world):
        world.client.seed(PODS, waiting("boss", cpu="1", spec={"priority": 10}))
        await world.until(lambda: placed(world).get("boss"))
    assert placed(world)["boss"] == "a"
    assert "lesser" not in placed(world)
    assert world.recorder.reasons() == ["FailedScheduling", "Preempted", "Scheduled"]


async def test_a_pod_whose_claim_comes_later_is_let_in_then():
    world = World()
    world.client.seed(NODES, node("a"))
    async with scheduling(world):
        claims = [{"name": "d", "resourceClaimName": "c"}]
        world.client.seed(PODS, waiting("p", spec={"resourceClaims": claims}))
        world.client.seed(PODS, waiting("q"))
        await world.until(lambda: placed(world)["q"])
        assert placed(world)["p"] == ""
        claim = {
            "kind": "ResourceClaim",
            "apiVersion": "resource.k8s.io/v1",
            "metadata": {"name": "c", "namespace": "default", "uid": "u"},
            "spec": {"devices": {"requests": []}},
        }
        world.client.seed(RESOURCE_CLAIMS, claim)
        await world.until(lambda: placed(world)["p"])
    assert world.recorder.reasons() == ["Scheduled", "Scheduled"]


async def test_a_pod_that_cannot_be_worked_on_does_not_stop_others(monkeypatch):
    world = World()
    world.client.seed(NODES, node("a"))
    sound = Framework.schedule

    def schedule(self, info, cluster):
        if info.pod["metadata"]["name"] == "odd":
            raise KeyError("spec")
        return sound(self, info, cluster)

    monkeypatch.setattr(Framework, "schedule", schedule)
    async with scheduling(world):
        world.client.seed(PODS, waiting("odd"))
        world.client.seed(PODS, waiting("p"))
        await world.until(lambda: placed(world)["p"] and condition(world, "odd"))
    assert condition(world, "odd")["reason"] == "SchedulerError"


async def test_what_changes_while_the_cache_is_filled_is_not_taken_back():
    world = World()
    for number in range(450):
        world.client.seed(NODES, node(f"n{number}", cpu="1"))
    cache, queue = SchedulerCache(), SchedulingQueue(lambda info: False, lambda *_: True, {})
    observation = Observation(world.informers, {"default-scheduler"})
    filling = asyncio.ensure_future(observation.begin(cache, queue))
    await asyncio.sleep(0)
    world.client.seed(NODES, node("n449", cpu="9"))
    await filling
    assert len(cache.nodes()) == 450
    assert cache.find("n449").allocatable["cpu"] == 9000
