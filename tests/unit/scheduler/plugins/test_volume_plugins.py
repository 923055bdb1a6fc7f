"""Volumes bind pods to nodes: bound ones, chosen ones, zones, limits, single users (api-machinery §6.2)."""

import asyncio

import pytest

from k3py.api.object import deep_copy
from k3py.api.resource import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES
from k3py.scheduler.interface import BindingRefusedError
from k3py.scheduler.node_info import PodInfo
from k3py.scheduler.plugins.volume_binding import VolumeBinding
from k3py.scheduler.watched import WATCHED
from tests.support.objects import node, pod
from tests.support.scheduling import Cluster

BOUND = {"pv.kubernetes.io/bind-completed": "yes"}


def using(*claims, name="p", **arguments):
    volumes = [{"name": one, "persistentVolumeClaim": {"claimName": one}} for one in claims]
    return pod(name, spec={"volumes": volumes}, **arguments)


def claim(name="c", volume="", size="1Gi", modes=("ReadWriteOnce",), cls="late"):
    return {
        "kind": "PersistentVolumeClaim",
        "apiVersion": "v1",
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"uid-{name}",
            "annotations": BOUND if volume else {},
        },
        "spec": {
            "accessModes": list(modes),
            "resources": {"requests": {"storage": size}},
            "storageClassName": cls,
            **({"volumeName": volume} if volume else {}),
        },
        "status": {"phase": "Bound" if volume else "Pending"},
    }


def volume(name="v", size="1Gi", on="", labels=None, **spec):
    base = {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "storageClassName": "late"}
    if on:
        expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [on]}
        base["nodeAffinity"] = {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}
    return {
        "kind": "PersistentVolume",
        "apiVersion": "v1",
        "metadata": {"name": name, "uid": f"uid-{name}", "labels": labels or {}},
        "spec": {**base, **spec},
        "status": {"phase": "Available"},
    }


def storage_class(provisioner="kubernetes.io/no-provisioner", **more):
    return {
        "kind": "StorageClass",
        "apiVersion": "storage.k8s.io/v1",
        "metadata": {"name": "late"},
        "provisioner": provisioner,
        "volumeBindingMode": "WaitForFirstConsumer",
        **more,
    }


@pytest.fixture
def cluster():
    one = Cluster(node("a"), node("b"))
    one.client.seed(STORAGE_CLASSES, storage_class())
    return one


def refusal(cluster, one):
    return cluster.schedule(one).diagnosis.message()


def test_what_is_wrong_with_a_claim_is_said_once(cluster):
    assert refusal(cluster, using("c")) == '0/2 nodes are available: persistentvolumeclaim "c" not found.'
    cluster.client.seed(PERSISTENT_VOLUME_CLAIMS, claim(cls=""))
    assert (
        refusal(cluster, using("c"))
        == "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims."
    )


def test_a_bound_volume_decides(cluster):
    cluster.client.seed(PERSISTENT_VOLUMES, volume(on="b"))
    cluster.client.seed(PERSISTENT_VOLUME_CLAIMS, claim(volume="v"))
    assert cluster.fitting(using("c")) == {"b"}


def test_the_smallest_volume_of_the_node_is_chosen_and_kept_from_others(cluster):
    for one in (volume("big", "5Gi", on="a"), volume("small", "2Gi", on="a"), volume("tiny", "1Mi", on="b")):
        cluster.client.seed(PERSISTENT_VOLUMES, one)
    cluster.client.seed(PERSISTENT_VOLUME_CLAIMS, claim())
    plugin = next(one for one in cluster.framework.profile.filter if one.NAME == "VolumeBinding")
    info = PodInfo(using("c"))
    prepared = plugin.prepare(info, cluster.cache)
    assert [prepared.check(one) is None for one in cluster.cache.nodes()] == [True, False]
    assert prepared.choices["a"].bindings[0][1]["metadata"]["name"] == "small"
    held = plugin.reserve(prepared, info, cluster.cache.find("a"))
    again = plugin.prepare(info, cluster.cache)
    again.check(cluster.cache.find("a"))
    assert again.choices["a"].bindings[0][1]["metadata"]["name"] == "big"
    held.undo()
    assert plugin.taken == set()


def test_nothing_to_bind_is_final(cluster):
    cluster.client.seed(PERSISTENT_VOLUME_CLAIMS, claim())
    message = "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind."
    assert refusal(cluster, using("c")) == message


def test_volumes_can_be_made_where_the_class_allows():
    cluster = Cluster(node("a"), node("b"))
    topology = [{"matchLabelExpressions": [{"key": "kubernetes.io/hostname", "values": ["b"]}]}]
    cluster.client.seed(STORAGE_CLASSES, storage_class("x.example.com", allowedTopologies=topology))
    cluster.client.seed(PERSISTENT_VOLUME_CLAIMS, claim())
    assert cluster.fitting(using("c")) == {"b"}


async def test_a_choice_is_written_and_waited_for(cluster):
    cluster.client.seed(PERSISTENT_VOLUMES, volume(on="a"))
    cluster.client.seed(PERSISTENT_VOLUME_CLAIMS, claim())
    plugin = VolumeBinding(cluster.context)
    info = PodInfo(using("c"))
    prepared = plugin.prepare(info, cluster.cache)
    prepared.check(cluster.cache.find("a"))
    held = plugin.reserve(prepared, info, cluster.cache.find("a"))
    committing = asyncio.ensure_future(held.commit())
    while not cluster.client.objects(PERSISTENT_VOLUMES)[0]["spec"].get("claimRef"):
        await asyncio.sleep(0)
    assert not committing.done()
    bound = deep_copy(claim(volume="v"))
    cluster.client.seed(PERSISTENT_VOLUME_CLAIMS, bound)
    await committing
    assert plugin.taken == set()


async def test_a_volume_that_does_not_come_in_time_is_an_error():
    cluster = Cluster(node("a"))
    cluster.client.seed(STORAGE_CLASSES, storage_class("x.example.com"))
    cluster.client.seed(PERSISTENT_VOLUME_CLAIMS, claim())
    plugin = VolumeBinding(cluster.context, timeout_s=0.01)
    info = PodInfo(using("c"))
    prepared = plugin.prepare(info, cluster.cache)
    prepared.check(cluster.cache.find("a"))
    with pytest.raises(BindingRefusedError):
        await plugin.reserve(prepared, info, cluster.cache.find("a")).commit()
    annotations = cluster.client.objects(PERSISTENT_VOLUME_CLAIMS)[0]["metadata"]["annotations"]
    assert annotations == {"volume.kubernetes.io/selected-node": "a"}


def test_a_claim_for_one_pod_is_used_by_one(cluster):
    cluster.client.seed(PERSISTENT_VOLUMES, volume())
    cluster.client.seed(PERSISTENT_VOLUME_CLAIMS, claim(volume="v", modes=("ReadWriteOncePod",)))
    assert cluster.fitting(using("c")) == {"a", "b"}
    cluster.place(using("c", name="first", node="a"))
    assert cluster.fitting(using("c")) == set()


def test_zones_of_volumes_bind_only_where_nodes_have_zones(cluster):
    key = "topology.kubernetes.io/zone"
    cluster.client.seed(PERSISTENT_VOLUMES, volume(labels={key: "x__y"}))
    cluster.client.seed(PERSISTENT_VOLUME_CLAIMS, claim(volume="v"))
    assert cluster.fitting(using("c")) == {"a", "b"}
    for name, zone in (("a", "y"), ("b", "z")):
        one = node(name)
        one["metadata"]["labels"][key] = zone
        cluster.cache.put_node(one)
    assert cluster.fitting(using("c")) == {"a"}


def test_a_node_takes_as_many_volumes_as_its_driver_can(cluster):
    drivers = [{"name": "x.example.com", "nodeID": "a", "topologyKeys": None, "allocatable": {"count": 1}}]
    csi_node = {
        "kind": "CSINode",
        "apiVersion": "storage.k8s.io/v1",
        "metadata": {"name": "a"},
        "spec": {"drivers": drivers},
    }
    cluster.client.seed(WATCHED["csinodes"], csi_node)
    for number in ("1", "2"):
        source = {"driver": "x.example.com", "volumeHandle": number}
        cluster.client.seed(PERSISTENT_VOLUMES, volume(f"v{number}", csi=source))
        cluster.client.seed(PERSISTENT_VOLUME_CLAIMS, claim(f"c{number}", volume=f"v{number}"))
    cluster.place(using("c1", name="first", node="a"))
    assert cluster.fitting(using("c1")) == {"a", "b"}  # the same volume once more
    assert cluster.fitting(using("c2")) == {"b"}
