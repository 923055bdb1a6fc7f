"""Filters, scores and queueing hints of the first plugins, each against a rule of scheduler.tsv."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3py.api.node_affinity import selects
from k3py.api.taints import tolerates
from k3py.scheduler.cache import SchedulerCache
from k3py.scheduler.configuration import ProfileSettings
from k3py.scheduler.framework import Framework, nodes_to_find
from k3py.scheduler.interface import ClusterEvent, PluginContext
from k3py.scheduler.node_info import NodeInfo, PodInfo
from k3py.scheduler.plugins.node_ports import NodePorts
from k3py.scheduler.plugins.node_resources_fit import NodeResourcesFit
from k3py.scheduler.registry import build_profile
from tests.support.fake_client import FakeClient, FakeInformerFactory
from tests.support.objects import node, pod


def context():
    client = FakeClient()
    return PluginContext(client, FakeInformerFactory(client))


def with_port(name, port, address="", protocol="TCP"):
    one = pod(name)
    one["spec"]["containers"][0]["ports"] = [
        {"containerPort": 1, "hostPort": port, "hostIP": address, "protocol": protocol}
    ]
    return one


@pytest.mark.parametrize(
    ("taken", "wanted", "fits"),
    [
        (("", "TCP"), ("192.0.2.1", "TCP"), False),
        (("192.0.2.1", "TCP"), ("192.0.2.2", "TCP"), True),
        (("192.0.2.1", "TCP"), ("192.0.2.1", "UDP"), True),
        (("192.0.2.1", "TCP"), ("192.0.2.1", "TCP"), False),
    ],
)
def test_host_ports_clash_by_address_and_protocol(taken, wanted, fits):
    info = NodeInfo(node())
    info.add(PodInfo(with_port("a", 80, *taken)))
    prepared = NodePorts().prepare(PodInfo(with_port("b", 80, *wanted)), SchedulerCache())
    assert (prepared.check(info) is None) is fits


@pytest.mark.parametrize(
    ("toleration", "expected"),
    [
        ({"operator": "Exists"}, True),
        ({"key": "k", "operator": "Exists", "effect": "NoSchedule"}, True),
        ({"key": "k", "value": "v"}, True),
        ({"key": "k", "value": "other"}, False),
        ({"key": "k", "operator": "Exists", "effect": "NoExecute"}, False),
        ({}, False),
    ],
)
def test_tolerations(toleration, expected):
    assert tolerates(toleration, {"key": "k", "value": "v", "effect": "NoSchedule"}) is expected


def affinity(*terms):
    required = {"nodeSelectorTerms": list(terms)}
    return pod(
        spec={"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}}
    )


def test_affinity_terms_are_alternatives_and_empty_ones_select_nothing():
    one = node("a")
    by_name = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]}
    by_label = {"matchExpressions": [{"key": "zone", "operator": "Exists"}]}
    assert selects(affinity(by_label, by_name), one)
    assert not selects(affinity(by_label), one)
    assert not selects(affinity({}), one)
    assert not selects(pod(spec={"nodeSelector": {"zone": "x"}}), one)


def test_a_hint_says_yes_only_when_the_shortage_may_be_over():
    plugin, big = NodeResourcesFit(), pod("big", cpu="2")
    grown = ClusterEvent(resource="nodes", kind="update", old=node(cpu="1"), new=node(cpu="4"))
    still_small = ClusterEvent(resource="nodes", kind="update", old=node(cpu="1"), new=node(cpu="1500m"))
    assert plugin.may_help(big, grown)
    assert not plugin.may_help(big, still_small)
    assert plugin.may_help(big, ClusterEvent(resource="pods", kind="delete", old=pod("gone", cpu="1")))
    assert not plugin.may_help(
        pod("some"), ClusterEvent(resource="nodes", kind="update", old=node(), new=node(x="y"))
    )
    assert ("pods", "add") not in plugin.INTERESTS


def test_the_search_stops_early_in_large_clusters():
    assert [nodes_to_find(n) for n in (99, 100, 500, 5000, 10000)] == [99, 100, 230, 500, 500]


@given(
    free=st.lists(st.integers(0, 8), min_size=1, max_size=6),
    asked=st.integers(1, 8),
)
def test_a_node_is_found_exactly_when_one_fits(free, asked):
    cluster = SchedulerCache()
    for index, cpu in enumerate(free):
        cluster.put_node(node(f"n{index}", cpu=str(cpu)))
    outcome = Framework(build_profile(context(), ProfileSettings()), random.Random(1)).schedule(
        PodInfo(pod("p", cpu=str(asked))), cluster
    )
    fitting = {f"n{index}" for index, cpu in enumerate(free) if cpu >= asked}
    assert outcome.node_name in (fitting or {""})
    refused_by = set() if outcome.diagnosis is None else outcome.diagnosis.refused_by
    assert refused_by == (set() if fitting else {"NodeResourcesFit"})
