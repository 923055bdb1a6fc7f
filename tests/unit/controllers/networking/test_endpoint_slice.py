"""EndpointSlices say which pods answer for a service (api-machinery §7.2)."""

from k3py.api.resource import ENDPOINT_SLICES, NODES, PODS, SERVICES
from k3py.controllers.networking import endpoint_slice
from tests.support.controllers import World
from tests.support.objects import node, pod

SERVICE = {
    "metadata": {"name": "s", "namespace": "default", "uid": "uid-s"},
    "spec": {
        "selector": {"app": "s"},
        "ipFamilies": ["IPv4"],
        "ports": [{"name": "web", "port": 80, "targetPort": "http", "protocol": "TCP"}],
    },
}


def backend(name, ip, *, ready=True, on="n"):
    one = pod(name, node=on, ready=ready, labels={"app": "s"})
    one["spec"]["containers"][0]["ports"] = [{"name": "http", "containerPort": 8080}]
    one["status"]["podIPs"] = [{"ip": ip}]
    return one


def slices(world):
    return world.client.objects(ENDPOINT_SLICES)


async def test_ready_pods_appear_with_their_named_port_and_go_again():
    world = World()
    world.client.seed(NODES, node("n"))
    world.client.seed(SERVICES, SERVICE)
    world.client.seed(PODS, backend("a", "10.42.0.2"))
    world.client.seed(PODS, backend("b", "10.42.0.3", ready=False))
    async with world.running(endpoint_slice.build):
        await world.until(lambda: slices(world))
        (one,) = slices(world)
        assert one["ports"] == [{"name": "web", "protocol": "TCP", "port": 8080}]
        assert [(e["addresses"], e["conditions"]["ready"]) for e in one["endpoints"]] == [
            (["10.42.0.2"], True),
            (["10.42.0.3"], False),
        ]
        assert one["metadata"]["labels"]["kubernetes.io/service-name"] == "s"
        await world.client.delete(PODS, "a", namespace="default")
        await world.until(lambda: len(slices(world)[0]["endpoints"]) == 1)


async def test_a_service_without_pods_has_one_empty_slice():
    world = World()
    world.client.seed(SERVICES, SERVICE)
    async with world.running(endpoint_slice.build):
        await world.until(lambda: slices(world))
    assert (slices(world)[0]["endpoints"], slices(world)[0]["ports"]) == (None, None)


async def test_pods_on_an_unknown_node_wait_for_it():
    world = World()
    world.client.seed(SERVICES, SERVICE)
    world.client.seed(PODS, backend("a", "10.42.0.2", on="later"))
    async with world.running(endpoint_slice.build):
        await world.until(lambda: slices(world))
        assert slices(world)[0]["endpoints"] is None
        world.client.seed(NODES, node("later"))
        await world.until(lambda: slices(world)[0]["endpoints"])


async def test_what_is_right_is_not_written_again():
    world = World()
    world.client.seed(NODES, node("n"))
    world.client.seed(SERVICES, SERVICE)
    world.client.seed(PODS, backend("a", "10.42.0.2"))
    controller = endpoint_slice.build(world.context)
    await controller.reconcile("default/s")
    before = slices(world)[0]["metadata"]["resourceVersion"]
    await controller.reconcile("default/s")
    assert slices(world)[0]["metadata"]["resourceVersion"] == before
