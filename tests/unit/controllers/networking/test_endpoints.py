"""Endpoints of Services, and mirrors of hand-written ones (api-machinery §7.2)."""

import pytest

from k3py.api.resource import ENDPOINT_SLICES, ENDPOINTS, PODS, SERVICES
from k3py.controllers.networking import endpoint_slice_mirroring, endpoints
from k3py.controllers.networking.endpoint_slice_mirroring import is_mirrored, plan_mirrors
from k3py.controllers.networking.endpoints import plan_subsets, truncate
from tests.support.controllers import World
from tests.support.objects import pod


def service(selector=None, **spec):
    ports = [{"port": 80, "targetPort": 8080, "protocol": "TCP"}]
    return {
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": {
            "name": "s",
            "namespace": "default",
            "uid": "s",
            "labels": {"own": "l"},
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {
            "clusterIP": "10.43.0.9",
            "ports": ports,
            **({"selector": selector} if selector else {}),
            **spec,
        },
    }


def backend(name, ip, **more):
    one = pod(name, node="n", labels={"app": "a"}, **{"ready": True, **more})
    one["status"]["podIPs"] = [{"ip": ip}]
    return one


def manual(**subset):
    return {
        "kind": "Endpoints",
        "apiVersion": "v1",
        "metadata": {"name": "s", "namespace": "default", "uid": "e"},
        "subsets": [{"ports": [{"name": "web", "port": 80, "protocol": "TCP"}], **subset}],
    }


@pytest.fixture
def world():
    return World()


def _subsets(world):
    found = world.client.objects(ENDPOINTS)
    return found[0]["subsets"] if found else None


async def test_addresses_follow_readiness_and_the_service_takes_them_along(world):
    world.client.seed(SERVICES, service({"app": "a"}))
    world.client.seed(PODS, backend("p", "10.1.0.1"))
    world.client.seed(PODS, backend("q", "10.1.0.2", ready=False))
    async with world.running(endpoints.build):
        await world.until(lambda: _subsets(world))
        subset = _subsets(world)[0]
        assert [one["ip"] for one in subset["addresses"]] == ["10.1.0.1"]
        assert [one["ip"] for one in subset["notReadyAddresses"]] == ["10.1.0.2"]
        assert subset["ports"] == [{"port": 8080, "protocol": "TCP"}]
        world.client.seed(PODS, backend("q", "10.1.0.2"))
        await world.until(lambda: len(_subsets(world)[0]["addresses"]) == 2)
        await world.client.delete(SERVICES, "s", namespace="default")
        await world.until(lambda: not world.client.objects(ENDPOINTS))


async def test_hand_written_endpoints_are_left_alone(world):
    world.client.seed(ENDPOINTS, manual(addresses=[{"ip": "192.0.2.1"}]))
    world.client.seed(SERVICES, service())
    async with world.running(endpoints.build):
        await endpoints.build(world.context).reconcile("default/s")
    assert _subsets(world)[0]["addresses"] == [{"ip": "192.0.2.1"}]


def test_ended_and_leaving_pods_have_no_address_unless_unready_ones_are_published():
    pods = [backend("a", "10.1.0.1", phase="Succeeded"), backend("b", "10.1.0.2", deleting=True)]
    assert plan_subsets(service({"app": "a"}), pods) == []
    published = plan_subsets(service({"app": "a"}, publishNotReadyAddresses=True), pods)
    assert [one["ip"] for one in published[0]["addresses"]] == ["10.1.0.2"]


def test_a_headless_service_without_ports_has_addresses_only():
    found = plan_subsets(service({"app": "a"}, clusterIP="None", ports=[]), [backend("a", "10.1.0.1")])
    assert [set(one) for one in found] == [{"addresses"}]


def test_named_ports_group_pods_by_their_numbers():
    one, other = backend("a", "10.1.0.1"), backend("b", "10.1.0.2")
    for number, each in ((1, one), (2, other)):
        each["spec"]["containers"][0]["ports"] = [{"name": "web", "containerPort": number}]
    named = service({"app": "a"}, ports=[{"port": 80, "targetPort": "web", "protocol": "TCP"}])
    assert [one["ports"][0]["port"] for one in plan_subsets(named, [one, other])] == [1, 2]


def test_too_many_addresses_are_cut_the_unready_ones_first():
    many = [{"ip": str(number)} for number in range(999)]
    kept, cut = truncate([{"addresses": many, "notReadyAddresses": many, "ports": [1]}])
    assert (len(kept[0]["addresses"]), len(kept[0]["notReadyAddresses"]), cut) == (999, 1, True)
    assert truncate([{"addresses": many}]) == ([{"addresses": many}], False)


async def test_hand_written_endpoints_are_mirrored_and_the_mirror_follows(world):
    world.client.seed(SERVICES, service())
    world.client.seed(
        ENDPOINTS, manual(addresses=[{"ip": "192.0.2.1"}], notReadyAddresses=[{"ip": "2001:db8::1"}])
    )
    async with world.running(endpoint_slice_mirroring.build):
        await world.until(lambda: len(world.client.objects(ENDPOINT_SLICES)) == 2)
        by_family = {one["addressType"]: one for one in world.client.objects(ENDPOINT_SLICES)}
        assert by_family["IPv6"]["endpoints"] == [
            {"addresses": ["2001:db8::1"], "conditions": {"ready": False}}
        ]
        assert by_family["IPv4"]["metadata"]["ownerReferences"][0]["kind"] == "Endpoints"
        world.client.seed(ENDPOINTS, manual(addresses=[{"ip": "192.0.2.2"}]))
        await world.until(lambda: [_addresses(one) for one in _mirrors(world)] == [["192.0.2.2"]])
        await world.client.delete(ENDPOINTS, "s", namespace="default")
        await world.until(lambda: not _mirrors(world))


def _mirrors(world):
    return world.client.objects(ENDPOINT_SLICES)


def _addresses(one):
    return [address for endpoint in one["endpoints"] for address in endpoint["addresses"]]


def test_what_is_not_to_be_mirrored():
    skipped = manual()
    skipped["metadata"]["labels"] = {"endpointslice.kubernetes.io/skip-mirror": "true"}
    leader = manual()
    leader["metadata"]["annotations"] = {"control-plane.alpha.kubernetes.io/leader": "{}"}
    assert [is_mirrored(one) for one in (manual(), skipped, leader)] == [True, False, False]


def test_bad_and_too_many_addresses_are_left_out():
    many = [{"ip": f"10.0.{number // 250}.{number % 250}"} for number in range(1001)]
    slices, left_out, wrong = plan_mirrors(manual(addresses=[{"ip": "nonsense"}, *many]))
    assert (len(slices[0]["endpoints"]), left_out, wrong) == (999, 2, ["nonsense"])
