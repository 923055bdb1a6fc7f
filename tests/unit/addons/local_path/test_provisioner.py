"""Volumes in folders of nodes: made where the scheduler chose, removed with their claim."""

import orjson
import pytest

from k3py.addons.local_path.provisioner import LocalPathProvisioner
from k3py.api.resource import (
    CONFIG_MAPS,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    STORAGE_CLASSES,
)
from tests.support.controllers import World

UID = "11111111-2222-3333-4444-555555555555"
PATH = f"/data/pvc-{UID}_default_c"
OURS = "rancher.io/local-path"


class Kubelets:
    """Remembers what nodes are asked."""

    def __init__(self):
        self.asked = []
        self.answer = (200, b"ok")

    async def send(self, node, method, path, body=b""):
        if isinstance(self.answer, Exception):
            raise self.answer
        document = orjson.loads(body)
        self.asked.append((node["metadata"]["name"], document["action"], document["path"]))
        return self.answer


@pytest.fixture
def world():
    world = World()
    world.kubelets = Kubelets()
    world.build = lambda context: LocalPathProvisioner(
        context.client, context.informers, context.recorder, world.kubelets
    )
    labels = {"kubernetes.io/hostname": "host1"}
    world.client.seed(NODES, {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "n1", "labels": labels}})
    storage_class = {
        "kind": "StorageClass",
        "apiVersion": "storage.k8s.io/v1",
        "metadata": {"name": "local-path", "annotations": {"defaultVolumeType": "local"}},
        "provisioner": OURS,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    world.client.seed(STORAGE_CLASSES, storage_class)
    settings = {"nodePathMap": [{"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": ["/data"]}]}
    config = {"config.json": orjson.dumps(settings).decode()}
    metadata = {"name": "local-path-config", "namespace": "kube-system"}
    world.client.seed(CONFIG_MAPS, {"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata, "data": config})
    return world


def claim(node="n1", annotations=None, **spec):
    notes = {"volume.kubernetes.io/storage-provisioner": OURS, **(annotations or {})}
    if node:
        notes["volume.kubernetes.io/selected-node"] = node
    return {
        "kind": "PersistentVolumeClaim",
        "apiVersion": "v1",
        "metadata": {"name": "c", "namespace": "default", "uid": UID, "annotations": notes},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
            "storageClassName": "local-path",
            **spec,
        },
        "status": {"phase": "Pending"},
    }


async def test_a_claim_gets_a_folder_on_the_node_of_its_pod(world):
    world.client.seed(PERSISTENT_VOLUME_CLAIMS, claim())
    async with world.running(world.build):
        await world.until(lambda: world.client.objects(PERSISTENT_VOLUMES))
    (volume,) = world.client.objects(PERSISTENT_VOLUMES)
    assert world.kubelets.asked == [("n1", "make", PATH)]
    spec = volume["spec"]
    assert volume["metadata"]["name"] == f"pvc-{UID}"
    assert volume["metadata"]["annotations"]["pv.kubernetes.io/provisioned-by"] == OURS
    assert spec["local"] == {"path": PATH}
    assert spec["claimRef"]["uid"] == UID
    terms = spec["nodeAffinity"]["required"]["nodeSelectorTerms"]
    assert terms[0]["matchExpressions"][0]["values"] == ["host1"]
    assert world.recorder.reasons() == ["Provisioning", "ProvisioningSucceeded"]


async def test_a_claim_may_ask_for_a_host_path(world):
    world.client.seed(PERSISTENT_VOLUME_CLAIMS, claim(annotations={"volumeType": "hostPath"}))
    async with world.running(world.build):
        await world.until(lambda: world.client.objects(PERSISTENT_VOLUMES))
    (volume,) = world.client.objects(PERSISTENT_VOLUMES)
    assert volume["spec"]["hostPath"] == {"path": PATH, "type": "DirectoryOrCreate"}


async def test_a_claim_without_a_pod_waits(world):
    world.client.seed(PERSISTENT_VOLUME_CLAIMS, claim(node=""))
    controller = world.build(world.context)
    async with world.running(lambda _: controller):
        await world.until(controller._claims.list)
        assert await controller.reconcile("claim:default/c") is None
    assert world.kubelets.asked == []


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"accessModes": ["ReadWriteMany"]}, "ReadWriteOnce"),
        ({"volumeMode": "Block"}, "block"),
        ({"selector": {"matchLabels": {"a": "b"}}}, "Selector"),
    ],
)
async def test_what_a_folder_cannot_be_is_told(world, spec, said):
    world.client.seed(PERSISTENT_VOLUME_CLAIMS, claim(**spec))
    async with world.running(world.build):
        await world.until(lambda: world.recorder.events)
    reason, message = world.recorder.events[0]
    assert reason == "ProvisioningFailed"
    assert said in message
    assert not world.client.objects(PERSISTENT_VOLUMES)


async def test_a_node_that_is_away_is_asked_again(world):
    world.kubelets.answer = OSError("no route")
    world.client.seed(PERSISTENT_VOLUME_CLAIMS, claim())
    controller = world.build(world.context)
    async with world.running(lambda _: controller):
        await world.until(lambda: "ProvisioningFailed" in world.recorder.reasons())
        assert not world.client.objects(PERSISTENT_VOLUMES)
        assert await controller.reconcile("claim:default/c")
        world.kubelets.answer = (200, b"ok")
        assert await controller.reconcile("claim:default/c") is None
    assert world.client.objects(PERSISTENT_VOLUMES)


async def test_a_node_that_is_gone_is_chosen_anew(world):
    world.client.seed(PERSISTENT_VOLUME_CLAIMS, claim(node="gone"))

    def chosen():
        notes = world.client.objects(PERSISTENT_VOLUME_CLAIMS)[0]["metadata"]["annotations"]
        return notes.get("volume.kubernetes.io/selected-node")

    async with world.running(world.build):
        await world.until(lambda: chosen() is None)


def volume(policy="Delete", phase="Released", node="n1"):
    return {
        "kind": "PersistentVolume",
        "apiVersion": "v1",
        "metadata": {
            "name": f"pvc-{UID}",
            "annotations": {"pv.kubernetes.io/provisioned-by": OURS, "local.path.provisioner/selected-node": node},
        },
        "spec": {"persistentVolumeReclaimPolicy": policy, "local": {"path": PATH}},
        "status": {"phase": phase},
    }


@pytest.mark.parametrize(("node", "asked"), [("n1", [("n1", "remove", PATH)]), ("gone", [])])
async def test_a_released_volume_goes_with_its_folder_or_with_its_node(world, node, asked):
    world.client.seed(PERSISTENT_VOLUMES, volume(node=node))
    async with world.running(world.build):
        await world.until(lambda: not world.client.objects(PERSISTENT_VOLUMES))
    assert world.kubelets.asked == asked


@pytest.mark.parametrize(("policy", "phase"), [("Retain", "Released"), ("Delete", "Bound")])
async def test_other_volumes_stay(world, policy, phase):
    world.client.seed(PERSISTENT_VOLUMES, volume(policy, phase))
    controller = world.build(world.context)
    async with world.running(lambda _: controller):
        await world.until(controller._volumes.list)
        await controller.reconcile(f"volume:pvc-{UID}")
    assert world.kubelets.asked == []
    assert world.client.objects(PERSISTENT_VOLUMES)


async def test_a_volume_whose_folder_cannot_be_removed_stays(world):
    world.kubelets.answer = (422, b"busy")
    world.client.seed(PERSISTENT_VOLUMES, volume())
    async with world.running(world.build):
        await world.until(lambda: ("VolumeFailedDelete", "node n1: busy") in world.recorder.events)
    assert world.client.objects(PERSISTENT_VOLUMES)
