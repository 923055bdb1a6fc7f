"""The Service kube-dns leads to every node."""

from k3py.api.resource import ENDPOINT_SLICES, NODES, SERVICES
from k3py.controllers.networking import cluster_dns
from tests.support.controllers import World
from tests.support.objects import node


def addresses(world):
    found = world.client.objects(ENDPOINT_SLICES)
    return [(one["nodeName"], one["addresses"][0]) for one in found[0]["endpoints"]] if found else None


async def test_each_node_with_a_range_is_an_endpoint():
    world = World()
    world.client.seed(NODES, node("a", podCIDR="10.42.0.0/24"))
    world.client.seed(NODES, node("young"))
    world.client.seed(SERVICES, {"metadata": {"name": "kube-dns", "namespace": "kube-system"}, "spec": {}})
    async with world.running(cluster_dns.build):
        await world.until(lambda: addresses(world) == [("a", "10.42.0.1")])
        world.client.seed(NODES, node("b", podCIDR="10.42.1.0/24"))
        await world.until(lambda: addresses(world) == [("a", "10.42.0.1"), ("b", "10.42.1.1")])
        await world.client.delete(NODES, "a")
        await world.until(lambda: addresses(world) == [("b", "10.42.1.1")])


async def test_a_dns_service_with_a_selector_is_somebody_elses():
    world = World()
    world.client.seed(NODES, node("a", podCIDR="10.42.0.0/24"))
    service = {
        "metadata": {"name": "kube-dns", "namespace": "kube-system"},
        "spec": {"selector": {"k8s-app": "x"}},
    }
    world.client.seed(SERVICES, service)
    await cluster_dns.build(world.context).reconcile("cluster-dns")
    assert addresses(world) is None
