"""Containers of Guaranteed pods have whole CPUs alone; all others share the rest."""

from __future__ import annotations

import dataclasses

import pytest

from k3py.api.resource import PODS
from k3py.kubelet import node_plugins, wiring
from k3py.kubelet.cpus.manager import CpuManager, read_cores, wanted_cpus
from k3py.kubelet.device_plugins.allocation import DevicesUnavailable
from k3py.kubelet.machine import read_machine
from k3py.kubelet.settings import KubeletSettings
from k3py.runtime.fake import FakeRuntime
from tests.support.fake_client import FakeClient
from tests.support.kubelet import bound_pod, container, running_kubelet

SETTINGS = KubeletSettings(static_cpus=True, reserved={"cpu": "1"})


@pytest.fixture(autouse=True)
def four_cpus(monkeypatch):
    machine = dataclasses.replace(read_machine(), cpus=4, memory_kib=4 << 20)
    monkeypatch.setattr(wiring, "read_machine", lambda: machine)
    monkeypatch.setattr(node_plugins, "read_cores", lambda: {cpu: (0, cpu) for cpu in range(4)})


def sized(name, cpu, **extra):
    amounts = {"cpu": cpu, "memory": "8Mi"}
    return container(name, resources={"requests": amounts, "limits": amounts}, **extra)


def guaranteed(name="p", cpu="2", **spec):
    return bound_pod(name, containers=[sized("c", cpu)], terminationGracePeriodSeconds=1, **spec)


def cpus(bench, pod):
    return next(
        one.status["resources"]["linux"]["cpuset_cpus"]
        for one in bench.runtime.containers.values()
        if one.status["labels"]["io.kubernetes.pod.name"] == pod
    )


async def test_whole_cpus_are_given_alone_and_taken_back(tmp_path):
    client = FakeClient(graceful_pods=True)
    async with running_kubelet(tmp_path, client=client, settings=SETTINGS) as bench:
        client.seed(PODS, bound_pod("shares"))
        await bench.until(lambda: bench.condition("Ready", "shares") == "True")
        assert cpus(bench, "shares") == "0-3"
        client.seed(PODS, guaranteed())
        await bench.until(lambda: bench.condition("Ready") == "True")
        assert cpus(bench, "p") == "1-2"
        await bench.until(lambda: cpus(bench, "shares") == "0,3")
        await client.delete(PODS, "p", namespace="default")
        await bench.until(lambda: bench.pod() is None)
        await bench.until(lambda: cpus(bench, "shares") == "0-3")


async def test_too_few_are_told_and_nothing_is_given(tmp_path):
    cores = {cpu: (0, cpu) for cpu in range(4)}
    manager = CpuManager(tmp_path / "state", cores, frozenset((0,)), lambda: None)
    await manager.allocate(guaranteed())
    pair = bound_pod("pair", containers=[sized("a", "1"), sized("b", "1")])
    with pytest.raises(DevicesUnavailable, match="requested=1, available=0"):
        await manager.allocate(pair)
    assert manager.shared == {0, 3}


async def test_what_is_given_outlives_the_kubelet(tmp_path):
    client = FakeClient(graceful_pods=True)
    async with FakeRuntime() as runtime:
        async with running_kubelet(tmp_path, client=client, runtime=runtime, settings=SETTINGS) as bench:
            client.seed(PODS, guaranteed())
            await bench.until(lambda: bench.condition("Ready") == "True")
        async with running_kubelet(tmp_path, client=client, runtime=runtime, settings=SETTINGS) as bench:
            client.seed(PODS, guaranteed("second", "1"))
            await bench.until(lambda: bench.condition("Ready", "second") == "True")
            assert (cpus(bench, "p"), cpus(bench, "second")) == ("1-2", "3")


async def test_init_containers_leave_their_cpus_to_those_behind_them(tmp_path):
    client = FakeClient(graceful_pods=True)
    async with running_kubelet(tmp_path, client=client, settings=SETTINGS) as bench:
        client.seed(PODS, guaranteed(cpu="3", initContainers=[sized("i", "2", command=["true"])]))
        await bench.until(lambda: bench.condition("Ready") == "True")


@pytest.mark.parametrize(
    ("one", "amount"),
    [(sized("c", "2"), 2), (sized("c", "1500m"), 0), (container("c", resources={"limits": {"cpu": "2"}}), 0), (container("c"), 0)],
)
def test_only_whole_cpus_of_guaranteed_pods_count(one, amount):
    assert wanted_cpus(bound_pod(containers=[one]), one) == amount


def test_this_machine_has_cpus():
    assert read_cores()
