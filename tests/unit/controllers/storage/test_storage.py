"""Claims and volumes: matching, binding over a crash, release, protection, ephemeral claims (api-machinery §6.1)."""

import pytest

from k3py.api.object import deep_copy
from k3py.api.resource import (
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    STORAGE_CLASSES,
    VOLUME_ATTRIBUTES_CLASSES,
)
from k3py.api.status import ApiError
from k3py.api.volume_matching import find_mismatch, find_volume
from k3py.controllers.storage import (
    attributes_class_protection,
    claim_protection,
    ephemeral_volume,
    volume_binder,
    volume_protection,
)
from tests.support.controllers import World
from tests.support.objects import pod


def claim(name="c", size="1Gi", modes=("ReadWriteOnce",), cls="k", **spec):
    resources = {"requests": {"storage": size}}
    return {
        "kind": "PersistentVolumeClaim",
        "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}"},
        "spec": {"accessModes": list(modes), "resources": resources, "storageClassName": cls, **spec},
        "status": {"phase": "Pending"},
    }


def volume(name="v", size="1Gi", modes=("ReadWriteOnce",), cls="k", phase="Available", **spec):
    base = {"capacity": {"storage": size}, "accessModes": list(modes), "storageClassName": cls}
    return {
        "kind": "PersistentVolume",
        "apiVersion": "v1",
        "metadata": {"name": name, "uid": f"uid-{name}"},
        "spec": {**base, "persistentVolumeReclaimPolicy": "Retain", **spec},
        "status": {"phase": phase},
    }


@pytest.fixture
def world():
    return World()


def _phase(world, resource, name):
    return next(
        (one["status"]["phase"] for one in world.client.objects(resource) if one["metadata"]["name"] == name),
        None,
    )


async def test_a_claim_gets_the_smallest_volume_and_releases_it_when_it_goes(world):
    world.client.seed(PERSISTENT_VOLUMES, volume("big", "5Gi", phase="Pending"))
    world.client.seed(PERSISTENT_VOLUMES, volume("fits", "2Gi", phase="Pending"))
    world.client.seed(PERSISTENT_VOLUME_CLAIMS, claim())
    async with world.running(volume_binder.build):
        await world.until(lambda: _phase(world, PERSISTENT_VOLUME_CLAIMS, "c") == "Bound")
        bound = world.client.objects(PERSISTENT_VOLUME_CLAIMS)[0]
        assert bound["spec"]["volumeName"] in ("fits", "big")
        assert bound["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"] == "yes"
        name = bound["spec"]["volumeName"]
        await world.until(lambda: _phase(world, PERSISTENT_VOLUMES, name) == "Bound")
        await world.client.delete(PERSISTENT_VOLUME_CLAIMS, "c", namespace="default")
        await world.until(lambda: _phase(world, PERSISTENT_VOLUMES, name) == "Released")


async def test_a_crash_between_volume_and_claim_is_made_good(world):
    world.client.seed(PERSISTENT_VOLUMES, volume())
    world.client.seed(PERSISTENT_VOLUME_CLAIMS, claim())
    world.client.fail("update", PERSISTENT_VOLUME_CLAIMS, ApiError(500, "InternalError", "gone"))
    controller = volume_binder.build(world.context)
    with pytest.raises(ApiError):
        await controller.reconcile("claim:default/c")
    async with world.running(volume_binder.build):
        await world.until(lambda: _phase(world, PERSISTENT_VOLUME_CLAIMS, "c") == "Bound")
    assert world.client.objects(PERSISTENT_VOLUMES)[0]["spec"]["claimRef"]["uid"] == "uid-c"


async def test_a_bound_claim_whose_volume_is_gone_is_lost(world):
    lost = claim(volumeName="v")
    lost["metadata"]["annotations"] = {"pv.kubernetes.io/bind-completed": "yes"}
    world.client.seed(PERSISTENT_VOLUME_CLAIMS, lost)
    async with world.running(volume_binder.build):
        await world.until(lambda: _phase(world, PERSISTENT_VOLUME_CLAIMS, "c") == "Lost")
    assert "ClaimLost" in world.recorder.reasons()


@pytest.mark.parametrize(
    ("cls", "reason"),
    [
        ({"provisioner": "example.com/p"}, "ExternalProvisioning"),
        ({"provisioner": "kubernetes.io/no-provisioner"}, "ProvisioningFailed"),
        (
            {"provisioner": "example.com/p", "volumeBindingMode": "WaitForFirstConsumer"},
            "WaitForFirstConsumer",
        ),
        (None, "ProvisioningFailed"),
    ],
)
async def test_a_claim_without_volume_says_what_it_waits_for(world, cls, reason):
    if cls is not None:
        world.client.seed(STORAGE_CLASSES, {"kind": "StorageClass", "metadata": {"name": "k"}, **cls})
    world.client.seed(PERSISTENT_VOLUME_CLAIMS, claim())
    async with world.running(volume_binder.build):
        await world.until(lambda: reason in world.recorder.reasons())


@pytest.mark.parametrize(
    ("one", "fault"),
    [
        (volume(size="500Mi"), "requested PV is too small"),
        (volume(cls="other"), "storageClassName does not match"),
        (volume(volumeMode="Block"), "incompatible volumeMode"),
        (volume(modes=("ReadOnlyMany",)), "incompatible accessMode"),
        (volume(modes=("ReadWriteOnce", "ReadWriteMany")), ""),
    ],
)
def test_why_a_volume_does_not_suit(one, fault):
    assert find_mismatch(one, claim()) == fault


def test_a_volume_kept_for_the_claim_comes_first_and_delayed_binding_takes_no_other():
    kept = volume("kept", "9Gi", claimRef={"name": "c", "namespace": "default"})
    taken = volume("taken", claimRef={"name": "other", "namespace": "default"})
    assert find_volume(claim(), [volume(), kept, taken], delayed=True) is kept
    assert find_volume(claim(), [volume(), taken], delayed=True) is None
    assert find_volume(claim(), [taken], delayed=False) is None


async def test_used_claims_and_bound_volumes_are_protected(world):
    world.client.seed(PERSISTENT_VOLUME_CLAIMS, claim())
    world.client.seed(PERSISTENT_VOLUMES, volume(phase="Bound"))
    mounts = {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "c"}}]}
    world.client.seed(PODS, pod("p", node="n", phase="Succeeded", spec=mounts))
    async with world.running(claim_protection.build, volume_protection.build):
        await world.until(lambda: all(_finalizers(world)))
        await world.client.delete(PERSISTENT_VOLUME_CLAIMS, "c", namespace="default")
        await world.client.delete(PERSISTENT_VOLUMES, "v")
        assert len(_finalizers(world)) == 2
        await world.client.delete(PODS, "p", namespace="default", grace_period_s=0)
        await world.until(lambda: not world.client.objects(PERSISTENT_VOLUME_CLAIMS))
        free = deep_copy(world.client.objects(PERSISTENT_VOLUMES)[0])
        free["status"]["phase"] = "Released"
        await world.client.update(PERSISTENT_VOLUMES, free, subresource="status")
        await world.until(lambda: not world.client.objects(PERSISTENT_VOLUMES))


def _finalizers(world):
    objects = [*world.client.objects(PERSISTENT_VOLUME_CLAIMS), *world.client.objects(PERSISTENT_VOLUMES)]
    return [one["metadata"].get("finalizers") for one in objects]


async def test_ephemeral_volumes_get_claims_that_go_with_the_pod(world):
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"accessModes": ["ReadWriteOnce"]}}
    volumes = [{"name": "scratch", "ephemeral": {"volumeClaimTemplate": template}}]
    world.client.seed(PODS, pod("p", spec={"volumes": volumes}))
    async with world.running(ephemeral_volume.build):
        await world.until(lambda: world.client.objects(PERSISTENT_VOLUME_CLAIMS))
    made = world.client.objects(PERSISTENT_VOLUME_CLAIMS)[0]
    assert (made["metadata"]["name"], made["metadata"]["labels"]) == ("p-scratch", {"a": "b"})
    assert made["metadata"]["ownerReferences"][0]["uid"] == "uid-p"


async def test_a_class_of_attributes_stays_as_long_as_it_is_used(world):
    finalizer = attributes_class_protection.FINALIZER
    going = {"name": "gold", "uid": "u", "finalizers": [finalizer], "deletionTimestamp": "2026-01-01T00:00:00Z"}
    world.client.seed(VOLUME_ATTRIBUTES_CLASSES, {"kind": "VolumeAttributesClass", "metadata": going})
    world.client.seed(VOLUME_ATTRIBUTES_CLASSES, {"kind": "VolumeAttributesClass", "metadata": {"name": "new", "uid": "n"}})
    world.client.seed(PERSISTENT_VOLUME_CLAIMS, claim(volumeAttributesClassName="gold"))

    def finalizers(name):
        found = {one["metadata"]["name"]: one for one in world.client.objects(VOLUME_ATTRIBUTES_CLASSES)}
        return found[name]["metadata"].get("finalizers") or [] if name in found else []

    async with world.running(attributes_class_protection.build):
        await world.until(lambda: finalizers("new") == [finalizer])
        assert finalizers("gold") == [finalizer]
        await world.client.delete(PERSISTENT_VOLUME_CLAIMS, "c", namespace="default")
        await world.until(lambda: finalizers("gold") == [])
