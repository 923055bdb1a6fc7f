"""Two servers give node ports and addresses of one cluster: never the same to two Services, and what one gives back the other has again."""

import pytest

from k3py.api.kinds.core.service import KIND as SERVICE
from k3py.api.kinds.networking.ip_address import KIND as IP_ADDRESS
from k3py.api.kinds.networking.service_cidr import KIND as SERVICE_CIDR
from k3py.api.status import ApiError
from k3py.datastore.factory import open_backend
from k3py.storage.allocators import port_claims
from k3py.storage.allocators.address_objects import AddressObjects
from k3py.storage.allocators.port_claims import PortClaims
from k3py.storage.allocators.service import ServiceAllocator
from k3py.storage.factory import open_storage


def service(name, *, port=0, ip="", uid="", namespace="default"):
    spec = {"type": "NodePort", "ports": [{"port": 80, "protocol": "TCP", **({"nodePort": port} if port else {})}]}
    if ip:
        spec["clusterIP"], spec["clusterIPs"] = ip, [ip]
    return {"kind": "Service", "apiVersion": "v1", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


class Pair:
    """Two allocators, as of two servers."""

    def __init__(self, backend, stores):
        self.backend, (self.services, self.addresses, self.ranges) = backend, stores

    async def server(self, ports=(30000, 30003)):
        return await ServiceAllocator.open(
            self.services,
            cidrs=["10.43.0.0/28"],
            node_ports=ports,
            objects=AddressObjects(self.addresses, self.ranges),
            claims=PortClaims(self.backend, self.services),
        )


@pytest.fixture
async def pair():
    async with open_backend("memory://") as backend, open_storage(backend) as storage:
        yield Pair(backend, [await storage.store_for(kind) for kind in (SERVICE, IP_ADDRESS, SERVICE_CIDR)])


async def create(pair, allocator, obj):
    reservation = await allocator.begin_create(obj, dry_run=False)
    await pair.services.create(obj)
    await reservation.commit()
    return obj


def port_of(obj):
    return obj["spec"]["ports"][0]["nodePort"]


async def test_ports_and_addresses_are_given_once(pair):
    one, two = await pair.server(), await pair.server()
    made = [await create(pair, server, service(f"s{n}")) for n, server in enumerate((one, two, one, two))]
    assert len({port_of(obj) for obj in made}) == 4
    assert len({obj["spec"]["clusterIP"] for obj in made}) == 4
    with pytest.raises(ApiError, match="range is full"):
        await create(pair, two, service("more"))


async def test_a_certain_port_or_address_is_refused_if_the_other_server_gave_it(pair):
    one, two = await pair.server(), await pair.server()
    made = await create(pair, one, service("a"))
    with pytest.raises(ApiError, match="provided port is already allocated"):
        await create(pair, two, service("b", port=port_of(made)))
    with pytest.raises(ApiError, match="provided IP is already allocated"):
        await create(pair, two, service("b", ip=made["spec"]["clusterIP"]))
    again = service("a", port=port_of(made), ip=made["spec"]["clusterIP"])
    for server in (one, two):  # of the same name: that is another fault, but must not give back what the first has
        with pytest.raises(ApiError):
            await server.begin_create(again, dry_run=False)
    assert await PortClaims(pair.backend, pair.services).taken() == [port_of(made)]


async def test_what_one_server_gives_back_the_other_has_again(pair):
    one, two = await pair.server(), await pair.server()
    made = [await create(pair, one, service(f"s{n}")) for n in range(4)]
    with pytest.raises(ApiError, match="range is full"):
        await create(pair, two, service("more"))  # and now it has noted all of them
    for obj in made:
        await one.after_delete(obj)
    found = await create(pair, two, service("certain", port=port_of(made[2]), ip=made[2]["spec"]["clusterIP"]))
    assert port_of(found) == port_of(made[2])
    for number in range(3):
        await create(pair, two, service(f"any{number}"))


async def test_a_trial_claims_nothing(pair):
    server = await pair.server()
    reservation = await server.begin_create(service("dry"), dry_run=True)
    await reservation.roll_back()
    assert await PortClaims(pair.backend, pair.services).taken() == []


async def test_services_of_a_time_without_claims_have_theirs_after_the_start(pair):
    await pair.services.create(service("old", port=30002) | {"metadata": {"name": "old", "namespace": "default"}})
    await pair.server()
    assert await PortClaims(pair.backend, pair.services).taken() == [30002]


async def test_a_claim_that_a_dead_server_left_is_free_after_a_minute(pair, monkeypatch):
    now_s = 1000.0
    monkeypatch.setattr(port_claims.clock, "monotonic_s", lambda: now_s)
    claims = PortClaims(pair.backend, pair.services)
    assert await claims.claim(30001, service("never-written"))
    server = await pair.server()
    for later_s, free in ((0.0, False), (30.0, False), (61.0, True)):
        now_s = 1000.0 + later_s
        if free:
            assert port_of(await create(pair, server, service("b", port=30001))) == 30001
        else:
            with pytest.raises(ApiError, match="already allocated"):
                await server.begin_create(service("b", port=30001), dry_run=False)
