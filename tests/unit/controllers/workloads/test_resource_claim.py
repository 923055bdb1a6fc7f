"""Claims of devices: made for pods, taken back when a pod needs them no longer (api-machinery.md on DRA)."""

import pytest

from k3py.api.object import deep_copy
from k3py.api.resource import PODS, RESOURCE_CLAIM_TEMPLATES, RESOURCE_CLAIMS
from k3py.controllers.workloads import resource_claim
from k3py.controllers.workloads.resource_claim import CLAIM_NAME, FINALIZER
from tests.support.controllers import World

SPEC = {"devices": {"requests": [{"name": "gpu", "exactly": {"deviceClassName": "gpu", "count": 1}}]}}
RESULT = {"request": "gpu", "driver": "d", "pool": "p", "device": "x"}


def pod(*claims, name="p", phase="Pending"):
    document = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}"}}
    return {**document, "spec": {"containers": [], "resourceClaims": list(claims)}, "status": {"phase": phase}}


def template(name="t"):
    metadata = {"labels": {"x": "y"}, "annotations": {"n": "m"}}
    document = {"kind": "ResourceClaimTemplate", "apiVersion": "resource.k8s.io/v1", "metadata": {"name": name, "namespace": "default"}}
    return {**document, "spec": {"metadata": metadata, "spec": SPEC}}


def claim(name, *consumers, owner="", finalizers=()):
    metadata = {"name": name, "namespace": "default", "uid": f"uid-{name}", "finalizers": list(finalizers)}
    if owner:
        reference = {"apiVersion": "v1", "kind": "Pod", "name": owner, "uid": f"uid-{owner}", "controller": True}
        metadata["ownerReferences"] = [reference]
    reserved = [{"resource": "pods", "name": one, "uid": f"uid-{one}"} for one in consumers]
    status = {"allocation": {"devices": {"results": [RESULT]}}, "reservedFor": reserved} if consumers else {}
    document = {"kind": "ResourceClaim", "apiVersion": "resource.k8s.io/v1", "metadata": metadata}
    return {**document, "spec": SPEC, "status": status}


MADE = {"name": "g", "resourceClaimTemplateName": "t"}
NAMED = {"name": "g", "resourceClaimName": "mine"}


@pytest.fixture
def world():
    return World()


def claims(world):
    return world.client.objects(RESOURCE_CLAIMS)


async def test_a_claim_is_made_from_its_template_and_named_in_the_pods_status(world):
    world.client.seed(RESOURCE_CLAIM_TEMPLATES, template())
    world.client.seed(PODS, pod(MADE))
    async with world.running(resource_claim.build):
        await world.until(lambda: claims(world) and world.client.objects(PODS)[0]["status"].get("resourceClaimStatuses"))
        (made,) = claims(world)
        assert made["metadata"]["generateName"] == "p-g-"
        assert made["metadata"]["annotations"] == {"n": "m", CLAIM_NAME: "g"}
        assert made["metadata"]["labels"] == {"x": "y"}
        assert made["spec"] == SPEC
        statuses = world.client.objects(PODS)[0]["status"]["resourceClaimStatuses"]
        assert statuses == [{"name": "g", "resourceClaimName": made["metadata"]["name"]}]
        await world.settle()
        assert len(claims(world)) == 1


async def test_a_template_may_come_later(world):
    world.client.seed(PODS, pod(MADE))
    async with world.running(resource_claim.build):
        await world.until(lambda: "FailedResourceClaimCreation" in world.recorder.reasons())
        world.client.seed(RESOURCE_CLAIM_TEMPLATES, template())
        await world.until(lambda: claims(world))


async def test_the_claim_of_a_pod_that_has_ended_goes(world):
    world.client.seed(RESOURCE_CLAIMS, claim("c", "p", owner="p", finalizers=[FINALIZER]))
    world.client.seed(PODS, pod(MADE, phase="Succeeded"))
    async with world.running(resource_claim.build):
        await world.until(lambda: not claims(world))


async def test_a_named_claim_is_given_back_and_stays(world):
    world.client.seed(RESOURCE_CLAIMS, claim("mine", "p", "q", finalizers=[FINALIZER]))
    running = pod(NAMED, name="q", phase="Running")
    world.client.seed(PODS, running)
    async with world.running(resource_claim.build):
        await world.until(lambda: [one["name"] for one in claims(world)[0]["status"]["reservedFor"]] == ["q"])
        assert claims(world)[0]["status"]["allocation"]
        ended = deep_copy(running)
        ended["status"]["phase"] = "Failed"
        world.client.seed(PODS, ended)
        await world.until(lambda: not claims(world)[0]["metadata"].get("finalizers"))
        assert claims(world)[0]["status"] == {}


async def test_what_others_than_pods_reserved_is_left_alone(world):
    one = claim("c", "p")
    one["status"]["reservedFor"][0]["apiGroup"] = "example.com"
    world.client.seed(RESOURCE_CLAIMS, one)
    async with world.running(resource_claim.build):
        await world.settle()
        assert claims(world)[0]["status"]["reservedFor"]
