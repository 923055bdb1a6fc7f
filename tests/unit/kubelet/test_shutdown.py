"""Before the machine goes down, ordinary pods end, then critical ones; then it may go."""

from __future__ import annotations

import asyncio

from k3py.api.resource import NODES, PODS
from k3py.kubelet.settings import KubeletSettings
from tests.support.kubelet import bound_pod, container, running_kubelet

CRITICAL = 2_000_000_000
SETTINGS = KubeletSettings(shutdown_grace_s=30.0, shutdown_critical_s=10.0)


class FakeInhibitor:
    """Tells what the test says."""

    def __init__(self):
        self.told = asyncio.Queue()
        self.done = []

    async def inhibit(self, seconds):
        self.done.append(("inhibit", seconds))

    def release(self):
        self.done.append(("release",))

    async def events(self):
        while True:
            yield await self.told.get()


def ready(client):
    conditions = {one["type"]: one for node in client.objects(NODES) for one in node["status"]["conditions"]}
    return conditions["Ready"]


async def test_pods_end_in_order_and_the_node_takes_no_more(tmp_path):
    inhibitor = FakeInhibitor()
    async with running_kubelet(tmp_path, settings=SETTINGS, inhibitor=inhibitor) as bench:
        bench.client.seed(PODS, bound_pod("plain", terminationGracePeriodSeconds=1))
        bench.client.seed(PODS, bound_pod("vital", priority=CRITICAL, terminationGracePeriodSeconds=1))
        await bench.until(lambda: bench.condition("Ready", "plain") == bench.condition("Ready", "vital") == "True")
        assert inhibitor.done == [("inhibit", 30.0)]
        inhibitor.told.put_nowait(True)
        await bench.until(lambda: bench.phase("plain") == bench.phase("vital") == "Failed")
        for name in ("plain", "vital"):
            assert bench.status(name)["reason"] == "Terminated"
            assert bench.status(name)["message"] == "Pod was terminated in response to imminent node shutdown."
            assert bench.condition("DisruptionTarget", name) == "True"
        ended = {
            one.status["labels"]["io.kubernetes.pod.name"]: one.status["finished_at"] for one in bench.runtime.containers.values()
        }
        assert ended["plain"] < ended["vital"]
        await bench.until(lambda: inhibitor.done[-1] == ("release",))
        await bench.until(lambda: ready(bench.client)["message"] == "node is shutting down")
        bench.client.seed(PODS, bound_pod("late", containers=[container()]))
        await bench.until(lambda: bench.phase("late") == "Failed")
        assert bench.status("late")["reason"] == "NodeShutdown"
        inhibitor.told.put_nowait(False)
        await bench.until(lambda: ready(bench.client)["status"] == "True")
        assert inhibitor.done[-1] == ("inhibit", 30.0)


async def test_without_a_grace_period_nobody_is_asked(tmp_path):
    inhibitor = FakeInhibitor()
    async with running_kubelet(tmp_path, inhibitor=inhibitor) as bench:
        bench.client.seed(PODS, bound_pod())
        await bench.until(lambda: bench.condition("Ready") == "True")
        assert inhibitor.done == []
