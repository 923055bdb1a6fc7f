"""PodDisruptionBudgets: expected and healthy pods, evictions under way, stale announcements (api-machinery §6.1)."""

from datetime import timedelta

import pytest

from k3py.api.resource import POD_DISRUPTION_BUDGETS, PODS, REPLICA_SETS
from k3py.api.timestamps import format_time, parse_time
from k3py.controllers.pod import find_condition
from k3py.controllers.policy import disruption
from k3py.controllers.policy.disruption import plan_desired, plan_disrupted, plan_status
from k3py.util import clock
from tests.support.controllers import World
from tests.support.objects import pod

NOW = parse_time("2026-01-01T01:00:00Z")
OWNER = {"kind": "ReplicaSet", "apiVersion": "apps/v1", "name": "rs", "uid": "uid-rs", "controller": True}


def budget(status=None, **spec):
    return {
        "kind": "PodDisruptionBudget",
        "apiVersion": "policy/v1",
        "metadata": {"name": "b", "namespace": "default", "uid": "b", "generation": 1},
        "spec": {"selector": {"matchLabels": {"app": "a"}}, **spec},
        "status": status or {},
    }


def app_pod(name, **more):
    return pod(name, labels={"app": "a"}, **{"ready": True, **more})


@pytest.mark.parametrize(
    ("spec", "expected", "desired"),
    [
        ({"maxUnavailable": 1}, 3, 2),
        ({"maxUnavailable": "50%"}, 3, 1),
        ({"maxUnavailable": 5}, 3, 0),
        ({"minAvailable": "50%"}, 3, 2),
        ({"minAvailable": 7}, 3, 7),
        ({}, 3, 0),
    ],
)
def test_shares_are_rounded_as_upstream_does(spec, expected, desired):
    assert plan_desired(budget(**spec), expected) == desired


def test_pods_that_are_being_evicted_do_not_count_as_healthy():
    noted = {"p": format_time(NOW - timedelta(seconds=20)), "old": format_time(NOW - timedelta(seconds=200))}
    one = budget({"disruptedPods": noted}, minAvailable=1)
    pods = [app_pod("p"), app_pod("old"), app_pod("q"), app_pod("r", deleting=True)]
    disrupted, overdue, wait_s = plan_disrupted(one, pods, NOW)
    assert (list(disrupted), [pod["metadata"]["name"] for pod in overdue], wait_s) == (["p"], ["old"], 100)
    status = plan_status(one, pods, disrupted, 4, NOW)
    assert (status["currentHealthy"], status["disruptionsAllowed"]) == (2, 1)


async def test_the_scale_of_the_owner_is_what_is_expected():
    world = World()
    world.client.seed(
        REPLICA_SETS,
        {
            "kind": "ReplicaSet",
            "apiVersion": "apps/v1",
            "metadata": {"name": "rs", "namespace": "default", "uid": "uid-rs"},
            "spec": {"replicas": 4},
        },
    )
    for name in ("p", "q"):
        world.client.seed(PODS, app_pod(name, owner=OWNER))
    world.client.seed(POD_DISRUPTION_BUDGETS, budget(maxUnavailable=3))
    async with world.running(disruption.build):
        await world.until(lambda: _status(world).get("observedGeneration") == 1)
        assert (_status(world)["expectedPods"], _status(world)["desiredHealthy"]) == (4, 1)
        await world.client.patch(REPLICA_SETS, "rs", {"spec": {"replicas": 2}}, namespace="default")
        await world.until(lambda: _status(world)["expectedPods"] == 2)
    assert _status(world)["conditions"][0]["reason"] == "SufficientPods"


def _status(world):
    return world.client.objects(POD_DISRUPTION_BUDGETS)[0]["status"]


async def test_an_owner_that_is_gone_blocks_disruptions():
    world = World()
    world.client.seed(PODS, app_pod("p", owner=OWNER))
    world.client.seed(POD_DISRUPTION_BUDGETS, budget(maxUnavailable=1))
    async with world.running(disruption.build):
        await world.until(lambda: _status(world).get("conditions"))
    assert _status(world)["conditions"][0]["reason"] == "SyncFailed"
    assert _status(world)["disruptionsAllowed"] == 0
    assert "CalculateExpectedPodCountFailed" in world.recorder.reasons()


async def test_an_announced_disruption_that_does_not_come_is_taken_back():
    world = World()
    announced = app_pod("p")
    announced["status"]["conditions"].append(
        {
            "type": "DisruptionTarget",
            "status": "True",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
            "reason": "r",
        }
    )
    fresh = app_pod("q")
    fresh["status"]["conditions"].append(
        {"type": "DisruptionTarget", "status": "True", "lastTransitionTime": format_time(clock.now())}
    )
    world.client.seed(PODS, announced)
    world.client.seed(PODS, fresh)
    async with world.running(disruption.build):
        await world.until(lambda: _disruption(world, "p") == "False")
    assert _disruption(world, "q") == "True"


def _disruption(world, name):
    found = next(one for one in world.client.objects(PODS) if one["metadata"]["name"] == name)
    return (find_condition(found, "DisruptionTarget") or {})["status"]
