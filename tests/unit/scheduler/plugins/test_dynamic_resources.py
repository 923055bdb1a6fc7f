"""Claims of devices: waited for, allocated with the node, written before the pod is bound."""

import pytest

from k3py.api.resource import RESOURCE_CLAIMS
from k3py.scheduler.interface import ClusterEvent
from k3py.scheduler.node_info import PodInfo
from k3py.scheduler.watched import WATCHED
from tests.support.objects import node, pod
from tests.support.scheduling import Cluster

DRIVER = "d.example.com"


def claiming(claim="c", name="p", **arguments):
    return pod(name, spec={"resourceClaims": [{"name": "d", "resourceClaimName": claim}]}, **arguments)


def claim(name="c", **status):
    request = {"name": "r", "exactly": {"deviceClassName": "any", "allocationMode": "ExactCount", "count": 1}}
    return {
        "kind": "ResourceClaim",
        "apiVersion": "resource.k8s.io/v1",
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}"},
        "spec": {"devices": {"requests": [request]}},
        "status": status,
    }


@pytest.fixture
def cluster():
    one = Cluster(node("a"), node("b"))
    for kind, name, spec in (
        ("deviceclasses", "any", {}),
        (
            "resourceslices",
            "s",
            {
                "driver": DRIVER,
                "nodeName": "b",
                "pool": {"name": "b", "generation": 1, "resourceSliceCount": 1},
                "devices": [{"name": "d0"}],
            },
        ),
    ):
        resource = WATCHED[kind]
        head = {"kind": resource.kind, "apiVersion": resource.api_version}
        one.client.seed(resource, {**head, "metadata": {"name": name}, "spec": spec})
    return one


def plugin_of(cluster):
    return next(one for one in cluster.framework.profile.filter if one.NAME == "DynamicResources")


def test_a_pod_waits_for_its_claim_before_it_is_queued(cluster):
    plugin = plugin_of(cluster)
    assert plugin.pre_enqueue(claiming()).reason == 'resourceclaim "c" not found'
    cluster.client.seed(RESOURCE_CLAIMS, claim())
    assert plugin.pre_enqueue(claiming()) is None
    by_template = pod("p", spec={"resourceClaims": [{"name": "d", "resourceClaimTemplateName": "t"}]})
    assert plugin.pre_enqueue(by_template) is not None
    by_template["status"]["resourceClaimStatuses"] = [{"name": "d", "resourceClaimName": "c"}]
    assert plugin.pre_enqueue(by_template) is None


async def test_the_device_is_reserved_then_written(cluster):
    cluster.client.seed(RESOURCE_CLAIMS, claim())
    cluster.client.seed(RESOURCE_CLAIMS, claim("other"))
    outcome = cluster.schedule(claiming())
    assert outcome.node_name == "b"
    plugin, info = plugin_of(cluster), PodInfo(claiming())
    held = plugin.reserve(outcome.prepared[plugin.NAME], info, cluster.cache.find("b"))
    refused = cluster.schedule(claiming("other", "q")).diagnosis
    assert refused.message() == "0/2 nodes are available: 2 cannot allocate all claims."
    await held.commit()
    written = next(one for one in cluster.client.objects(RESOURCE_CLAIMS) if one["metadata"]["name"] == "c")
    assert written["metadata"]["finalizers"] == ["resource.kubernetes.io/delete-protection"]
    assert written["status"]["reservedFor"] == [{"resource": "pods", "name": "p", "uid": "uid-p"}]
    assert written["status"]["allocation"]["devices"]["results"][0]["device"] == "d0"
    assert plugin.assumed == {}
    assert cluster.fitting(claiming("c", "second")) == {"b"}  # claims can be shared


def test_what_is_not_bound_is_given_back(cluster):
    cluster.client.seed(RESOURCE_CLAIMS, claim())
    outcome, plugin = cluster.schedule(claiming()), plugin_of(cluster)
    held = plugin.reserve(outcome.prepared[plugin.NAME], PodInfo(claiming()), cluster.cache.find("b"))
    held.undo()
    assert plugin.taken() == set()


def test_hints(cluster):
    plugin, had = plugin_of(cluster), {"allocation": {"devices": {}}}
    freed = ClusterEvent(resource="resourceclaims", kind="update", old=claim("x", **had), new=claim("x"))
    unrelated = ClusterEvent(resource="resourceclaims", kind="update", old=claim("x"), new=claim("x", **had))
    own = ClusterEvent(resource="resourceclaims", kind="update", old=claim(), new=claim(**had))
    assert [plugin.may_help(claiming(), one) for one in (freed, unrelated, own)] == [True, False, True]
