"""ServiceCIDRs: ready when new, kept while they are needed (api-machinery.md on ServiceCIDR)."""

import pytest

from k3py.api.resource import IP_ADDRESSES, SERVICE_CIDRS
from k3py.controllers.networking import service_cidr
from k3py.controllers.networking.service_cidr import FINALIZER, is_needed, readiness_of
from tests.support.controllers import World


def cidr(name="a", *cidrs, **metadata):
    document = {"kind": "ServiceCIDR", "apiVersion": "networking.k8s.io/v1", "metadata": {"name": name, **metadata}}
    return {**document, "spec": {"cidrs": list(cidrs) or ["10.200.0.0/24"]}, "status": {}}


def going(name="a", *cidrs, since="2026-01-01T00:00:00Z"):
    return cidr(name, *cidrs, deletionTimestamp=since, finalizers=[FINALIZER])


@pytest.fixture
def world():
    return World()


def find(world, name="a"):
    return next((one for one in world.client.objects(SERVICE_CIDRS) if one["metadata"]["name"] == name), None)


async def test_a_new_one_gets_its_finalizer_and_becomes_ready(world):
    world.client.seed(SERVICE_CIDRS, cidr())
    async with world.running(service_cidr.build):
        await world.until(lambda: find(world)["metadata"].get("finalizers") == [FINALIZER])
        await world.until(lambda: readiness_of(find(world)) == "True")


async def test_one_that_lends_addresses_stays_until_they_are_back(world):
    world.client.seed(IP_ADDRESSES, {"kind": "IPAddress", "metadata": {"name": "10.200.0.9"}, "spec": {}})
    world.client.seed(SERVICE_CIDRS, going())
    async with world.running(service_cidr.build):
        await world.until(lambda: readiness_of(find(world)) == "False")
        assert find(world)["metadata"]["finalizers"] == [FINALIZER]
        await world.client.delete(IP_ADDRESSES, "10.200.0.9")
        await world.until(lambda: find(world) is None or not find(world)["metadata"].get("finalizers"))


async def test_others_are_given_time_to_notice(world):
    world.client.seed(SERVICE_CIDRS, going(since="2999-01-01T00:00:00Z"))
    async with world.running(service_cidr.build):
        await world.settle()
        assert find(world)["metadata"]["finalizers"] == [FINALIZER]


@pytest.mark.parametrize(
    ("addresses", "others", "needed"),
    [
        ([], [], False),
        (["10.200.1.1"], [], False),
        (["10.200.0.1"], [], True),
        (["10.200.0.1"], [cidr("b", "10.200.0.0/16")], False),
        (["10.200.0.200"], [cidr("b", "10.200.0.0/25")], True),
        (["10.200.0.1"], [going("b", "10.200.0.0/16")], True),
        (["fd00::1"], [], False),
    ],
)
def test_needed_is_what_nobody_else_covers(addresses, others, needed):
    assert is_needed("a", [going(), *others], addresses) is needed
