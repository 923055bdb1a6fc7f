"""Volumes of a CSI driver reach a pod in upstream's order, and go in the reverse one."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

import pytest

from k3py.api.csi import attachment_name
from k3py.api.resource import (
    CSI_DRIVERS,
    CSI_NODES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    SECRETS,
    SERVICE_ACCOUNTS,
    VOLUME_ATTACHMENTS,
)
from k3py.runtime.fake import FakeRuntime
from tests.support.csi_driver import CsiDriverServer
from tests.support.fake_client import FakeClient
from tests.support.kubelet import NODE, bound_pod, container, running_kubelet

DRIVER = "d.example.com"
NAME = f"kubernetes.io/csi/{DRIVER}^h1"


@pytest.fixture
def client():
    return FakeClient(graceful_pods=True)


@pytest.fixture
def driver(short_path):
    return CsiDriverServer(DRIVER, "id-1", short_path / "volumes", topology={"example.com/place": "a"}, mounts=False)


def seed(client, *, attach=False, name="v1", handle="h1", claim="c1", block=False, **spec):
    """A bound claim of a volume of the driver, and what the driver wants."""
    about = {"attachRequired": attach, **spec}
    client.seed(CSI_DRIVERS, {"kind": "CSIDriver", "metadata": {"name": DRIVER}, "spec": about})
    csi = {"driver": DRIVER, "volumeHandle": handle, "fsType": "ext4", "volumeAttributes": {"colour": "red"}}
    volume = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "csi": csi, "mountOptions": ["noatime"]}
    if block:
        volume["volumeMode"] = "Block"
    client.seed(PERSISTENT_VOLUMES, {"kind": "PersistentVolume", "metadata": {"name": name}, "spec": volume})
    status = {"phase": "Bound", "capacity": {"storage": "1Gi"}}
    client.seed(
        PERSISTENT_VOLUME_CLAIMS,
        {"kind": "PersistentVolumeClaim", "metadata": {"name": claim, "namespace": "default"}, "spec": {"volumeName": name}, "status": status},
    )


def pod(name="p", claim="c1", **spec):
    mount = {"name": "data", "mountPath": "/data"}
    return bound_pod(
        name,
        containers=[container("c", volumeMounts=[mount])],
        volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": claim}}],
        terminationGracePeriodSeconds=1,
        **spec,
    )


@asynccontextmanager
async def node(short_path, driver, **options):
    async with running_kubelet(short_path, **options) as bench, driver.running(short_path / "kubelet"):
        yield bench


def methods(driver):
    return [one for one, _ in driver.calls if one not in ("NodeGetInfo", "NodeGetCapabilities")]


async def test_a_driver_makes_itself_known(short_path, client, driver):
    async with node(short_path, driver, client=client) as bench:
        await bench.until(lambda: driver.told == [{"plugin_registered": True, "error": ""}])
        (found,) = (await client.get(CSI_NODES, NODE))["spec"]["drivers"]
        assert found == {"name": DRIVER, "nodeID": "id-1", "topologyKeys": ["example.com/place"], "allocatable": {"count": 7}}
        metadata = (await client.get(NODES, NODE))["metadata"]
        assert json.loads(metadata["annotations"]["csi.volume.kubernetes.io/nodeid"]) == {DRIVER: "id-1"}
        assert metadata["labels"]["example.com/place"] == "a"


async def test_a_driver_that_goes_is_told_of_no_more(short_path, client, driver):
    async with running_kubelet(short_path, client=client) as bench:
        async with driver.running(short_path / "kubelet"):
            await bench.until(lambda: driver.told)
        await bench.until(lambda: any(not one["spec"]["drivers"] for one in client.objects(CSI_NODES)))


async def test_a_volume_is_staged_published_and_taken_down(short_path, client, driver):
    seed(client)
    async with node(short_path, driver, client=client) as bench:
        client.seed(PODS, pod())
        await bench.until(lambda: bench.condition("Ready") == "True")
        assert methods(driver) == ["NodeStageVolume", "NodePublishVolume"]
        (stage,), (publish,) = driver.of("NodeStageVolume"), driver.of("NodePublishVolume")
        assert stage["staging_target_path"] == publish["staging_target_path"]
        mount = {"fs_type": "ext4", "mount_flags": ["noatime"], "volume_mount_group": ""}
        assert publish["volume_capability"] == {"mount": mount, "access_mode": {"mode": "SINGLE_NODE_WRITER"}}
        assert publish["volume_context"] == {"colour": "red"}
        folder = short_path / "kubelet/pods/uid-p/volumes/kubernetes.io~csi/v1"
        assert publish["target_path"] == str(folder / "mount")
        data = json.loads((folder / "vol_data.json").read_text())
        assert data["volumeHandle"] == "h1"
        assert data["attachmentID"] == attachment_name(DRIVER, "h1", NODE)
        await client.delete(PODS, "p", namespace="default")
        await bench.until(lambda: bench.pod() is None)
        assert methods(driver)[2:] == ["NodeUnpublishVolume", "NodeUnstageVolume"]
        assert not list((short_path / "kubelet/plugins/kubernetes.io").rglob("vol_data.json"))


async def test_two_pods_share_what_is_staged(short_path, client, driver):
    seed(client)
    async with node(short_path, driver, client=client) as bench:
        for name in ("p", "q"):
            client.seed(PODS, pod(name))
        await bench.until(lambda: bench.condition("Ready") == bench.condition("Ready", "q") == "True")
        await client.delete(PODS, "p", namespace="default")
        await bench.until(lambda: bench.pod() is None)
        assert not driver.of("NodeUnstageVolume")
        await client.delete(PODS, "q", namespace="default")
        await bench.until(lambda: bench.pod("q") is None)
        assert methods(driver)[-2:] == ["NodeUnpublishVolume", "NodeUnstageVolume"]


async def test_a_pod_waits_until_its_volume_is_attached(short_path, client, driver):
    seed(client, attach=True)
    async with node(short_path, driver, client=client) as bench:
        client.seed(PODS, pod())

        def in_use():
            found = client.objects(NODES)
            return found and found[0]["status"].get("volumesInUse") == [NAME]

        await bench.until(in_use)
        assert not methods(driver)
        status = {"attached": True, "attachmentMetadata": {"devicePath": "/dev/x"}}
        client.seed(VOLUME_ATTACHMENTS, {"kind": "VolumeAttachment", "metadata": {"name": attachment_name(DRIVER, "h1", NODE)}, "status": status})
        attached = {"status": {"volumesAttached": [{"name": NAME, "devicePath": ""}]}}
        await client.patch(NODES, NODE, attached, subresource="status")
        await bench.until(lambda: bench.condition("Ready") == "True")
        assert driver.of("NodeStageVolume")[0]["publish_context"] == {"devicePath": "/dev/x"}
        await client.delete(PODS, "p", namespace="default")
        await bench.until(lambda: bench.pod() is None and not client.objects(NODES)[0]["status"].get("volumesInUse"))


async def test_a_pod_that_goes_while_it_waits_leaves_nothing_in_use(short_path, client, driver):
    seed(client, attach=True)
    async with node(short_path, driver, client=client) as bench:
        client.seed(PODS, pod())
        await bench.until(lambda: client.objects(NODES) and client.objects(NODES)[0]["status"].get("volumesInUse"))
        await client.delete(PODS, "p", namespace="default")
        await bench.until(lambda: bench.pod() is None and not client.objects(NODES)[0]["status"].get("volumesInUse"))
        assert methods(driver) == []


async def test_what_was_perhaps_staged_is_unstaged(short_path, client, driver):
    seed(client)
    driver.fail["NodeStageVolume"] = ["DEADLINE_EXCEEDED"] * 100
    async with node(short_path, driver, client=client) as bench:
        client.seed(PODS, pod())
        await bench.until(lambda: "NodeStageVolume" in methods(driver))
        await client.delete(PODS, "p", namespace="default")
        await bench.until(lambda: bench.pod() is None)
        assert methods(driver)[-1] == "NodeUnstageVolume"
        assert "NodeUnpublishVolume" not in methods(driver)
        assert not list((short_path / "kubelet/plugins/kubernetes.io").rglob("vol_data.json"))


async def test_a_driver_that_fails_is_asked_again(short_path, client, driver):
    seed(client)
    driver.fail["NodePublishVolume"] = ["INTERNAL"]
    async with node(short_path, driver, client=client) as bench:
        client.seed(PODS, pod())
        await bench.until(lambda: bench.condition("Ready") == "True")
        told = [message for reason, message in bench.events.told if reason == "FailedMount" and "rpc error" in message]
        assert told == ['MountVolume.SetUp failed for volume "data" : rpc error: code = INTERNAL desc = NodePublishVolume is told to fail']


async def test_a_kubelet_that_begins_again_takes_down_what_the_last_one_set_up(short_path, client, driver):
    seed(client)
    async with FakeRuntime() as runtime:
        async with node(short_path, driver, client=client, runtime=runtime) as bench:
            client.seed(PODS, pod())
            await bench.until(lambda: bench.condition("Ready") == "True")
        driver.calls.clear()
        client.remove(PODS, "p", "default")
        async with node(short_path, driver, client=client, runtime=runtime) as bench:
            await bench.until(lambda: "NodeUnstageVolume" in methods(driver))
            await bench.until(lambda: not (short_path / "kubelet/pods/uid-p").exists())


async def test_what_pods_left_whose_sandbox_is_gone_too_is_taken_down_once_the_driver_is_there(short_path, client, driver):
    seed(client)
    async with node(short_path, driver, client=client) as bench:
        client.seed(PODS, pod())
        await bench.until(lambda: bench.condition("Ready") == "True")
    driver.calls.clear()
    client.remove(PODS, "p", "default")
    async with running_kubelet(short_path, client=client) as bench:
        await bench.until(lambda: bench.condition("Ready") == "")
        assert (short_path / "kubelet/pods/uid-p").exists()
        async with driver.running(short_path / "kubelet"):
            await bench.until(lambda: not (short_path / "kubelet/pods/uid-p").exists())
            await bench.until(lambda: methods(driver) == ["NodeUnpublishVolume", "NodeUnstageVolume"])


async def test_an_inline_volume_tells_of_its_pod(short_path, client, driver):
    about = {"attachRequired": False, "podInfoOnMount": True, "volumeLifecycleModes": ["Ephemeral"]}
    client.seed(CSI_DRIVERS, {"kind": "CSIDriver", "metadata": {"name": DRIVER}, "spec": about})
    client.seed(SECRETS, {"kind": "Secret", "metadata": {"name": "s", "namespace": "default"}, "data": {"word": "c2VzYW1l"}})
    volume = {"name": "data", "csi": {"driver": DRIVER, "volumeAttributes": {"a": "b"}, "nodePublishSecretRef": {"name": "s"}}}
    async with node(short_path, driver, client=client) as bench:
        client.seed(PODS, bound_pod(containers=[container("c", volumeMounts=[{"name": "data", "mountPath": "/d"}])], volumes=[volume]))
        await bench.until(lambda: bench.condition("Ready") == "True")
        assert methods(driver) == ["NodePublishVolume"]
        (publish,) = driver.of("NodePublishVolume")
        assert publish["secrets"] == {"word": "sesame"}
        assert publish["volume_context"] == {
            "a": "b",
            "csi.storage.k8s.io/pod.name": "p",
            "csi.storage.k8s.io/pod.namespace": "default",
            "csi.storage.k8s.io/pod.uid": "uid-p",
            "csi.storage.k8s.io/serviceAccount.name": "",
            "csi.storage.k8s.io/ephemeral": "true",
        }


async def test_an_inline_volume_of_a_driver_that_has_none_is_refused(short_path, client, driver):
    seed(client)
    volume = {"name": "data", "csi": {"driver": DRIVER}}
    async with node(short_path, driver, client=client) as bench:
        client.seed(PODS, bound_pod(volumes=[volume]))
        await bench.until(lambda: any('"Ephemeral" not supported' in message for _, message in bench.events.told))


async def test_a_driver_gets_a_token_of_the_pods_account(short_path, client, driver):
    seed(client, tokenRequests=[{"audience": "vault", "expirationSeconds": 3600}])
    client.seed(SERVICE_ACCOUNTS, {"kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "default"}})
    async with node(short_path, driver, client=client) as bench:
        client.seed(PODS, pod())
        await bench.until(lambda: bench.condition("Ready") == "True")
        tokens = json.loads(driver.of("NodePublishVolume")[0]["volume_context"]["csi.storage.k8s.io/serviceAccount.tokens"])
        assert tokens["vault"]["token"]
        assert tokens["vault"]["expirationTimestamp"].endswith("Z")


async def test_a_volume_that_grew_is_grown_on_the_node(short_path, client, driver):
    seed(client)
    async with node(short_path, driver, client=client) as bench:
        client.seed(PODS, pod())
        await bench.until(lambda: bench.condition("Ready") == "True")
        bigger = {"spec": {"capacity": {"storage": "2Gi"}}}
        await client.patch(PERSISTENT_VOLUMES, "v1", bigger)
        pending = {"status": {"conditions": [{"type": "FileSystemResizePending", "status": "True"}]}}
        await client.patch(PERSISTENT_VOLUME_CLAIMS, "c1", pending, namespace="default", subresource="status")

        def grown():
            status = client.objects(PERSISTENT_VOLUME_CLAIMS)[0]["status"]
            return status["capacity"] == {"storage": "2Gi"} and not status.get("conditions")

        await bench.until(grown)
        (request,) = driver.of("NodeExpandVolume")
        assert request["capacity_range"]["required_bytes"] == 2 << 30
        assert bench.events.reasons.count("FileSystemResizeSuccessful") == 2


async def test_a_volume_that_cannot_grow_is_told_and_the_pod_goes_on(short_path, client, driver):
    seed(client)
    async with node(short_path, driver, client=client) as bench:
        client.seed(PODS, pod())
        await bench.until(lambda: bench.condition("Ready") == "True")
        driver.fail["NodeExpandVolume"] = ["INTERNAL"]
        await client.patch(PERSISTENT_VOLUMES, "v1", {"spec": {"capacity": {"storage": "2Gi"}}})
        bench.kubelet.pods.wake("uid-p")
        await bench.until(lambda: "VolumeResizeFailed" in bench.events.reasons)
        await bench.until(lambda: len(driver.of("NodeExpandVolume")) == 2)
        assert bench.condition("Ready") == "True"


async def test_a_device_goes_to_the_container_as_a_device(short_path, client, driver):
    seed(client, block=True)
    device = {"name": "data", "devicePath": "/dev/data"}
    block = bound_pod(
        containers=[container("c", volumeDevices=[device])],
        volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "c1"}}],
    )
    async with node(short_path, driver, client=client) as bench:
        client.seed(PODS, block)
        await bench.until(lambda: bench.condition("Ready") == "True")
        (publish,) = driver.of("NodePublishVolume")
        assert publish["volume_capability"] == {"block": {}, "access_mode": {"mode": "SINGLE_NODE_WRITER"}}
        (one,) = bench.runtime.containers.values()
        assert one.config["devices"] == [{"container_path": "/dev/data", "host_path": publish["target_path"], "permissions": "mrw"}]
        await client.delete(PODS, "p", namespace="default")
        await bench.until(lambda: bench.pod() is None)
        assert methods(driver)[-2:] == ["NodeUnpublishVolume", "NodeUnstageVolume"]
        assert not list((short_path / "kubelet/plugins/kubernetes.io").rglob("vol_data.json"))


async def test_files_belong_to_the_pods_group(short_path, client, driver):
    seed(client)
    async with node(short_path, driver, client=client) as bench:
        client.seed(PODS, pod(securityContext={"fsGroup": 1234}))
        await bench.until(lambda: bench.condition("Ready") == "True")
        target = short_path / "kubelet/pods/uid-p/volumes/kubernetes.io~csi/v1/mount"
        assert target.stat().st_gid == (target / "volume").stat().st_gid == 1234
        assert target.stat().st_mode & 0o2770 == 0o2770


async def test_a_driver_that_wants_it_publishes_again(short_path, client, driver):
    seed(client, requiresRepublish=True)
    async with node(short_path, driver, client=client) as bench:
        client.seed(PODS, pod())
        await bench.until(lambda: bench.condition("Ready") == "True")
        bench.kubelet.pods.wake("uid-p")
        await bench.until(lambda: len(driver.of("NodePublishVolume")) == 2)
