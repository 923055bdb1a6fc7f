"""ReplicaSets: count, expectations, adoption, ranking, failure (api-machinery §6.1)."""

import pytest

from k3py.api.resource import PODS, REPLICA_SETS
from k3py.api.status import ApiError, forbidden
from k3py.controllers.workloads import replica_set
from k3py.controllers.workloads.pod_ranking import rank_for_deletion
from k3py.util import clock
from tests.support.controllers import World
from tests.support.objects import pod


def make_set(replicas=3, name="rs"):
    return {
        "kind": "ReplicaSet",
        "apiVersion": "apps/v1",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "c", "image": "i"}]},
            },
        },
    }


@pytest.fixture
def world():
    return World()


def _status(world):
    return world.client.objects(REPLICA_SETS)[0].get("status", {})


async def test_pods_are_made_owned_and_counted(world):
    await world.client.create(REPLICA_SETS, make_set(3), namespace="default")
    async with world.running(replica_set.build):
        await world.until(lambda: len(world.client.objects(PODS)) == 3)
        for one in world.client.objects(PODS):
            reference = one["metadata"]["ownerReferences"][0]
            assert (reference["kind"], reference["controller"]) == ("ReplicaSet", True)
            assert one["metadata"]["labels"] == {"app": "rs"}
            world.make_ready(one)
        await world.until(lambda: _status(world).get("readyReplicas") == 3)
    status = _status(world)
    assert (status["replicas"], status["availableReplicas"], status["terminatingReplicas"]) == (3, 3, 0)
    assert world.recorder.reasons() == ["SuccessfulCreate"] * 3


async def test_a_stale_informer_does_not_lead_to_more_pods(world):
    await world.client.create(REPLICA_SETS, make_set(2), namespace="default")
    controller = replica_set.build(world.context)
    world.informers.pause()
    await controller.reconcile("default/rs")
    with pytest.raises(ApiError, match="has been modified"):
        await controller.reconcile("default/rs")
    assert len(world.client.objects(PODS)) == 2


async def test_scaling_down_deletes_the_pods_that_cost_least(world):
    await world.client.create(REPLICA_SETS, make_set(3), namespace="default")
    async with world.running(replica_set.build):
        await world.until(lambda: len(world.client.objects(PODS)) == 3)
        ready = world.client.objects(PODS)[1]
        world.make_ready(ready)
        live = world.client.objects(REPLICA_SETS)[0]
        await world.client.patch(REPLICA_SETS, "rs", {"spec": {"replicas": 1}}, namespace="default")
        assert live["spec"]["replicas"] == 3
        await world.until(lambda: len(world.client.objects(PODS)) == 1)
    assert world.client.objects(PODS)[0]["metadata"]["name"] == ready["metadata"]["name"]


async def test_a_matching_orphan_is_adopted_and_a_relabelled_pod_released(world):
    world.client.seed(PODS, pod("orphan", labels={"app": "rs"}))
    await world.client.create(REPLICA_SETS, make_set(1), namespace="default")
    async with world.running(replica_set.build):
        await world.until(lambda: "ownerReferences" in world.client.objects(PODS)[0]["metadata"])
        assert len(world.client.objects(PODS)) == 1
        patch = {"metadata": {"labels": {"app": "other"}}}
        await world.client.patch(PODS, "orphan", patch, namespace="default")
        await world.until(lambda: len(world.client.objects(PODS)) == 2)
        freed = next(one for one in world.client.objects(PODS) if one["metadata"]["name"] == "orphan")
        await world.until(lambda: not _owners(world, "orphan"))
    assert freed["metadata"]["labels"]["app"] == "other"


def _owners(world, name):
    found = next(one for one in world.client.objects(PODS) if one["metadata"]["name"] == name)
    return found["metadata"].get("ownerReferences")


async def test_a_refused_pod_shows_as_condition_and_event_and_is_retried(world):
    error = forbidden("", "pods", "", "exceeded quota")
    world.client.fail("create", PODS, error)
    await world.client.create(REPLICA_SETS, make_set(2), namespace="default")
    seen = []
    async with world.running(replica_set.build):
        await world.until(lambda: seen.extend(_failures(world)) or seen)
        assert (seen[0]["reason"], seen[0]["message"]) == ("FailedCreate", error.message)
    assert "FailedCreate" in world.recorder.reasons()
    assert world.recorder.reasons().count("FailedCreate") == 1, "slow start tries one pod first"


def _failures(world):
    conditions = world.client.objects(REPLICA_SETS)[0].get("status", {}).get("conditions", [])
    return [one for one in conditions if one["type"] == "ReplicaFailure"]


def test_deletion_order_is_upstreams():
    newer = "2026-01-02T00:00:00Z"
    pods = [
        pod("ready-old", node="a", ready=True),
        pod("ready-new", node="a", ready=True, created=newer),
        pod("not-ready", node="a"),
        pod("pending", node="a", phase="Pending"),
        pod("unassigned", phase="Pending"),
    ]
    ranked = [one["metadata"]["name"] for one in rank_for_deletion(pods, pods, clock.now())]
    assert ranked == ["unassigned", "pending", "not-ready", "ready-new", "ready-old"]


def test_deletion_cost_comes_before_crowding():
    cheap = pod("cheap", node="a", ready=True)
    cheap["metadata"]["annotations"] = {"controller.kubernetes.io/pod-deletion-cost": "-5"}
    crowded = [pod("b1", node="b", ready=True), pod("b2", node="b", ready=True)]
    ranked = rank_for_deletion([*crowded, cheap], [*crowded, cheap], clock.now())
    assert ranked[0] is cheap


async def test_a_terminating_namespace_is_neither_told_nor_retried(world):
    details = {"causes": [{"reason": "NamespaceTerminating", "message": "m", "field": "metadata.namespace"}]}
    world.client.fail(
        "create", PODS, ApiError(403, "Forbidden", "is being terminated", details=details), times=9
    )
    await world.client.create(REPLICA_SETS, make_set(1), namespace="default")
    assert await replica_set.build(world.context).reconcile("default/rs") is None
    assert world.recorder.events == []
