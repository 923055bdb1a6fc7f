"""Eviction: what counts as too little, who goes first, what the pod's status says (kubelet.tsv, topic eviction)."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3py.api.resource import PODS
from k3py.kubelet import wiring
from k3py.kubelet.eviction import Usage, explain, rank
from k3py.kubelet.machine import Pressure
from k3py.kubelet.thresholds import ThresholdWatch
from tests.support.kubelet import bound_pod, container, running_kubelet

MIB = 1 << 20
FINE = Pressure(
    memory_available_bytes=1 << 30,
    memory_size_bytes=2 << 30,
    disk_available_bytes=50 << 30,
    disk_size_bytes=100 << 30,
    inodes_free=50,
    inodes=100,
)


def using(name, memory="", priority=0):
    extra = {"resources": {"requests": {"memory": memory}}} if memory else {}
    return bound_pod(name, containers=[container(**extra)], priority=priority)


def usage(**mebibytes):
    return {f"uid-{name}": Usage(amount * MIB, {"c": amount * MIB}) for name, amount in mebibytes.items()}


def names(pods):
    return [one["metadata"]["name"] for one in pods]


@pytest.mark.parametrize(
    ("change", "resource"),
    [
        ({}, None),
        ({"memory_available_bytes": 99 * MIB}, "memory"),
        ({"disk_available_bytes": 4 << 30}, "ephemeral-storage"),
        ({"inodes_free": 4}, "inodes"),
    ],
)
def test_thresholds(change, resource):
    found = ThresholdWatch().look(dataclasses.replace(FINE, **change), 0.0)
    assert (found[0].resource if found else None) == resource


def test_who_takes_more_than_asked_goes_first_then_the_less_important_then_the_greatest_excess():
    pods = [
        using("modest", memory="100Mi"),
        using("greedy", memory="10Mi"),
        using("greedier"),
        using("important", priority=1000),
    ]
    used = usage(modest=90, greedy=40, greedier=50, important=500)
    assert names(rank(pods, used, "memory")) == ["greedier", "greedy", "important", "modest"]


def test_pods_that_the_node_needs_stay():
    mirror = using("mirror")
    mirror["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    assert (
        rank([using("system", priority=2_000_001_000), mirror], usage(system=500, mirror=500), "memory") == []
    )


def test_the_message_names_what_ran_out_and_who_took_too_much():
    text = explain(using("p", memory="1Mi"), usage(p=3)["uid-p"], ("memory", "102400Ki", "51200Ki"))
    assert text == (
        "The node was low on resource: memory. Threshold quantity: 102400Ki, available: 51200Ki. "
        "Container c was using 3072Ki, request is 1048576, has larger consumption of memory. "
    )


@given(pods=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 2)), max_size=6))
def test_nobody_within_its_request_goes_before_somebody_beyond(pods):
    made = [using(f"p{i}", memory=f"{ask}Mi", priority=level) for i, (ask, _, level) in enumerate(pods)]
    used = usage(**{f"p{i}": amount for i, (_, amount, _) in enumerate(pods)})
    order = [int(name[1:]) for name in names(rank(made, used, "memory"))]
    beyond = [pods[i][1] > pods[i][0] for i in order]
    assert beyond == sorted(beyond, reverse=True)
    assert sorted(order) == list(range(len(pods)))


async def test_one_pod_is_evicted_at_a_time_and_says_why(tmp_path, monkeypatch):
    pressure = [FINE]
    monkeypatch.setattr(wiring, "read_pressure", lambda *_: pressure[0])
    async with running_kubelet(tmp_path) as bench:
        for name in ("asked", "greedy"):
            extra = {"resources": {"requests": {"memory": "64Mi"}}} if name == "asked" else {}
            bench.client.seed(PODS, bound_pod(name, containers=[container("c", "sleep", "60", **extra)]))
        await bench.until(lambda: bench.phase("asked") == bench.phase("greedy") == "Running")
        pressure[0] = dataclasses.replace(FINE, memory_available_bytes=50 * MIB)
        bench.kubelet.node._housekeep()
        await bench.until(lambda: bench.phase("greedy") == "Failed")
        pressure[0] = FINE
        assert bench.status("greedy")["reason"] == "Evicted"
        assert bench.condition("DisruptionTarget", "greedy") == "True"
        assert bench.phase("asked") == "Running"
        assert "Evicted" in bench.events.reasons
