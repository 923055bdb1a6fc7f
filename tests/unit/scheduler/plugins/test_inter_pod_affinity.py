"""Pod affinity and anti-affinity: the pod's own, other pods', and preferences (api-machinery §6.2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3py.api.resource import NAMESPACES
from k3py.scheduler.interface import ClusterEvent
from k3py.scheduler.node_info import PodInfo
from tests.support.objects import node, pod
from tests.support.scheduling import Cluster

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def zoned(name, zone, **arguments):
    one = node(name, **arguments)
    one["metadata"]["labels"]["zone"] = zone
    return one


def term(app, key="zone", **more):
    return {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": key, **more}


def wanting(name="p", *, near=(), far=(), app="me", **arguments):
    affinity = {}
    if near:
        affinity["podAffinity"] = {REQUIRED: list(near)}
    if far:
        affinity["podAntiAffinity"] = {REQUIRED: list(far)}
    return pod(name, labels={"app": app}, spec={"affinity": affinity}, **arguments)


@pytest.fixture
def cluster():
    return Cluster(
        zoned("a1", "a"),
        zoned("a2", "a"),
        zoned("b1", "b"),
        pods=(pod("web", node="a1", labels={"app": "web"}),),
    )


def test_affinity_reaches_as_far_as_its_topology(cluster):
    assert cluster.fitting(wanting(near=[term("web")])) == {"a1", "a2"}
    assert cluster.fitting(wanting(near=[term("web", "kubernetes.io/hostname")])) == {"a1"}
    assert cluster.fitting(wanting(far=[term("web")])) == {"b1"}


def test_the_reasons_are_upstreams(cluster):
    near = cluster.schedule(wanting(near=[term("nobody")])).diagnosis
    assert near.message() == "0/3 nodes are available: 3 node(s) didn't match pod affinity rules."
    cluster.place(pod("web2", node="b1", labels={"app": "web"}))
    far = cluster.schedule(wanting(far=[term("web")])).diagnosis
    assert far.message() == "0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules."


def test_the_first_of_a_group_goes_anywhere_and_the_next_follow(cluster):
    assert cluster.fitting(wanting(near=[term("me")])) == {"a1", "a2", "b1"}
    cluster.place(wanting("first", near=[term("me")], node="b1"))
    assert cluster.fitting(wanting(near=[term("me")])) == {"b1"}


def test_anti_affinity_of_others_keeps_a_pod_off(cluster):
    cluster.place(wanting("hermit", far=[term("noise")], node="b1"))
    assert cluster.fitting(pod("p", labels={"app": "noise"})) == {"a1", "a2"}
    assert cluster.fitting(pod("p", labels={"app": "quiet"})) == {"a1", "a2", "b1"}


def test_other_namespaces_count_by_name_or_by_label(cluster):
    other = pod("db", node="b1", labels={"app": "db"})
    other["metadata"]["namespace"] = "data"
    cluster.place(other)
    cluster.client.seed(
        NAMESPACES,
        {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "data", "labels": {"team": "x"}}},
    )
    assert cluster.fitting(wanting(near=[term("db")])) == set()
    assert cluster.fitting(wanting(near=[term("db", namespaces=["data"])])) == {"b1"}
    by_label = {"matchLabels": {"team": "x"}}
    assert cluster.fitting(wanting(near=[term("db", namespaceSelector=by_label)])) == {"b1"}
    assert (
        cluster.fitting(wanting(near=[term("db", namespaceSelector={"matchLabels": {"team": "y"}})])) == set()
    )


def test_preferences_of_the_pod_and_of_others_are_summed(cluster):
    preferred = {"podAffinity": {PREFERRED: [{"weight": 10, "podAffinityTerm": term("web")}]}}
    assert cluster.scores("InterPodAffinity", pod("p", spec={"affinity": preferred})) == {
        "a1": 100,
        "a2": 100,
        "b1": 0,
    }
    against = {"podAntiAffinity": {PREFERRED: [{"weight": 10, "podAffinityTerm": term("web")}]}}
    assert cluster.scores("InterPodAffinity", pod("p", spec={"affinity": against})) == {
        "a1": 0,
        "a2": 0,
        "b1": 100,
    }
    cluster.place(wanting("fan", near=[term("star")], node="b1"))
    assert cluster.scores("InterPodAffinity", pod("p", labels={"app": "star"})) == {
        "a1": 0,
        "a2": 0,
        "b1": 100,
    }
    assert cluster.scores("InterPodAffinity", pod("p", labels={"app": "other"})) is None


def test_hints(cluster):
    plugin = next(one for one in cluster.framework.profile.filter if one.NAME == "InterPodAffinity")
    lonely, web = wanting(near=[term("web")]), pod("w", labels={"app": "web"})
    assert plugin.may_help(lonely, ClusterEvent(resource="pods", kind="add", new=web))
    assert not plugin.may_help(lonely, ClusterEvent(resource="pods", kind="delete", old=web))
    hermit = wanting(far=[term("web")])
    assert plugin.may_help(hermit, ClusterEvent(resource="pods", kind="delete", old=web))
    assert not plugin.may_help(hermit, ClusterEvent(resource="pods", kind="add", new=web))


@given(
    where=st.lists(st.sampled_from(["a1", "a2", "b1"]), max_size=5),
    gone=st.integers(0, 5),
    key=st.sampled_from(["zone", "kubernetes.io/hostname"]),
    near=st.booleans(),
)
def test_counting_a_pod_out_is_as_if_it_had_never_been_there(where, gone, key, near):
    """Preemption asks "what if" with `count`: it must agree with a cluster where the pod really is not."""
    web = [pod(f"w{index}", node=name, labels={"app": "web"}) for index, name in enumerate(where)]
    nodes = (zoned("a1", "a"), zoned("a2", "a"), zoned("b1", "b"))
    one = PodInfo(wanting(**{"near" if near else "far": [term("web", key)]}))
    full, less = Cluster(*nodes, pods=tuple(web)), Cluster(*nodes, pods=tuple(web[gone:]))
    plugin = next(each for each in full.framework.profile.filter if each.NAME == "InterPodAffinity")
    counted = plugin.prepare(one, full.cache)
    for other in web[:gone]:
        info = PodInfo(other)
        counted.count(info, full.cache.find(other["spec"]["nodeName"]), -1)
    really = plugin.prepare(one, less.cache)
    for each in full.cache.nodes():
        assert counted.check(each) == really.check(each)
