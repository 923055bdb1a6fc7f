"""VolumeAttachments come and go with the pods that use volumes; the external attacher is played by the tests."""

from __future__ import annotations

import pytest

from k3py.api.csi import attachment_name, unique_name
from k3py.api.resource import (
    CSI_DRIVERS,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    VOLUME_ATTACHMENTS,
)
from k3py.controllers.storage.attach_detach import controller
from k3py.util import clock
from tests.support.controllers import World

DRIVER = "d.example.com"
NAME = unique_name(DRIVER, "h")


@pytest.fixture
def world():
    world = World()
    for name in ("n1", "n2"):
        put_node(world, name)
    csi = {"driver": DRIVER, "volumeHandle": "h"}
    claim = {"namespace": "default", "name": "c", "uid": "u"}
    spec = {"csi": csi, "accessModes": ["ReadWriteOnce"], "claimRef": claim}
    world.client.seed(PERSISTENT_VOLUMES, {"kind": "PersistentVolume", "metadata": {"name": "v"}, "spec": spec})
    world.client.seed(
        PERSISTENT_VOLUME_CLAIMS,
        {"kind": "PersistentVolumeClaim", "metadata": {**claim}, "spec": {"volumeName": "v"}, "status": {"phase": "Bound"}},
    )
    return world


def put_node(world, name, *, ready=True, in_use=(), taints=()):
    old = next((one for one in world.client.objects(NODES) if one["metadata"]["name"] == name), {})
    status = {**(old.get("status") or {}), "volumesInUse": list(in_use), "conditions": [{"type": "Ready", "status": str(ready)}]}
    metadata = {"name": name, "annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"}}
    world.client.seed(NODES, {"kind": "Node", "metadata": metadata, "spec": {"taints": list(taints)}, "status": status})


def put_pod(world, name="p", node="n1", phase="Running"):
    spec = {"nodeName": node, "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "c"}}]}
    world.client.seed(
        PODS, {"kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": spec, "status": {"phase": phase}}
    )


def attachments(world):
    return {one["spec"]["nodeName"]: one for one in world.client.objects(VOLUME_ATTACHMENTS)}


def attach(world, node="n1", **status):
    world.client.seed(VOLUME_ATTACHMENTS, {**attachments(world)[node], "status": status or {"attached": True}})


def attached(world, node="n1"):
    (found,) = (one for one in world.client.objects(NODES) if one["metadata"]["name"] == node)
    return [one["name"] for one in found["status"].get("volumesAttached") or ()]


async def bring(world, node="n1"):
    put_pod(world, node=node)
    await world.until(lambda: node in attachments(world))
    attach(world, node)
    await world.until(lambda: attached(world, node) == [NAME])


async def test_a_volume_is_attached_where_its_pod_is_and_detached_behind_it(world):
    async with world.running(controller.build):
        await bring(world)
        one = attachments(world)["n1"]
        assert one["metadata"]["name"] == attachment_name(DRIVER, "h", "n1")
        assert one["spec"] == {"attacher": DRIVER, "nodeName": "n1", "source": {"persistentVolumeName": "v"}}
        assert world.recorder.reasons() == ["SuccessfulAttachVolume"]
        put_node(world, "n1", in_use=[NAME])
        world.client.remove(PODS, "p", "default")
        await world.settle()
        assert attached(world) == [NAME], "the kubelet uses it still"
        put_node(world, "n1")
        await world.until(lambda: not attachments(world))
        assert attached(world) == []


async def test_a_pod_that_has_ended_needs_its_volume_no_more(world):
    async with world.running(controller.build):
        await bring(world)
        put_pod(world, phase="Succeeded")
        await world.until(lambda: not attachments(world))


async def test_a_volume_for_one_node_waits_until_the_other_node_lets_go(world):
    async with world.running(controller.build):
        await bring(world)
        put_node(world, "n1", in_use=[NAME])
        put_pod(world, "q", "n2")
        await world.until(lambda: "FailedAttachVolume" in world.recorder.reasons())
        assert list(attachments(world)) == ["n1"]
        world.client.remove(PODS, "p", "default")
        put_node(world, "n1")
        await world.until(lambda: list(attachments(world)) == ["n2"])


async def test_a_volume_for_many_nodes_goes_to_both(world):
    (volume,) = world.client.objects(PERSISTENT_VOLUMES)
    world.client.seed(PERSISTENT_VOLUMES, {**volume, "spec": {**volume["spec"], "accessModes": ["ReadWriteMany"]}})
    async with world.running(controller.build):
        put_pod(world)
        put_pod(world, "q", "n2")
        await world.until(lambda: len(attachments(world)) == 2)


async def test_a_driver_that_attaches_nothing_is_left_alone(world):
    about = {"kind": "CSIDriver", "metadata": {"name": DRIVER}, "spec": {"attachRequired": False}}
    world.client.seed(CSI_DRIVERS, about)
    async with world.running(controller.build):
        put_pod(world)
        await world.settle()
        assert not attachments(world)


async def test_a_failure_of_the_attacher_is_told_to_the_pod(world):
    async with world.running(controller.build):
        put_pod(world)
        await world.until(lambda: attachments(world))
        attach(world, attached=False, attachError={"message": "no such disk"})
        await world.until(lambda: world.recorder.events)
        assert world.recorder.events == [
            ("FailedAttachVolume", 'AttachVolume.Attach failed for volume "v" : no such disk')
        ]


async def test_a_node_out_of_service_loses_its_volumes_at_once(world):
    async with world.running(controller.build):
        await bring(world)
        put_node(world, "n1", ready=False, in_use=[NAME])
        world.client.remove(PODS, "p", "default")
        await world.settle()
        assert attachments(world)
        taint = {"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}
        put_node(world, "n1", ready=False, in_use=[NAME], taints=[taint])
        await world.until(lambda: not attachments(world))


async def test_a_node_that_stays_away_loses_its_volumes_after_six_minutes(world, monkeypatch):
    async with world.running(controller.build):
        await bring(world)
        put_node(world, "n1", ready=False, in_use=[NAME])
        world.client.remove(PODS, "p", "default")
        await world.settle()
        assert attachments(world)
        later_s = clock.monotonic_s() + controller.FORCE_S + 1
        monkeypatch.setattr(clock, "monotonic_s", lambda: later_s)
        put_node(world, "n1", ready=False, in_use=[NAME], taints=[{"key": "x", "effect": "NoSchedule"}])
        await world.until(lambda: not attachments(world))


async def test_attachments_that_were_made_before_a_restart_are_known(world):
    async with world.running(controller.build):
        await bring(world)
    world.client.remove(PODS, "p", "default")
    async with world.running(controller.build):
        await world.until(lambda: not attachments(world))
        assert attached(world) == []


async def test_an_attachment_that_somebody_else_made_is_left_alone(world):
    async with world.running(controller.build):
        spec = {"attacher": "other", "nodeName": "n2", "source": {"persistentVolumeName": "w"}}
        world.client.seed(VOLUME_ATTACHMENTS, {"kind": "VolumeAttachment", "metadata": {"name": "theirs"}, "spec": spec})
        await bring(world)
        world.client.remove(PODS, "p", "default")
        await world.until(lambda: "n1" not in attachments(world))
        assert attachments(world)["n2"]["metadata"]["name"] == "theirs"
