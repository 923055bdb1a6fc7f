"""The Node of a kubelet: what it says, and when."""

from __future__ import annotations

from k3py.api.resource import LEASES, NODES
from k3py.client.interface import PatchType
from k3py.runtime.errors import RuntimeUnavailable
from tests.support.kubelet import NODE, running_kubelet


async def conditions(bench):
    node = await bench.client.get(NODES, NODE)
    return {one["type"]: one["status"] for one in node["status"]["conditions"]}


async def test_the_node_says_what_the_machine_is(tmp_path):
    async with running_kubelet(tmp_path) as bench:
        node = await bench.client.get(NODES, NODE)
        assert node["metadata"]["labels"]["kubernetes.io/hostname"] == NODE
        assert node["status"]["addresses"][0] == {"type": "InternalIP", "address": "10.0.0.1"}
        assert node["status"]["capacity"]["pods"] == "110"
        assert node["status"]["nodeInfo"]["containerRuntimeVersion"] == "k3py-fake://1.0.0"


async def test_it_is_ready_once_it_has_its_range_and_holds_its_lease(tmp_path):
    async with running_kubelet(tmp_path) as bench:
        await bench.until(lambda: "NodeReady" in bench.events.reasons)
        found = await conditions(bench)
        assert found == {
            "Ready": "True",
            "MemoryPressure": "False",
            "DiskPressure": "False",
            "PIDPressure": "False",
        }
        lease = await bench.client.get(LEASES, NODE, namespace="kube-node-lease")
        assert lease["spec"]["holderIdentity"] == NODE
        assert lease["spec"]["leaseDurationSeconds"] == 40
        assert "NodeHasNoDiskPressure" in bench.events.reasons


async def test_a_runtime_that_does_not_answer_makes_it_not_ready(tmp_path):
    async with running_kubelet(tmp_path) as bench:
        await bench.until(lambda: "NodeReady" in bench.events.reasons)
        bench.runtime.fail_next("status", RuntimeUnavailable("gone"))
        bench.kubelet.pods.runtime_lost("gone")
        await bench.until(lambda: "NodeNotReady" in bench.events.reasons)
        assert (await conditions(bench))["Ready"] == "False"


async def test_an_unchanged_node_is_not_written_again(tmp_path):
    async with running_kubelet(tmp_path) as bench:
        await bench.until(lambda: "NodeReady" in bench.events.reasons)
        before = (await bench.client.get(NODES, NODE))["metadata"]["resourceVersion"]
        bench.kubelet.node.look()
        bench.kubelet.node.look()
        await bench.until(lambda: not bench.kubelet.node._changed.is_set())
        assert (await bench.client.get(NODES, NODE))["metadata"]["resourceVersion"] == before


async def test_resources_that_somebody_else_announces_can_be_asked_for_until_they_are_withdrawn(tmp_path):
    async with running_kubelet(tmp_path) as bench:
        await bench.until(lambda: "NodeReady" in bench.events.reasons)

        async def announce(amount):
            patch = {"status": {"capacity": {"example.com/gpu": amount}}}
            await bench.client.patch(NODES, NODE, patch, patch_type=PatchType.MERGE, subresource="status")

        def allocatable():
            return bench.client.objects(NODES)[0]["status"]["allocatable"]

        await announce("3")
        await bench.until(lambda: allocatable().get("example.com/gpu") == "3")
        await announce(None)
        await bench.until(lambda: "example.com/gpu" not in allocatable())
        assert allocatable()["pods"] == "110"
