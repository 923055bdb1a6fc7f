"""Pods leave nodes with NoExecute taints unless they tolerate them, and for as long as they do (api-machinery §6.1)."""

from datetime import timedelta

import pytest

from k3py.api.object import deep_copy
from k3py.api.resource import NODES, PODS
from k3py.api.timestamps import format_time, parse_time
from k3py.controllers.nodes import taint_eviction
from k3py.controllers.nodes.taint_eviction import plan_eviction
from k3py.util import clock
from tests.support.controllers import World
from tests.support.objects import node, pod

TAINT = {"key": "k", "value": "v", "effect": "NoExecute"}
NOW = parse_time("2026-01-01T01:00:00Z")


def tolerant(name="p", seconds=None, key="k", **more):
    toleration = {"key": key, "operator": "Exists", "effect": "NoExecute"}
    if seconds is not None:
        toleration["tolerationSeconds"] = seconds
    return pod(name, node="n", spec={"tolerations": [toleration]}, **more)


@pytest.mark.parametrize(
    ("one", "taint", "in_s"),
    [
        (pod("p", node="n"), TAINT, 0),
        (tolerant(), TAINT, None),
        (tolerant(key="other"), TAINT, 0),
        (tolerant(seconds=60, created="2026-01-01T00:59:50Z"), TAINT, 50),
        (tolerant(seconds=60), {**TAINT, "timeAdded": "2026-01-01T00:59:30Z"}, 30),
        (tolerant(seconds=0), TAINT, -3600),
    ],
)
def test_the_first_matching_toleration_decides_how_long_a_pod_stays(one, taint, in_s):
    at = plan_eviction(one, [taint], NOW)
    assert at == (None if in_s is None else NOW + timedelta(seconds=in_s))


def test_the_shortest_toleration_counts():
    one = tolerant(seconds=300, created=format_time(NOW))
    one["spec"]["tolerations"].append({"key": "b", "operator": "Exists", "tolerationSeconds": 10})
    assert plan_eviction(one, [TAINT, {"key": "b", "effect": "NoExecute"}], NOW) == NOW + timedelta(
        seconds=10
    )


async def test_a_tainted_node_loses_pods_with_a_condition_that_says_why():
    world = World()
    world.client.seed(NODES, node("n"))
    world.client.seed(PODS, pod("p", node="n"))
    world.client.seed(PODS, tolerant("stays"))
    seen = []
    async with world.running(taint_eviction.build):
        world.client.seed(NODES, node("n", taints=[TAINT]))
        await world.until(lambda: _note(world, seen) or len(world.client.objects(PODS)) == 1)
    assert [one["metadata"]["name"] for one in world.client.objects(PODS)] == ["stays"]
    assert world.recorder.events == [("TaintManagerEviction", "Marking for deletion Pod default/p")]


def _note(world, seen):
    seen.append(len(world.client.objects(PODS)))


async def test_a_taint_that_goes_in_time_cancels_the_deletion():
    world = World()
    world.client.seed(NODES, node("n", taints=[TAINT]))
    world.client.seed(PODS, tolerant(seconds=3600, created=format_time(clock.now())))
    controller = taint_eviction.build(world.context)
    async with world.running(taint_eviction.build):
        wait_s = await controller.reconcile("default/p")
        untainted = deep_copy(node("n"))
        world.client.seed(NODES, untainted)
        await world.until(lambda: world.recorder.events)
    assert wait_s is not None
    assert 3590 < wait_s <= 3600
    assert world.recorder.events == [("TaintManagerEviction", "Cancelling deletion of Pod default/p")]
