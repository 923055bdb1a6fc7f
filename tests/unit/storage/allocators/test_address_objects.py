"""Addresses of Services as objects: one holder each, in line with the Services after a start, further ranges lend some."""

from contextlib import asynccontextmanager

import pytest

from k3py.api.kinds.core.service import KIND as SERVICE
from k3py.api.kinds.networking.ip_address import KIND as IP_ADDRESS
from k3py.api.kinds.networking.service_cidr import KIND as SERVICE_CIDR
from k3py.api.status import ApiError
from k3py.datastore.factory import open_backend
from k3py.storage.allocators.address_keeper import AddressKeeper
from k3py.storage.allocators.address_objects import AddressObjects
from k3py.storage.allocators.service import ServiceAllocator
from k3py.storage.factory import open_storage

OURS = {"ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"}


def service(name="web", **spec):
    return {
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"type": "ClusterIP", "ports": [{"port": 80, "protocol": "TCP"}], **spec},
    }


def address(name, *, labels=None, created="2026-01-01T00:00:00Z", owner="gone"):
    metadata = {"name": name, "uid": f"uid-{name}", "creationTimestamp": created, "labels": labels or {}}
    parent = {"resource": "services", "namespace": "default", "name": owner}
    document = {"kind": "IPAddress", "apiVersion": "networking.k8s.io/v1", "metadata": metadata}
    return {**document, "spec": {"parentRef": parent}}


class Cluster:
    def __init__(self, services, addresses, ranges):
        self.services, self.addresses, self.ranges = services, addresses, ranges

    async def allocator(self, cidr="10.43.0.0/29"):
        objects = AddressObjects(self.addresses, self.ranges)
        return await ServiceAllocator.open(self.services, cidrs=[cidr], objects=objects)

    async def names(self):
        return sorted(await AddressObjects(self.addresses, self.ranges).taken())


@pytest.fixture
async def cluster():
    @asynccontextmanager
    async def opened():
        async with open_backend("memory://") as backend, open_storage(backend) as storage:
            yield Cluster(*[await storage.store_for(kind) for kind in (SERVICE, IP_ADDRESS, SERVICE_CIDR)])

    async with opened() as cluster:
        yield cluster


async def create(allocator, obj, *, dry_run=False):
    reservation = await allocator.begin_create(obj, dry_run=dry_run)
    await (reservation.roll_back() if dry_run else reservation.commit())
    return obj["spec"]["clusterIP"]


async def test_an_address_is_an_object_while_its_service_lives(cluster):
    allocator = await cluster.allocator()
    obj = service()
    ip = await create(allocator, obj)
    view = await cluster.addresses.get("", ip)
    assert view.parsed["spec"]["parentRef"] == {"resource": "services", "namespace": "default", "name": "web"}
    assert view.labels == {**OURS, "ipaddress.kubernetes.io/ip-family": "IPv4"}
    await allocator.after_delete(obj)
    assert await cluster.names() == []


async def test_a_write_that_fails_or_is_tried_leaves_no_object(cluster):
    allocator = await cluster.allocator()
    reservation = await allocator.begin_create(service(), dry_run=False)
    assert len(await cluster.names()) == 1
    await reservation.roll_back()
    assert await cluster.names() == []
    await create(allocator, service(), dry_run=True)
    assert await cluster.names() == []


async def test_two_servers_never_give_the_same_address(cluster):
    one, other = await cluster.allocator(), await cluster.allocator()
    given = [await create(each, service(f"s{index}{each is one}")) for index in range(3) for each in (one, other)]
    assert len(set(given)) == len(given) == 6
    with pytest.raises(ApiError, match="range is full"):
        await create(one, service("late"))


async def test_what_somebody_wrote_by_hand_is_taken(cluster):
    allocator = await cluster.allocator()
    await cluster.addresses.create(address("10.43.0.3"))
    with pytest.raises(ApiError, match="already allocated"):
        await create(allocator, service(clusterIP="10.43.0.3"))
    await AddressObjects(cluster.addresses, cluster.ranges).release("10.43.0.3")
    assert await cluster.names() == ["10.43.0.3"]


async def test_a_start_brings_the_objects_in_line(cluster):
    await cluster.services.create(service("kept", clusterIP="10.43.0.2", clusterIPs=["10.43.0.2"]))
    await cluster.addresses.create(address("10.43.0.4", labels=OURS))
    await cluster.addresses.create(address("10.43.0.5"))
    await cluster.addresses.create(address("10.43.0.6", labels=OURS, created="2999-01-01T00:00:00Z"))
    allocator = await cluster.allocator()
    assert await cluster.names() == ["10.43.0.2", "10.43.0.5", "10.43.0.6"]
    given = {await create(allocator, service(f"s{index}")) for index in range(3)}
    assert given == {"10.43.0.1", "10.43.0.3", "10.43.0.4"}


async def test_a_ready_range_lends_when_ours_is_full_or_an_address_of_it_is_asked_for(cluster):
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    for name, cidr, status in (("a", "10.44.0.0/29", ready), ("b", "10.45.0.0/29", {})):
        document = {"kind": "ServiceCIDR", "apiVersion": "networking.k8s.io/v1", "metadata": {"name": name, "uid": name}}
        await cluster.ranges.create({**document, "spec": {"cidrs": [cidr]}, "status": status})
    allocator = await cluster.allocator("10.43.0.0/30")
    assert await create(allocator, service("asked", clusterIP="10.44.0.2")) == "10.44.0.2"
    with pytest.raises(ApiError):
        await create(allocator, service("early", clusterIP="10.45.0.2"))
    given = [await create(allocator, service(f"s{index}")) for index in range(3)]
    assert given[2].startswith("10.44.0.")
    assert given[2] != "10.44.0.2"


async def test_an_address_in_use_comes_back_when_its_object_is_deleted(cluster):
    objects = AddressObjects(cluster.addresses, cluster.ranges)
    keeper = AddressKeeper(cluster.services, objects)
    await cluster.services.create(service(clusterIP="10.43.0.2", clusterIPs=["10.43.0.2"]))
    for one, back in (("10.43.0.2", True), ("10.43.0.3", False)):
        await keeper.after_delete(address(one, owner="web"))
        assert (one in await cluster.names()) is back
    await keeper.after_delete(address("10.43.0.4", owner="gone"))
    assert await cluster.names() == ["10.43.0.2"]
