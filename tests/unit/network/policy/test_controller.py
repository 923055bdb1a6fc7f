"""The controller between informers, the kubelet and the table."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from k3py.api.resource import NAMESPACES, NETWORK_POLICIES, PODS
from k3py.network.policy import controller
from k3py.network.policy.controller import NetworkPolicyController, NotEnforced
from k3py.util.supervise import TaskScope
from tests.support.fake_client import FakeClient, FakeInformerFactory
from tests.support.objects import pod


class Table:
    """Remembers what it was made equal to."""

    def __init__(self):
        self.rulesets = asyncio.Queue()
        self.open = asyncio.Event()
        self.open.set()

    async def apply(self, rules):
        await self.open.wait()
        self.rulesets.put_nowait(rules)


@asynccontextmanager
async def running(client):
    table, informers = Table(), FakeInformerFactory(client)
    made = NetworkPolicyController(informers, table, node_name="n1", dns_addresses=lambda _: ["10.42.0.1"])
    async with TaskScope() as scope:
        started = asyncio.Event()
        scope.spawn(informers.run(lambda: None), name="informers")
        scope.spawn(made.run(started.set), name="policy")
        await started.wait()
        yield made, table, informers
        scope.cancel()


def policy(client, name="deny", **spec):
    client.seed(NETWORK_POLICIES, {"metadata": {"name": name, "namespace": "default"}, "spec": {"podSelector": {}, **spec}})


def with_address(one, *addresses):
    one["status"]["podIPs"] = [{"ip": address} for address in addresses]
    return one


async def until(table, condition):
    """Return the first table that fulfils a condition."""
    while True:
        rules = await table.rulesets.get()
        if condition(rules):
            return rules


async def test_without_a_policy_pods_are_not_even_followed():
    client = FakeClient()
    async with running(client) as (_, table, informers):
        assert await table.rulesets.get() is None
        assert not any(key[0][1] == PODS.plural for key in informers._informers)


async def test_rules_follow_policies_pods_and_namespaces():
    client = FakeClient()
    client.seed(NAMESPACES, {"metadata": {"name": "default"}})
    client.seed(PODS, with_address(pod("web", node="n1"), "10.42.0.2"))
    async with running(client) as (_, table, _):
        policy(client, ingress=[{"from": [{"namespaceSelector": {"matchLabels": {"team": "x"}}}]}])
        rules = await until(table, lambda one: one and "10.42.0.2" in one.elements["in4"])
        (peers,) = [name for name in rules.sets if name.startswith("pods4-")]
        client.seed(NAMESPACES, {"metadata": {"name": "default", "labels": {"team": "x"}}})
        await until(table, lambda one: one and "10.42.0.2" in one.elements[peers])
        client.remove(PODS, "web", "default")
        await until(table, lambda one: one and not one.elements["in4"])
        client.remove(NETWORK_POLICIES, "deny", "default")
        await until(table, lambda one: one is None)


async def test_a_new_pod_waits_for_its_rules():
    client = FakeClient()
    policy(client)
    web = client.seed(PODS, pod("web", node="n1"))
    async with running(client) as (made, table, _):
        await until(table, lambda one: one is not None)
        table.open.clear()

        async def addresses():
            return ["10.42.0.5"]

        async with TaskScope() as scope:
            admitted = scope.spawn(made.admit(web, addresses), name="admit")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(admitted), 0.05)
            table.open.set()
            await admitted
        assert "10.42.0.5" in (await table.rulesets.get()).elements["in4"]
        # The status of its last sandbox changes nothing; the same addresses in the status take over; then it ends.
        client.seed(PODS, with_address(pod("web", node="n1", labels={"a": "b"}), "10.42.0.4"))
        await until(table, lambda one: set(one.elements["in4"]) == {"10.42.0.5"})
        client.seed(PODS, with_address(pod("web", node="n1", labels={"a": "c"}), "10.42.0.5"))
        await until(table, lambda one: set(one.elements["in4"]) == {"10.42.0.5"})
        client.seed(PODS, with_address(pod("web", node="n1", phase="Succeeded"), "10.42.0.5"))
        await until(table, lambda one: not one.elements["in4"])


async def test_a_pod_that_no_policy_selects_waits_for_nothing():
    client = FakeClient()
    policy(client, podSelector={"matchLabels": {"app": "db"}})
    async with running(client) as (made, table, _):
        table.open.clear()

        async def addresses():
            raise AssertionError("nobody needs to know")

        await made.admit(pod("web", node="n1"), addresses)


async def test_a_pod_whose_rules_cannot_be_written_is_refused(monkeypatch):
    monkeypatch.setattr(controller, "_APPLY_S", 0.05)
    client = FakeClient()
    policy(client)
    async with running(client) as (made, table, _):
        await until(table, lambda one: one is not None)
        table.open.clear()

        async def addresses():
            return ["10.42.0.5"]

        with pytest.raises(NotEnforced):
            await made.admit(pod("web", node="n1"), addresses)


async def test_dns_is_a_peer_like_the_pods_that_it_is_in_elsewhere():
    client = FakeClient()
    client.seed(NAMESPACES, {"metadata": {"name": "kube-system", "labels": {"kubernetes.io/metadata.name": "kube-system"}}})
    client.seed(controller.NODES, {"metadata": {"name": "n1"}, "spec": {"podCIDR": "10.42.0.0/24"}})
    peer = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }
    policy(client, policyTypes=["Egress"], egress=[{"to": [peer]}])
    async with running(client) as (_, table, _):
        rules = await until(table, lambda one: one is not None)
        # Its ports only: at the same address is the node.
        (ports,) = [name for name in rules.sets if name.startswith("sockets4-")]
        assert set(rules.elements[ports]) == {"10.42.0.1 . udp . 53", "10.42.0.1 . tcp . 53"}
        (peers,) = [name for name in rules.sets if name.startswith("pods4-")]
        assert rules.elements[peers] == {}


async def test_a_node_that_never_knew_of_policies_starts_its_pods_without_its_server(monkeypatch, caplog):
    monkeypatch.setattr(controller, "_SYNC_S", 0.02)
    informers = FakeInformerFactory(FakeClient())
    monkeypatch.setattr(informers.informer(NETWORK_POLICIES), "wait_synced", asyncio.Event().wait)  # the server is away
    made = NetworkPolicyController(informers, Table(), node_name="n1", dns_addresses=lambda _: [])
    async with TaskScope() as scope:
        started = asyncio.Event()
        scope.spawn(made.run(started.set), name="policy")
        await started.wait()

        async def addresses():
            raise AssertionError("nobody needs to know")

        await made.admit(pod("web", node="n1"), addresses)
        scope.cancel()
    assert "not known" in caplog.text
