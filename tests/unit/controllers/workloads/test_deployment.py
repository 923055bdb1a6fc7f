"""Deployments: create, roll, recreate, pause, history, status (api-machinery §6.1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3py.api.object import deep_copy
from k3py.api.resource import DEPLOYMENTS, PODS, REPLICA_SETS
from k3py.controllers.workloads import replica_set
from k3py.controllers.workloads.deployment import controller, rolling
from k3py.controllers.workloads.deployment.revision import HASH_LABEL, REVISION
from k3py.controllers.workloads.revisions import hash_document
from tests.support.controllers import World
from tests.support.objects import deployment


@pytest.fixture
def world():
    return World()


def live(world):
    return world.client.objects(DEPLOYMENTS)[0]


def sizes(world):
    return sorted(one["spec"].get("replicas", 1) for one in world.client.objects(REPLICA_SETS))


def progressing(world):
    conditions = live(world).get("status", {}).get("conditions", [])
    return next((one["reason"] for one in conditions if one["type"] == "Progressing"), "")


async def complete(world):
    """Play kubelet until the rollout is over."""

    def step():
        for one in world.client.objects(PODS):
            if not one.get("status", {}).get("conditions"):
                world.make_ready(one)
        return (
            progressing(world) == "NewReplicaSetAvailable"
            and live(world)["status"].get("updatedReplicas") == live(world)["spec"]["replicas"]
            and live(world)["status"].get("observedGeneration")
            == live(world)["metadata"].get("generation", 0)
        )

    await world.until(step)


async def test_a_deployment_becomes_a_replica_set_with_hash_and_revision(world):
    await world.client.create(DEPLOYMENTS, deployment(replicas=2), namespace="default")
    async with world.running(controller.build, replica_set.build):
        await complete(world)
    (owned,) = world.client.objects(REPLICA_SETS)
    digest = owned["metadata"]["labels"][HASH_LABEL]
    assert owned["metadata"]["name"] == f"d-{digest}"
    assert owned["spec"]["selector"]["matchLabels"] == {"app": "d", HASH_LABEL: digest}
    assert (
        owned["metadata"]["annotations"][REVISION] == live(world)["metadata"]["annotations"][REVISION] == "1"
    )
    assert live(world)["status"]["availableReplicas"] == 2
    assert ("ScalingReplicaSet", f"Scaled up replica set d-{digest} from 0 to 2") in world.recorder.events


async def test_a_new_template_rolls_without_falling_below_the_minimum(world):
    await world.client.create(DEPLOYMENTS, deployment(replicas=4), namespace="default")
    async with world.running(controller.build, replica_set.build):
        await complete(world)
        template = deep_copy(live(world)["spec"]["template"])
        template["spec"]["containers"][0]["image"] = "i:2"
        await world.client.patch(DEPLOYMENTS, "d", {"spec": {"template": template}}, namespace="default")
        worst = 4

        def step():
            nonlocal worst
            for one in world.client.objects(PODS):
                if not one.get("status", {}).get("conditions"):
                    world.make_ready(one)
            ready = sum(1 for one in world.client.objects(PODS) if one.get("status", {}).get("conditions"))
            worst = min(worst, ready)
            return sizes(world) == [0, 4] and progressing(world) == "NewReplicaSetAvailable"

        await world.until(step)
    assert worst >= 3
    assert {one["spec"]["containers"][0]["image"] for one in world.client.objects(PODS)} == {"i:2"}
    assert live(world)["metadata"]["annotations"][REVISION] == "2"


async def test_recreate_starts_new_pods_only_after_the_old_are_gone(world):
    recreate = deployment(replicas=2, strategy={"type": "Recreate"})
    await world.client.create(DEPLOYMENTS, recreate, namespace="default")
    images = []
    async with world.running(controller.build, replica_set.build):
        await complete(world)
        template = deep_copy(live(world)["spec"]["template"])
        template["spec"]["containers"][0]["image"] = "i:2"
        await world.client.patch(DEPLOYMENTS, "d", {"spec": {"template": template}}, namespace="default")

        def step():
            images.append(
                frozenset(one["spec"]["containers"][0]["image"] for one in world.client.objects(PODS))
            )
            return images[-1] == {"i:2"} and len(world.client.objects(PODS)) == 2

        await world.until(step)
    assert frozenset({"i:1", "i:2"}) not in images


async def test_a_paused_deployment_follows_scale_but_not_template(world):
    await world.client.create(DEPLOYMENTS, deployment(replicas=1), namespace="default")
    async with world.running(controller.build, replica_set.build):
        await complete(world)
        template = deep_copy(live(world)["spec"]["template"])
        template["spec"]["containers"][0]["image"] = "i:2"
        patch = {"spec": {"paused": True, "replicas": 3, "template": template}}
        await world.client.patch(DEPLOYMENTS, "d", patch, namespace="default")
        await world.until(lambda: sizes(world) == [3] and progressing(world) == "DeploymentPaused")
        await world.client.patch(DEPLOYMENTS, "d", {"spec": {"paused": False}}, namespace="default")
        await world.until(lambda: len(world.client.objects(REPLICA_SETS)) == 2)


async def test_history_is_trimmed_to_its_limit(world):
    await world.client.create(
        DEPLOYMENTS, deployment(replicas=1, revisionHistoryLimit=1), namespace="default"
    )
    async with world.running(controller.build, replica_set.build):
        for number in range(2, 6):
            await complete(world)
            template = deep_copy(live(world)["spec"]["template"])
            template["spec"]["containers"][0]["image"] = f"i:{number}"
            await world.client.patch(DEPLOYMENTS, "d", {"spec": {"template": template}}, namespace="default")
        await complete(world)
        await world.until(lambda: len(world.client.objects(REPLICA_SETS)) == 2)


async def test_a_crashed_controller_goes_on_where_it_stopped(world):
    await world.client.create(DEPLOYMENTS, deployment(replicas=3), namespace="default")
    async with world.running(controller.build):
        await world.until(lambda: len(world.client.objects(REPLICA_SETS)) == 1)
    async with world.running(controller.build, replica_set.build):
        await complete(world)
    assert sizes(world) == [3]


def test_the_hash_depends_on_template_and_collisions():
    template = deployment()["spec"]["template"]
    other = deployment(image="i:2")["spec"]["template"]
    assert len({hash_document(template, 0), hash_document(other, 0), hash_document(template, 1)}) == 3
    assert hash_document(template, 0) == hash_document(deep_copy(template), 0)


percent = st.integers(0, 100).map(lambda n: f"{n}%") | st.integers(0, 10)


@given(replicas=st.integers(0, 20), surge=percent, unavailable=percent)
def test_bounds_never_forbid_every_step(replicas, surge, unavailable):
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    bounds = rolling.resolve_bounds(deployment(replicas=replicas, strategy=strategy))
    assert replicas == 0 or max(bounds) >= 1


def _set(name, size, available, maximum=""):
    annotations = {"deployment.kubernetes.io/max-replicas": maximum} if maximum else {}
    return {
        "metadata": {"name": name, "uid": name, "creationTimestamp": name, "annotations": annotations},
        "spec": {"replicas": size},
        "status": {"availableReplicas": available},
    }


@given(
    wanted=st.integers(1, 12), new=st.tuples(st.integers(0, 12), st.integers(0, 12)),
    old=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=3),
)  # fmt: skip
def test_shrinking_old_sets_keeps_the_minimum_available(wanted, new, old):
    one = deployment(replicas=wanted)
    fresh = _set("9", new[0], min(new))
    sets = [_set(str(number), size, min(size, available)) for number, (size, available) in enumerate(old)]
    _, unavailable = rolling.resolve_bounds(one)
    before = sum(s["status"]["availableReplicas"] for s in [fresh, *sets])
    after = fresh["status"]["availableReplicas"]
    planned = {s["metadata"]["uid"]: size for s, size in rolling.plan_old_sizes(one, fresh, sets)}
    for s in sets:
        size = planned.get(s["metadata"]["uid"], s["spec"]["replicas"])
        assert 0 <= size <= s["spec"]["replicas"]
        after += min(s["status"]["availableReplicas"], size)
    assert after >= min(before, wanted - unavailable)


def test_scaling_amid_a_rollout_is_proportional():
    one = deployment(
        replicas=30, strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}
    )
    sets = [_set("0", 8, 8, "13"), _set("1", 5, 0, "13")]
    planned = {s["metadata"]["name"]: size for s, size in rolling.plan_proportional(one, sets)}
    assert planned == {"0": 20, "1": 13}
