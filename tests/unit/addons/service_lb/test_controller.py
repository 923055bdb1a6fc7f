"""The status of Services of type LoadBalancer follows services, nodes and endpoints."""

import pytest

from k3py.addons.service_lb.controller import ServiceLoadBalancer
from k3py.api.object import deep_copy
from k3py.api.resource import ENDPOINT_SLICES, NODES, SERVICES
from tests.support.controllers import World


def node(name, address, ready="True"):
    return {
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": {"name": name, "labels": {"node-role.kubernetes.io/control-plane": "true"}},
        "status": {
            "conditions": [{"type": "Ready", "status": ready}],
            "addresses": [{"type": "InternalIP", "address": address}],
        },
    }


def service(name="web", port=80, **spec):
    return {
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"type": "LoadBalancer", "ports": [{"port": port}], "ipFamilies": ["IPv4"], **spec},
        "status": {"loadBalancer": {}},
    }


def endpoints(node_name):
    return {
        "kind": "EndpointSlice",
        "apiVersion": "discovery.k8s.io/v1",
        "metadata": {
            "name": "web-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}
        },
        "endpoints": [{"addresses": ["10.42.0.5"], "nodeName": node_name, "conditions": {"ready": True}}],
    }  # fmt: skip


@pytest.fixture
def world():
    world = World()
    world.client.seed(NODES, node("n1", "10.0.0.1"))
    world.build = lambda context: ServiceLoadBalancer(
        context.client, context.informers, context.recorder, api_port=6443
    )

    def addresses(name="web"):
        found = next(one for one in world.client.objects(SERVICES) if one["metadata"]["name"] == name)
        return [one["ip"] for one in found["status"]["loadBalancer"].get("ingress") or ()]

    world.addresses = addresses
    return world


async def test_nodes_come_and_go(world):
    world.client.seed(SERVICES, service())
    async with world.running(world.build):
        await world.until(lambda: world.addresses() == ["10.0.0.1"])
        await world.client.create(NODES, node("n2", "10.0.0.2"))
        await world.until(lambda: world.addresses() == ["10.0.0.1", "10.0.0.2"])
        ill = deep_copy(await world.client.get(NODES, "n1"))
        ill["status"]["conditions"][0]["status"] = "Unknown"
        await world.client.update(NODES, ill, subresource="status")
        await world.until(lambda: world.addresses() == ["10.0.0.2"])
        await world.client.delete(NODES, "n2")
        await world.until(lambda: world.addresses() == [])
    assert ("UpdatedLoadBalancer", "Updated LoadBalancer with new IPs: [] -> [10.0.0.1]") in world.recorder.events
    assert "UnAvailableLoadBalancer" in world.recorder.reasons()


async def test_endpoints_decide_with_the_local_policy(world):
    world.client.seed(SERVICES, service(externalTrafficPolicy="Local"))
    async with world.running(world.build):
        await world.client.create(ENDPOINT_SLICES, endpoints("n1"), namespace="default")
        await world.until(lambda: world.addresses() == ["10.0.0.1"])
        await world.client.delete(ENDPOINT_SLICES, "web-1", namespace="default")
        await world.until(lambda: world.addresses() == [])


async def test_a_service_that_is_a_balancers_no_more_loses_its_addresses(world):
    world.client.seed(SERVICES, service())
    async with world.running(world.build):
        await world.until(lambda: world.addresses() == ["10.0.0.1"])
        changed = deep_copy(await world.client.get(SERVICES, "web", namespace="default"))
        changed["spec"]["type"] = "ClusterIP"
        await world.client.update(SERVICES, changed)
        await world.until(lambda: world.addresses() == [])


async def test_the_ports_of_the_api_and_the_kubelet_are_not_taken(world):
    world.client.seed(SERVICES, service("api", 6443))
    world.client.seed(SERVICES, service("kubelet", 10250))
    world.client.seed(SERVICES, service("web"))
    async with world.running(world.build):
        await world.until(lambda: world.addresses("web") == ["10.0.0.1"])
    assert world.addresses("api") == world.addresses("kubelet") == []
