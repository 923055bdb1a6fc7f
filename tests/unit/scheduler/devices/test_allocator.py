"""Which devices a pod's claims get (api-machinery §6.2, dynamic resources)."""

from hypothesis import given
from hypothesis import strategies as st

from k3py.scheduler.devices.allocator import Allocator
from k3py.scheduler.devices.pools import DeviceId
from k3py.scheduler.devices.selection import is_selected
from k3py.scheduler.node_info import NodeInfo
from tests.support.objects import node

DRIVER = "d.example.com"
CLASSES = {"any": {"spec": {"selectors": [{"cel": {"expression": f'device.driver == "{DRIVER}"'}}]}}}


def offer(*devices, pool="p", slices=1, generation=1, on="n"):
    spec = {
        "driver": DRIVER,
        "pool": {"name": pool, "generation": generation, "resourceSliceCount": slices},
        "nodeName": on,
        "devices": [
            {"name": name, "attributes": attributes, "capacity": {"memory": {"value": "8Gi"}}}
            for name, attributes in devices
        ],
    }
    return {"spec": spec}


def claim(*requests, **more):
    return {"spec": {"devices": {"requests": list(requests), **more}}}


def exactly(name="r", count=1, expression="", **more):
    wanted = {"deviceClassName": "any", "allocationMode": "ExactCount", "count": count, **more}
    if expression:
        wanted["selectors"] = [{"cel": {"expression": expression}}]
    return {"name": name, "exactly": wanted}


def devices_of(slices, *claims, taken=()):
    busy = {DeviceId(DRIVER, "p", one) for one in taken}
    found = Allocator(slices, NodeInfo(node()), busy, CLASSES, is_selected).allocate(claims)
    if found is None:
        return None
    return [[(one["request"], one["device"]) for one in each["devices"]["results"]] for each in found]


def test_taken_devices_and_those_of_other_nodes_are_left_out():
    slices = [offer(("a", {}), ("b", {})), offer(("c", {}), pool="q", on="other")]
    assert devices_of(slices, claim(exactly()), taken=("a",)) == [[("r", "b")]]
    assert devices_of(slices, claim(exactly(count=3))) is None
    assert devices_of(slices, claim(exactly()), claim(exactly())) == [[("r", "a")], [("r", "b")]]


def test_selectors_look_at_attributes_and_capacity():
    slices = [offer(("small", {"size": {"int": 1}}), ("big", {"size": {"int": 8}}))]
    assert devices_of(slices, claim(exactly(expression=f'device.attributes["{DRIVER}"].size > 4'))) == [
        [("r", "big")]
    ]
    enough = f'device.capacity["{DRIVER}"].memory.compareTo(quantity("4Gi")) >= 0'
    assert devices_of(slices, claim(exactly(expression=enough))) == [[("r", "small")]]
    assert devices_of(slices, claim(exactly(expression='device.attributes["other"].size > 4'))) is None


def test_only_the_newest_generation_of_a_whole_pool_counts():
    assert devices_of([offer(("old", {})), offer(("new", {}), generation=2)], claim(exactly())) == [
        [("r", "new")]
    ]
    assert devices_of([offer(("a", {}), slices=2)], claim(exactly())) is None


def test_all_means_every_one():
    slices = [offer(("a", {}), ("b", {}))]
    everything = exactly(allocationMode="All")
    assert devices_of(slices, claim(everything)) == [[("r", "a"), ("r", "b")]]
    assert devices_of(slices, claim(everything), taken=("a",)) is None


def test_the_first_alternative_that_can_be_had_is_taken():
    slices = [offer(("a", {}), ("b", {}))]
    request = {
        "name": "r",
        "firstAvailable": [
            {"name": "three", "deviceClassName": "any", "count": 3},
            {"name": "two", "deviceClassName": "any", "count": 2},
        ],
    }
    assert devices_of(slices, claim(request)) == [[("r/two", "a"), ("r/two", "b")]]


def test_devices_that_must_agree_are_searched_for():
    slices = [offer(*((name, {"numa": {"int": number}}) for name, number in (("a", 0), ("b", 1), ("c", 1))))]
    constraint = {"matchAttribute": f"{DRIVER}/numa"}
    assert devices_of(slices, claim(exactly(count=2), constraints=[constraint])) == [[("r", "b"), ("r", "c")]]


def test_an_administrator_shares_what_is_taken():
    slices = [offer(("a", {}))]
    assert devices_of(slices, claim(exactly(adminAccess=True)), taken=("a",)) == [[("r", "a")]]


def test_configuration_and_node_are_told_to_the_driver():
    classes = {"any": {"spec": {"config": [{"opaque": {"driver": DRIVER, "parameters": {"from": "class"}}}]}}}
    wanted = claim(exactly(), config=[{"opaque": {"driver": DRIVER, "parameters": {"from": "claim"}}}])
    (found,) = Allocator([offer(("a", {}))], NodeInfo(node()), set(), classes, is_selected).allocate([wanted])
    assert [one["source"] for one in found["devices"]["config"]] == ["FromClass", "FromClaim"]
    (term,) = found["nodeSelector"]["nodeSelectorTerms"]
    assert term["matchFields"][0]["values"] == ["n"]


@given(
    sizes=st.lists(st.integers(1, 3), max_size=5),
    wanted=st.lists(st.integers(1, 3), min_size=1, max_size=4),
)
def test_devices_are_found_exactly_when_a_matching_exists(sizes, wanted):
    """Each request wants one device of at least a size: greedy by size tells whether all can be served."""
    slices = [offer(*((f"d{i}", {"size": {"int": size}}) for i, size in enumerate(sizes)))]
    requests = [
        exactly(f"r{i}", expression=f'device.attributes["{DRIVER}"].size >= {n}')
        for i, n in enumerate(wanted)
    ]
    found = devices_of(slices, claim(*requests))
    ordered = zip(sorted(sizes, reverse=True), sorted(wanted, reverse=True), strict=False)
    possible = len(sizes) >= len(wanted) and all(size >= n for size, n in ordered)
    assert (found is not None) == possible
    if found is not None:
        given_out = [name for _, name in found[0]]
        assert len(set(given_out)) == len(wanted)
