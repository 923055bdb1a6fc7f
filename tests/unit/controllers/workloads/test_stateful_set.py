"""StatefulSets: order, identity, claims, partitions, revisions (api-machinery §6.1)."""

import pytest

from k3py.api.object import deep_copy
from k3py.api.resource import CONTROLLER_REVISIONS, PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS
from k3py.api.status import forbidden
from k3py.controllers.workloads.revisions import hash_revision
from k3py.controllers.workloads.stateful_set import controller as stateful_set
from k3py.controllers.workloads.stateful_set.claims import has_other_controller, plan_owners
from k3py.controllers.workloads.stateful_set.plan import Verb, View, plan_status, plan_steps
from k3py.util import clock
from tests.support.controllers import World
from tests.support.objects import pod


def make_set(replicas=2, image="i:1", *, claims=False, **spec):
    template = {"metadata": {"labels": {"app": "w"}}, "spec": {"containers": [{"name": "c", "image": image}]}}
    if claims:
        spec["volumeClaimTemplates"] = [
            {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}
        ]
    return {
        "kind": "StatefulSet",
        "apiVersion": "apps/v1",
        "metadata": {"name": "w", "namespace": "default", "uid": "u"},
        "spec": {
            "replicas": replicas,
            "serviceName": "svc",
            "selector": {"matchLabels": {"app": "w"}},
            "template": template,
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            **spec,
        },
    }


@pytest.fixture
def world():
    return World()


def _pods(world):
    return {one["metadata"]["name"]: one for one in world.client.objects(PODS)}


def _ready(world, name):
    world.make_ready(_pods(world)[name])


async def test_pods_start_one_after_another_and_go_in_reverse(world):
    await world.client.create(STATEFUL_SETS, make_set(2), namespace="default")
    async with world.running(stateful_set.build):
        await world.until(lambda: "w-0" in _pods(world))
        assert set(_pods(world)) == {"w-0"}
        first = _pods(world)["w-0"]
        assert first["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"] == "w-0"
        assert first["metadata"]["labels"]["apps.kubernetes.io/pod-index"] == "0"
        assert (first["spec"]["hostname"], first["spec"]["subdomain"]) == ("w-0", "svc")
        _ready(world, "w-0")
        await world.until(lambda: "w-1" in _pods(world))
        _ready(world, "w-1")
        await world.until(lambda: world.client.objects(STATEFUL_SETS)[0]["status"].get("readyReplicas") == 2)
        await world.client.patch(STATEFUL_SETS, "w", {"spec": {"replicas": 1}}, namespace="default")
        await world.until(lambda: set(_pods(world)) == {"w-0"})
    assert world.recorder.reasons() == ["SuccessfulCreate", "SuccessfulCreate", "SuccessfulDelete"]


async def test_a_new_template_goes_from_the_top_also_over_a_restart(world):
    await world.client.create(STATEFUL_SETS, make_set(2), namespace="default")
    async with world.running(stateful_set.build):
        for name in ("w-0", "w-1"):
            await world.until(lambda name=name: name in _pods(world))
            _ready(world, name)
        template = make_set(image="i:2")["spec"]["template"]
        await world.client.patch(STATEFUL_SETS, "w", {"spec": {"template": template}}, namespace="default")
        await world.until(lambda: _image(world, "w-1") == "i:2")
        assert _image(world, "w-0") == "i:1"
    async with world.running(stateful_set.build):
        _ready(world, "w-1")
        await world.until(lambda: _image(world, "w-0") == "i:2")
        _ready(world, "w-0")
        await world.until(lambda: _revisions(world)[0] == _revisions(world)[1])
    assert sorted(one["revision"] for one in world.client.objects(CONTROLLER_REVISIONS)) == [1, 2]


def _image(world, name):
    found = _pods(world).get(name)
    return found and found["spec"]["containers"][0]["image"]


def _revisions(world):
    status = world.client.objects(STATEFUL_SETS)[0]["status"]
    return status["currentRevision"], status["updateRevision"]


async def test_claims_are_made_with_the_pod_and_stay_when_it_goes(world):
    await world.client.create(STATEFUL_SETS, make_set(1, claims=True), namespace="default")
    async with world.running(stateful_set.build):
        await world.until(lambda: "w-0" in _pods(world))
        claim = world.client.objects(PERSISTENT_VOLUME_CLAIMS)[0]
        assert (claim["metadata"]["name"], claim["metadata"]["labels"]) == ("data-w-0", {"app": "w"})
        assert _pods(world)["w-0"]["spec"]["volumes"] == [
            {"name": "data", "persistentVolumeClaim": {"claimName": "data-w-0"}}
        ]
        await world.client.patch(STATEFUL_SETS, "w", {"spec": {"replicas": 0}}, namespace="default")
        await world.until(lambda: not _pods(world))
    assert len(world.client.objects(PERSISTENT_VOLUME_CLAIMS)) == 1
    assert world.recorder.events[0] == (
        "SuccessfulCreate",
        "create Claim data-w-0 Pod w-0 in StatefulSet w success",
    )


async def test_a_refused_pod_is_told_and_tried_again(world):
    world.client.fail("create", PODS, forbidden("", "pods", "", "exceeded quota"))
    await world.client.create(STATEFUL_SETS, make_set(1), namespace="default")
    async with world.running(stateful_set.build):
        await world.until(lambda: world.recorder.reasons() == ["FailedCreate", "SuccessfulCreate"])


async def test_a_wrong_label_is_put_right(world):
    await world.client.create(STATEFUL_SETS, make_set(1), namespace="default")
    async with world.running(stateful_set.build):
        await world.until(lambda: "w-0" in _pods(world))
        changed = deep_copy(_pods(world)["w-0"])
        changed["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"] = "other"
        world.make_ready(changed)
        await world.until(
            lambda: _pods(world)["w-0"]["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"] == "w-0"
        )
    assert "SuccessfulUpdate" in world.recorder.reasons()


def set_pod(ordinal, revision="new", *, ready=True, **more):
    return pod(f"w-{ordinal}", node="n", ready=ready, labels={"controller-revision-hash": revision}, **more)


def view(pods, current="new", **spec):
    return View(stateful_set=make_set(**spec), pods=pods, current=current, update="new", now=clock.now())


def steps(a_view):
    return [(one.verb, one.ordinal) for one in plan_steps(a_view) if one.verb not in (Verb.KEEP, Verb.CLAIMS)]


def test_parallel_sets_make_and_delete_all_at_once():
    assert steps(view([], replicas=3, podManagementPolicy="Parallel")) == [
        (Verb.CREATE, one) for one in range(3)
    ]
    gone = view([set_pod(0), set_pod(1, ready=False), set_pod(2)], replicas=0, podManagementPolicy="Parallel")
    assert steps(gone) == [(Verb.DELETE, 2), (Verb.DELETE, 1), (Verb.DELETE, 0)]


def test_an_unready_pod_holds_everything_up_in_order():
    assert steps(view([set_pod(0, ready=False)], replicas=3)) == []
    assert steps(view([set_pod(0), set_pod(1, ready=False), set_pod(2, ready=False)], replicas=1)) == []
    assert steps(view([set_pod(0), set_pod(1, ready=False)], replicas=1)) == [(Verb.DELETE, 1)]


def test_ended_pods_are_deleted_to_be_made_anew():
    assert steps(view([set_pod(0, phase="Failed")], replicas=2)) == [(Verb.DELETE, 0)]


def test_a_partition_keeps_lower_ordinals_at_the_former_revision():
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}
    pods = [set_pod(0, "old"), set_pod(1, "old")]
    assert steps(view(pods, "old", updateStrategy=strategy)) == [(Verb.DELETE, 1)]
    lost = plan_steps(view([], "old", updateStrategy=strategy))
    assert [(one.ordinal, one.updated) for one in lost] == [(0, False)]


def test_on_delete_leaves_old_pods():
    assert (
        steps(view([set_pod(0, "old"), set_pod(1, "old")], "old", updateStrategy={"type": "OnDelete"})) == []
    )


def test_ordinals_may_start_elsewhere():
    assert steps(view([], replicas=2, ordinals={"start": 5})) == [(Verb.CREATE, 5)]


def test_status_ends_a_rollout_only_when_all_are_new_and_ready():
    status, _ = plan_status(view([set_pod(0), set_pod(1, ready=False)], "old"), 0)
    assert (status["currentRevision"], status["updatedReplicas"]) == ("old", 2)
    status, _ = plan_status(view([set_pod(0), set_pod(1)], "old"), 0)
    assert (status["currentRevision"], status["currentReplicas"]) == ("new", 2)


@pytest.mark.parametrize(
    ("scaled", "deleted", "ordinal", "owner"),
    [
        ("Retain", "Retain", 0, None),
        ("Retain", "Delete", 0, "StatefulSet"),
        ("Retain", "Delete", 7, "StatefulSet"),
        ("Delete", "Retain", 0, None),
        ("Delete", "Retain", 7, "Pod"),
        ("Delete", "Delete", 0, "StatefulSet"),
        ("Delete", "Delete", 7, "Pod"),
    ],
)
def test_owners_of_claims_follow_the_retention_policy(scaled, deleted, ordinal, owner):
    owned = make_set(persistentVolumeClaimRetentionPolicy={"whenScaled": scaled, "whenDeleted": deleted})
    claim = {"metadata": {"name": f"data-w-{ordinal}"}}
    owners = plan_owners(owned, set_pod(ordinal), claim)
    assert [one["kind"] for one in owners or ()] == ([owner] if owner else [])
    if owners:
        claim["metadata"]["ownerReferences"] = owners
        assert plan_owners(owned, set_pod(ordinal), claim) is None
        assert not has_other_controller(owned, set_pod(ordinal), claim)


def test_a_collision_gives_another_hash():

    data = {"spec": {"template": {"$patch": "replace"}}}
    assert hash_revision(data, 0) != hash_revision(data, 1)
    assert len(hash_revision(data, 0)) in range(8, 11)
