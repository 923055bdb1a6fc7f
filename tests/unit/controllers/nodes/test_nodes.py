"""Pod ranges and the taints and conditions of nodes (api-machinery §6.1)."""

from k3py.api.resource import NODES, PODS
from k3py.controllers.nodes import ipam, lifecycle
from k3py.controllers.nodes.ipam import plan_range, plan_ranges
from k3py.controllers.nodes.lifecycle import plan_taints
from k3py.util import clock
from tests.support.controllers import World
from tests.support.objects import node, pod


async def test_every_node_gets_a_range_of_its_own():
    world = World()
    for name in ("a", "b", "c"):
        world.client.seed(NODES, node(name))
    async with world.running(ipam.build):
        await world.until(lambda: all("podCIDR" in one["spec"] for one in world.client.objects(NODES)))
    assert sorted(one["spec"]["podCIDR"] for one in world.client.objects(NODES)) == [
        "10.42.0.0/24",
        "10.42.1.0/24",
        "10.42.2.0/24",
    ]


def test_a_full_range_has_nothing_left():
    assert plan_range("10.0.0.0/24", 25, ["10.0.0.0/25"]) == "10.0.0.128/25"
    assert plan_range("10.0.0.0/24", 25, ["10.0.0.0/24"]) is None


def test_a_node_gets_a_range_of_each_family():
    both = "10.42.0.0/16,fd42::/56"
    assert plan_ranges(both, 24, []) == ("10.42.0.0/24", "fd42::/64")
    assert plan_ranges(both, 24, ["10.42.0.0/24", "fd42::/64"]) == ("10.42.1.0/24", "fd42:0:0:1::/64")
    assert plan_ranges("10.42.0.0/24,fd42::/56", 24, ["10.42.0.0/24"]) is None
    assert plan_ranges("fd42::/56", 24, []) == ("fd42::/64",)


def _keys(taints):
    return {(one["key"].removeprefix("node.kubernetes.io/"), one["effect"]) for one in taints}


def test_taints_follow_conditions_and_keep_those_of_others():
    one = node("a", unschedulable=True, taints=[{"key": "mine", "effect": "NoSchedule"}])
    one["status"]["conditions"] = [
        {"type": "Ready", "status": "False"},
        {"type": "DiskPressure", "status": "True"},
    ]
    assert _keys(plan_taints(one, "t")) == {
        ("mine", "NoSchedule"),
        ("unschedulable", "NoSchedule"),
        ("not-ready", "NoSchedule"),
        ("not-ready", "NoExecute"),
        ("disk-pressure", "NoSchedule"),
    }
    ready = node("a", taints=[{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}])
    assert plan_taints(ready, "t") == []


async def test_a_silent_node_becomes_unknown_tainted_and_its_pods_not_ready(monkeypatch):
    world = World()
    world.client.seed(NODES, node("a"))
    world.client.seed(PODS, pod("p", node="a", ready=True))
    now_s = clock.monotonic_s()
    monkeypatch.setattr(clock, "monotonic_s", lambda: now_s)
    controller = lifecycle.build(world.context)
    for watch in controller.watches:
        for one in watch.informer.lister.list():
            list(watch.keys_of(None, one))
    assert await controller.reconcile("a") == lifecycle.STARTUP_GRACE_S
    now_s += lifecycle.STARTUP_GRACE_S
    await controller.reconcile("a")
    (found,) = world.client.objects(NODES)
    assert {one["type"]: one["status"] for one in found["status"]["conditions"]}["Ready"] == "Unknown"
    assert ("unreachable", "NoExecute") in _keys(found["spec"]["taints"])
    assert 'node_collector_evictions_total{zone=""} 1' in world.context.metrics.to_text()
    assert world.client.objects(PODS)[0]["status"]["conditions"][0]["status"] == "False"
