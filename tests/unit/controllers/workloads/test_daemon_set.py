"""DaemonSets: a pod on each eligible node, rolling updates, failed pods (api-machinery §6.1)."""

import pytest

from k3py.api.object import deep_copy
from k3py.api.resource import CONTROLLER_REVISIONS, DAEMON_SETS, NODES, PODS
from k3py.controllers.workloads.daemon_set import controller as daemon_set
from k3py.controllers.workloads.daemon_set.placement import Placement, make_daemon_pod, place, target_node
from k3py.controllers.workloads.daemon_set.plan import (
    View,
    group_by_node,
    plan_nodes,
    plan_rolling,
    plan_status,
)
from k3py.util import clock
from tests.support.controllers import World
from tests.support.objects import node, pod


def make_set(image="i:1", **spec):
    return {
        "kind": "DaemonSet",
        "apiVersion": "apps/v1",
        "metadata": {"name": "d", "namespace": "default", "uid": "u"},
        "spec": {
            "selector": {"matchLabels": {"app": "d"}},
            "template": {
                "metadata": {"labels": {"app": "d"}},
                "spec": {"containers": [{"name": "c", "image": image}]},
            },
            "updateStrategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1},
            },
            "revisionHistoryLimit": 10,
            **spec,
        },
    }


def daemon_pod(name, on, digest, *, ready=True, **more):
    return pod(name, node=on, ready=ready, labels={"app": "d", "controller-revision-hash": digest}, **more)


def view(nodes, pods, **spec):
    return View(
        daemon_set=make_set(**spec), nodes=nodes, pods=group_by_node(pods), digest="new", now=clock.now()
    )


def _names(pods):
    return [one["metadata"]["name"] for one in pods]


@pytest.fixture
def world():
    world = World()
    for name in ("n1", "n2"):
        world.client.seed(NODES, node(name))
    return world


def _pods(world):
    return world.client.objects(PODS)


def _bind_and_ready(world):
    for one in _pods(world):
        if "nodeName" not in one["spec"]:
            changed = deep_copy(one)
            changed["spec"]["nodeName"] = target_node(one)
            world.make_ready(changed)


async def test_every_node_gets_one_pod_tied_to_it_and_a_new_node_too(world):
    await world.client.create(DAEMON_SETS, make_set(), namespace="default")
    async with world.running(daemon_set.build):
        await world.until(lambda: len(_pods(world)) == 2)
        assert {target_node(one) for one in _pods(world)} == {"n1", "n2"}
        world.client.seed(NODES, node("n3"))
        await world.until(lambda: len(_pods(world)) == 3)
        _bind_and_ready(world)
        await world.until(
            lambda: world.client.objects(DAEMON_SETS)[0].get("status", {}).get("numberAvailable") == 3
        )
    status = world.client.objects(DAEMON_SETS)[0]["status"]
    assert (status["desiredNumberScheduled"], status["updatedNumberScheduled"]) == (3, 3)
    assert [one["revision"] for one in world.client.objects(CONTROLLER_REVISIONS)] == [1]
    assert set(world.recorder.reasons()) == {"SuccessfulCreate"}


async def test_a_new_template_replaces_pods_one_at_a_time_also_over_a_restart(world):
    await world.client.create(DAEMON_SETS, make_set(), namespace="default")
    async with world.running(daemon_set.build):
        await world.until(lambda: len(_pods(world)) == 2)
        _bind_and_ready(world)
        await world.until(
            lambda: world.client.objects(DAEMON_SETS)[0].get("status", {}).get("numberAvailable") == 2
        )
        template = make_set(image="i:2")["spec"]["template"]
        await world.client.patch(DAEMON_SETS, "d", {"spec": {"template": template}}, namespace="default")
        await world.until(lambda: len(_images(world)) == 2)
        assert sorted(one["spec"]["containers"][0]["image"] for one in _pods(world)) == ["i:1", "i:2"]
    async with world.running(daemon_set.build):
        await world.until(
            lambda: (_bind_and_ready(world), _images(world) == {"i:2"} and len(_pods(world)) == 2)[1]
        )
    assert sorted(one["revision"] for one in world.client.objects(CONTROLLER_REVISIONS)) == [1, 2]


def _images(world):
    return {one["spec"]["containers"][0]["image"] for one in _pods(world)}


async def test_a_failed_pod_is_replaced_and_told(world):
    await world.client.create(DAEMON_SETS, make_set(), namespace="default")
    async with world.running(daemon_set.build):
        await world.until(lambda: len(_pods(world)) == 2)
        failed = deep_copy(_pods(world)[0])
        failed["spec"]["nodeName"] = target_node(failed)
        failed["status"] = {"phase": "Failed"}
        world.client.seed(PODS, failed)
        await world.until(
            lambda: failed["metadata"]["name"] not in _names(_pods(world)) and len(_pods(world)) == 2
        )
    assert "FailedDaemonPod" in world.recorder.reasons()


@pytest.mark.parametrize(
    ("taint", "expected"),
    [
        ({"key": "k", "effect": "NoSchedule"}, Placement(run=False, stay=True)),
        ({"key": "k", "effect": "NoExecute"}, Placement(run=False, stay=False)),
        ({"key": "k", "effect": "PreferNoSchedule"}, Placement(run=True, stay=True)),
        ({"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}, Placement(run=True, stay=True)),
        ({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}, Placement(run=True, stay=True)),
        (
            {"key": "node.kubernetes.io/network-unavailable", "effect": "NoSchedule"},
            Placement(run=False, stay=True),
        ),
    ],
)
def test_taints_decide_about_running_and_staying(taint, expected):
    assert place(make_set(), node(taints=[taint])) == expected


def test_required_affinity_is_replaced_by_the_nodes_name_and_preferences_stay():
    preferred = [{"weight": 1, "preference": {"matchExpressions": [{"key": "x", "operator": "Exists"}]}}]
    owner = make_set()
    owner["spec"]["template"]["spec"]["affinity"] = {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": []}]
            },
            "preferredDuringSchedulingIgnoredDuringExecution": preferred,
        }
    }
    affinity = make_daemon_pod(owner, "n7", "h")["spec"]["affinity"]["nodeAffinity"]
    assert affinity["preferredDuringSchedulingIgnoredDuringExecution"] == preferred
    fields = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"][0]["matchFields"]
    assert fields == [{"key": "metadata.name", "operator": "In", "values": ["n7"]}]


def test_surplus_pods_of_a_node_go_but_the_oldest():
    pods = [daemon_pod("b", "n", "new", created="2026-01-02T00:00:00Z"), daemon_pod("a", "n", "new")]
    assert _names(plan_nodes(view([node("n")], pods), ()).delete) == ["b"]


def test_pods_meant_for_a_node_that_is_gone_are_deleted_unless_bound():
    waiting = pod("w", spec=make_daemon_pod(make_set(), "gone", "new")["spec"])
    bound = daemon_pod("b", "gone", "new")
    assert _names(plan_nodes(view([], [waiting, bound]), ()).delete) == ["w"]


def test_unavailable_old_pods_are_replaced_first_and_count():
    nodes = [node(name) for name in ("a", "b", "c")]
    pods = [
        daemon_pod("pa", "a", "old", ready=False),
        daemon_pod("pb", "b", "old"),
        daemon_pod("pc", "c", "old"),
    ]
    assert _names(plan_rolling(view(nodes, pods)).delete) == ["pa"]
    two = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 2}}
    assert _names(plan_rolling(view(nodes, pods, updateStrategy=two)).delete) == ["pa", "pb"]


def test_a_surge_makes_the_new_pod_first_and_removes_the_old_one_when_it_is_available():
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    old = daemon_pod("old", "n", "old")
    plan = plan_rolling(view([node("n")], [old], updateStrategy=rolling))
    assert (plan.create, plan.delete) == (["n"], [])
    waiting = view([node("n")], [old, daemon_pod("new", "n", "new", ready=False)], updateStrategy=rolling)
    assert (plan_rolling(waiting).create, plan_rolling(waiting).delete) == ([], [])
    done = view([node("n")], [old, daemon_pod("new", "n", "new")], updateStrategy=rolling)
    assert _names(plan_rolling(done).delete) == ["old"]


def test_status_counts_nodes_and_waits_for_min_ready():
    fresh = daemon_pod("p", "a", "new")
    fresh["status"]["conditions"][0]["lastTransitionTime"] = clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    stray = daemon_pod("s", "b", "old")
    tainted = node("b", taints=[{"key": "k", "effect": "NoExecute"}])
    status, wait_s = plan_status(view([node("a"), tainted], [fresh, stray], minReadySeconds=60), 3, None)
    assert status == {
        "currentNumberScheduled": 1,
        "numberMisscheduled": 1,
        "desiredNumberScheduled": 1,
        "numberReady": 1,
        "observedGeneration": 3,
        "updatedNumberScheduled": 1,
        "numberUnavailable": 1,
    }
    assert wait_s is not None
    assert 50 < wait_s <= 60


def test_a_node_whose_pod_is_gone_counts_as_unavailable_while_others_are_replaced():
    nodes = [node("n1"), node("n2")]
    assert plan_rolling(view(nodes, [daemon_pod("old", "n2", "old")])).delete == []
    assert _names(plan_rolling(view([*nodes[1:]], [daemon_pod("old", "n2", "old")])).delete) == ["old"]
