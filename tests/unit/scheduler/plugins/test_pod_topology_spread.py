"""Topology spread constraints: skew, minDomains, inclusion policies, defaults for pods of a Service (api-machinery §6.2)."""

import pytest

from k3py.api.resource import SERVICES
from tests.support.objects import node, pod
from tests.support.scheduling import Cluster

MINE = {"app": "me"}


def zoned(name, zone, **arguments):
    one = node(name, **arguments)
    one["metadata"]["labels"]["zone"] = zone
    return one


def spread(name="p", *, skew=1, key="zone", action="DoNotSchedule", spec=None, **more):
    constraint = {
        "maxSkew": skew,
        "topologyKey": key,
        "whenUnsatisfiable": action,
        "labelSelector": {"matchLabels": MINE},
        **more,
    }
    return pod(name, labels=MINE, spec={"topologySpreadConstraints": [constraint], **(spec or {})})


def placed(name, where, **arguments):
    return pod(name, node=where, labels=MINE, **arguments)


@pytest.fixture
def cluster():
    return Cluster(zoned("a1", "a"), zoned("a2", "a"), zoned("b1", "b"), pods=(placed("x", "a1"),))


def test_the_fuller_domain_is_closed(cluster):
    assert cluster.fitting(spread()) == {"b1"}
    assert cluster.fitting(spread(skew=2)) == {"a1", "a2", "b1"}
    assert cluster.fitting(spread(key="kubernetes.io/hostname")) == {"a2", "b1"}


def test_pods_that_go_or_are_elsewhere_do_not_count(cluster):
    cluster.cache.remove_pod("uid-x")
    cluster.place(placed("x", "a1", deleting=True))
    other = placed("y", "a1")
    other["metadata"]["namespace"] = "other"
    cluster.place(other)
    assert cluster.fitting(spread()) == {"a1", "a2", "b1"}


def test_too_few_domains_count_as_an_empty_one(cluster):
    cluster.place(placed("y", "b1"))
    assert cluster.fitting(spread()) == {"a1", "a2", "b1"}
    assert cluster.fitting(spread(minDomains=3)) == set()


def test_nodes_without_the_key_are_refused_for_good(cluster):
    cluster.cache.put_node(node("bare"))
    cluster.place(placed("y", "b1"))
    outcome = cluster.schedule(spread(minDomains=3))
    assert outcome.diagnosis.refusals["bare"].final
    assert outcome.diagnosis.message() == (
        "0/4 nodes are available: 1 node(s) didn't match pod topology spread constraints (missing required label), "
        "3 node(s) didn't match pod topology spread constraints."
    )


def test_inclusion_policies(cluster):
    only_a = {"nodeSelector": {"zone": "a"}}
    assert cluster.fitting(spread(spec=only_a)) == {"a1", "a2"}  # b does not count, so nothing is empty
    assert cluster.fitting(spread(spec=only_a, nodeAffinityPolicy="Ignore")) == set()
    tainted = zoned("b1", "b", taints=[{"key": "k", "value": "v", "effect": "NoSchedule"}])
    cluster.cache.put_node(tainted)
    assert cluster.fitting(spread()) == set()
    assert cluster.fitting(spread(nodeTaintsPolicy="Honor")) == {"a1", "a2"}


def test_soft_constraints_prefer_emptier_domains(cluster):
    scores = cluster.scores("PodTopologySpread", spread(action="ScheduleAnyway"))
    assert scores["b1"] == 100
    assert scores["a1"] == scores["a2"] < 100
    assert cluster.scores("PodTopologySpread", pod("p", labels=MINE)) is None


def test_pods_of_a_service_spread_by_default(cluster):
    service = {
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": {"name": "s", "namespace": "default"},
        "spec": {"selector": MINE},
    }
    cluster.client.seed(SERVICES, service)
    scores = cluster.scores("PodTopologySpread", pod("p", labels=MINE))
    assert scores["a1"] < scores["a2"] == scores["b1"]
