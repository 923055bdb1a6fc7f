import pytest

from k3py.api.kind import Kind, StoragePolicy
from k3py.api.object import deep_copy
from k3py.api.status import ApiError
from k3py.datastore.factory import open_backend
from k3py.storage.allocators.ip import AllocationError, IpAllocator, static_ip_band
from k3py.storage.allocators.port import PortAllocator, static_port_band
from k3py.storage.allocators.service import ServiceAllocator
from k3py.storage.factory import open_storage

SERVICE = Kind(version="v1", kind="Service", plural="services", storage=StoragePolicy(prefix="services/specs"))


def service(name="web", **spec):
    return {
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"type": "ClusterIP", "ports": [{"port": 80, "protocol": "TCP"}], **spec},
    }


@pytest.fixture
def allocator():
    return ServiceAllocator([IpAllocator("10.43.0.0/16")], PortAllocator())


async def create(allocator, obj):
    reservation = await allocator.begin_create(obj, dry_run=False)
    await reservation.commit()
    return obj


def test_bands_are_upstreams():
    assert [static_ip_band(size) for size in (14, 254, 4094, 65534)] == [0, 16, 255, 256]
    assert [static_port_band(size) for size in (10, 100, 2768, 10000)] == [0, 16, 86, 128]


def test_addresses_come_from_above_the_static_band_first_and_never_the_ends():
    ips = IpAllocator("10.0.0.0/24")
    taken = {ips.take_any() for _ in range(238)}
    assert taken == {f"10.0.0.{i}" for i in range(17, 255)}
    assert ips.take_any() in {f"10.0.0.{i}" for i in range(1, 17)}
    for bad in ("10.0.0.0", "10.0.0.255", "10.0.1.1", "fd00::1", "x"):
        with pytest.raises(AllocationError):
            ips.take(bad)


def test_full_range_says_so_and_a_released_number_can_be_had_again():
    ports = PortAllocator(30000, 30001)
    assert {ports.take_any(), ports.take_any()} == {30000, 30001}
    with pytest.raises(AllocationError, match="full"):
        ports.take_any()
    ports.release(30001)
    assert ports.take_any() == 30001


async def test_new_service_gets_an_address_and_its_family(allocator):
    obj = await create(allocator, service())
    spec = obj["spec"]
    assert spec["clusterIP"].startswith("10.43.")
    assert (spec["clusterIPs"], spec["ipFamilies"], spec["ipFamilyPolicy"]) == (
        [spec["clusterIP"]],
        ["IPv4"],
        "SingleStack",
    )


async def test_wanted_address_is_given_once(allocator):
    await create(allocator, service(clusterIP="10.43.0.10"))
    with pytest.raises(ApiError) as caught:
        await create(allocator, service("other", clusterIP="10.43.0.10"))
    assert caught.value.code == 422
    assert caught.value.message == (
        'Service "other" is invalid: spec.clusterIPs: Invalid value: ["10.43.0.10"]: '
        "failed to allocate IP 10.43.0.10: provided IP is already allocated"
    )
    with pytest.raises(ApiError, match="does not match the current range"):
        await create(allocator, service("third", clusterIP="10.44.0.1"))


async def test_headless_and_external_services_hold_nothing(allocator):
    headless = await create(allocator, service(clusterIP="None", selector={"app": "a"}))
    assert (headless["spec"]["clusterIPs"], headless["spec"]["ipFamilies"]) == (["None"], ["IPv4"])
    others_endpoints = await create(allocator, service(clusterIP="None"))
    assert others_endpoints["spec"]["ipFamilies"] == ["IPv4", "IPv6"]
    external = await create(allocator, service(type="ExternalName", externalName="example.com"))
    assert "clusterIP" not in external["spec"]
    assert allocator._ips["IPv4"].free == 65534


async def test_node_ports_are_shared_between_protocols_of_a_port_only(allocator):
    ports = [
        {"port": 53, "protocol": "TCP", "nodePort": 30053},
        {"port": 53, "protocol": "UDP"},
        {"port": 80, "protocol": "TCP"},
    ]
    obj = await create(allocator, service(type="NodePort", ports=ports))
    tcp, udp, web = (port["nodePort"] for port in obj["spec"]["ports"])
    assert tcp == udp == 30053
    assert web != 30053
    with pytest.raises(ApiError, match=r"ports\[0\].nodePort: Invalid value: 30053: provided port is already allocated"):
        await create(allocator, service("b", type="NodePort", ports=[{"port": 1, "nodePort": 30053}]))
    with pytest.raises(ApiError, match=r"not in the valid range. The range of valid ports is 30000-32767"):
        await create(allocator, service("b", type="NodePort", ports=[{"port": 1, "nodePort": 80}]))


async def test_what_was_reserved_for_a_refused_write_is_free_again(allocator):
    bad = service(type="NodePort", ports=[{"port": 1}, {"port": 2, "nodePort": 1}])
    for _ in range(2):
        with pytest.raises(ApiError):
            await allocator.begin_create(deep_copy(bad), dry_run=False)
    reservation = await allocator.begin_create(service(clusterIP="10.43.0.9"), dry_run=True)
    await reservation.roll_back()
    assert allocator._ips["IPv4"].free == 65534
    assert allocator._ports.free == 2768


async def test_update_keeps_what_the_client_left_out(allocator):
    old = await create(allocator, service(type="NodePort"))
    new = service(type="NodePort", ports=[{"port": 80, "protocol": "TCP"}, {"port": 81, "protocol": "TCP"}])
    reservation = await allocator.begin_update(new, old, dry_run=False)
    await reservation.commit()
    assert new["spec"]["clusterIP"] == old["spec"]["clusterIP"]
    assert new["spec"]["ports"][0]["nodePort"] == old["spec"]["ports"][0]["nodePort"]
    assert new["spec"]["ports"][1]["nodePort"]
    assert allocator._ports.free == 2768 - 2


async def test_change_of_type_takes_and_releases(allocator):
    old = await create(allocator, service(type="NodePort"))
    external = deep_copy(old)
    external["spec"] |= {"type": "ExternalName", "externalName": "example.com"}
    reservation = await allocator.begin_update(external, old, dry_run=False)
    assert "clusterIP" not in external["spec"]
    assert "nodePort" not in external["spec"]["ports"][0]
    assert allocator._ports.free == 2767, "not before the write is done"
    await reservation.commit()
    assert (allocator._ports.free, allocator._ips["IPv4"].free) == (2768, 65534)
    back = deep_copy(external)
    back["spec"]["type"] = "ClusterIP"
    await (await allocator.begin_update(back, external, dry_run=False)).commit()
    assert back["spec"]["clusterIP"]


async def test_local_load_balancer_gets_a_port_for_health_checks(allocator):
    obj = await create(allocator, service(type="LoadBalancer", externalTrafficPolicy="Local"))
    assert 30000 <= obj["spec"]["healthCheckNodePort"] <= 32767
    await allocator.after_delete(obj)
    assert (allocator._ports.free, allocator._ips["IPv4"].free) == (2768, 65534)


async def test_dual_stack_gets_one_address_a_family():
    allocator = ServiceAllocator([IpAllocator("10.43.0.0/16"), IpAllocator("fd00::/112")], PortAllocator())
    obj = await create(allocator, service(ipFamilyPolicy="PreferDualStack"))
    assert obj["spec"]["ipFamilies"] == ["IPv4", "IPv6"]
    assert obj["spec"]["clusterIPs"][1].startswith("fd00::")


async def test_single_stack_cluster_refuses_to_require_two(allocator):
    with pytest.raises(ApiError, match="not configured for dual-stack"):
        await create(allocator, service(ipFamilyPolicy="RequireDualStack"))
    with pytest.raises(ApiError, match="not configured on this cluster"):
        await create(allocator, service(ipFamilies=["IPv6"]))


async def test_restart_knows_what_stored_services_hold():
    async with open_backend("memory://") as backend, open_storage(backend) as storage:
        store = await storage.store_for(SERVICE)
        ports = [{"port": 80, "nodePort": 30080}]
        await store.create(service(type="NodePort", clusterIP="10.43.0.7", clusterIPs=["10.43.0.7"], ports=ports))
        allocator = await ServiceAllocator.open(store, cidrs=["10.43.0.0/16"])
        with pytest.raises(ApiError, match="already allocated"):
            await create(allocator, service("b", clusterIP="10.43.0.7"))
        with pytest.raises(ApiError, match="already allocated"):
            await create(allocator, service("b", type="NodePort", ports=ports))
