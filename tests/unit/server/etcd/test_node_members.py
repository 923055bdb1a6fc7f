"""Nodes and members: marks, removal with the Node, removal by annotation; only ever by another server."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from k3py.api.resource import NODES
from k3py.controllers.base import ControllerLoop
from k3py.datastore.errors import Unavailable
from k3py.server.etcd import node_members
from k3py.server.etcd.membership import Member
from k3py.server.etcd.node_members import ADDRESS, FINALIZER, MEMBER, REMOVE, REMOVED, ROLE, NodeMembers
from k3py.util.supervise import TaskScope
from tests.support.fake_client import FakeClient, FakeInformerFactory
from tests.support.waiting import wait_for

OWN, OTHER = "n1-11111111", "n2-22222222"


async def until(condition):
    async def probe():
        return condition()

    await wait_for(probe)


class Cluster:
    """Plays etcd's membership."""

    def __init__(self, *names, refusals=0):
        self.names = list(names)
        self.refusals = refusals

    async def members(self):
        return [Member(number, name, (), (), is_learner=False) for number, name in enumerate(self.names)]

    async def remove(self, member_id):
        if self.refusals:
            self.refusals -= 1
            raise Unavailable("etcdserver: unhealthy cluster")
        del self.names[member_id]


@asynccontextmanager
async def running(client, cluster, *, node_name="n1"):
    @asynccontextmanager
    async def ask():
        yield cluster

    informers = FakeInformerFactory(client)
    controller = NodeMembers(client, informers, node_name=node_name, member_name=OWN, address="192.0.2.1", ask=ask)
    loop = ControllerLoop(controller)
    async with TaskScope() as scope:
        ready = asyncio.Event()
        scope.spawn(informers.run(lambda: None), name="informers")
        scope.spawn(loop.run(ready.set), name="loop")
        await ready.wait()
        yield
        scope.cancel()


def member_node(name, member, **metadata):
    annotations = {MEMBER: member, ADDRESS: "192.0.2.9", **metadata.pop("annotations", {})}
    return {"metadata": {"name": name, "labels": {ROLE: "true"}, "annotations": annotations, "finalizers": [FINALIZER], **metadata}}


def names_of(client):
    return [one["metadata"]["name"] for one in client.objects(NODES)]


def node_of(client, name):
    return next(one for one in client.objects(NODES) if one["metadata"]["name"] == name)


async def test_the_own_node_is_marked_and_others_are_not():
    client = FakeClient()
    for name in ("n1", "n2"):
        client.seed(NODES, {"metadata": {"name": name, "finalizers": ["a/b"]}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    async with running(client, Cluster(OWN)):
        await until(lambda: len(node_of(client, "n1")["status"]["conditions"]) == 2)
    node = node_of(client, "n1")
    assert node["metadata"]["labels"] == {ROLE: "true"}
    assert node["metadata"]["annotations"] == {MEMBER: OWN, ADDRESS: "192.0.2.1"}
    assert node["metadata"]["finalizers"] == ["a/b", FINALIZER]
    (condition,) = [one for one in node["status"]["conditions"] if one["type"] == "EtcdIsVoter"]
    assert (condition["status"], condition["reason"]) == ("True", "MemberNotLearner")
    assert node_of(client, "n2")["metadata"]["finalizers"] == ["a/b"]


async def test_the_member_of_a_deleted_node_is_removed_first(monkeypatch):
    monkeypatch.setattr(node_members, "RETRY_S", 0.001)
    client, cluster = FakeClient(), Cluster(OWN, OTHER, refusals=2)
    client.seed(NODES, member_node("n2", OTHER))
    async with running(client, cluster):
        await client.delete(NODES, "n2")
        await until(lambda: names_of(client) == [])
    assert cluster.names == [OWN]


async def test_a_node_whose_member_is_gone_may_go():
    client, cluster = FakeClient(), Cluster(OWN, "n3-33333333")
    client.seed(NODES, member_node("n2", OTHER))
    async with running(client, cluster):
        await client.delete(NODES, "n2")
        await until(lambda: names_of(client) == [])
    assert cluster.names == [OWN, "n3-33333333"]


async def test_no_server_removes_itself_while_there_are_others():
    client, cluster = FakeClient(), Cluster(OWN, OTHER)
    client.seed(NODES, member_node("n1", OWN))
    client.seed(NODES, member_node("n2", OTHER))
    async with running(client, cluster):
        await client.delete(NODES, "n1")
        await client.delete(NODES, "n2")  # worked on after it
        await until(lambda: "n2" not in names_of(client))
        assert names_of(client) == ["n1"]
        assert cluster.names == [OWN]


async def test_the_only_member_stays_when_its_node_is_deleted():
    client, cluster = FakeClient(), Cluster(OWN)
    client.seed(NODES, member_node("n1", OWN))
    async with running(client, cluster):
        await client.delete(NODES, "n1")
        await until(lambda: names_of(client) == [])
    assert cluster.names == [OWN]


async def test_an_annotation_removes_the_member_and_leaves_the_node():
    client, cluster = FakeClient(), Cluster(OWN, OTHER)
    client.seed(NODES, member_node("n2", OTHER, annotations={REMOVE: "true"}))
    async with running(client, cluster):
        await until(lambda: REMOVED in node_of(client, "n2")["metadata"]["annotations"])
    assert cluster.names == [OWN]
    metadata = node_of(client, "n2")["metadata"]
    assert (metadata["annotations"], metadata.get("labels") or {}) == ({REMOVE: "true", REMOVED: OTHER}, {})


async def test_a_member_that_joined_anew_is_marked_anew():
    client = FakeClient()
    node = {"metadata": {"name": "n1", "annotations": {REMOVE: "true", REMOVED: "n1-00000000"}}}
    client.seed(NODES, node)
    async with running(client, Cluster(OWN)):
        await until(lambda: MEMBER in node_of(client, "n1")["metadata"]["annotations"])
    assert node_of(client, "n1")["metadata"]["annotations"] == {MEMBER: OWN, ADDRESS: "192.0.2.1"}


@pytest.mark.parametrize("node", [{"metadata": {"name": "n2", "annotations": {REMOVE: "true"}}}, {"metadata": {"name": "n2"}}])
def test_nodes_without_a_member_wake_nobody(node):
    client = FakeClient()
    controller = NodeMembers(client, FakeInformerFactory(client), node_name="n1", member_name=OWN, address="", ask=None)
    (watch,) = controller.watches
    assert not watch.keys_of(None, node)
