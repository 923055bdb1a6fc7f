"""k3py's containerd as a child process: it comes and goes without its pods, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from k3py.runtime.cri import CriRuntime
from tests.contract.test_runtime import container_config, sandbox_config
from tests.support.lab import Lab
from tests.support.lab.runtime import SOCKET, put_busybox, start_containerd

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]


@pytest.fixture
def node():
    with Lab() as lab:
        made = lab.add_node("n1")
        put_busybox(made)
        yield made


async def start_pod(node):
    runtime = CriRuntime(node.path(SOCKET))
    (node.shared / "logs/main").mkdir(parents=True, exist_ok=True)
    config = sandbox_config(node.shared)
    sandbox_id = await runtime.run_pod_sandbox(config)
    container_id = await runtime.create_container(sandbox_id, container_config("sleep", "1000"), config)
    await runtime.start_container(container_id)
    runtime.close()
    return container_id


async def state_of(node, container_id):
    runtime = CriRuntime(node.path(SOCKET))
    status = await runtime.container_status(container_id)
    runtime.close()
    return status["state"]


def processes(node, program):
    return [int(pid) for pid in node.run(["pgrep", "-x", program], check=False).stdout.split()]


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
async def test_pods_outlive_k3py_and_the_next_one_finds_them(node, end):
    process = start_containerd(node)
    container_id = await start_pod(node)
    process.send_signal(end)
    process.wait(timeout=20)
    process.stdout.close()
    deadline = time.monotonic() + 10
    while processes(node, "containerd") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert processes(node, "containerd") == []
    assert len(processes(node, "sleep")) == 1
    process = start_containerd(node)
    assert await state_of(node, container_id) == "CONTAINER_RUNNING"
    process.terminate()
    process.wait(timeout=20)
    process.stdout.close()


async def test_a_containerd_that_survived_is_ended_before_the_next_one_starts(node):
    first = start_containerd(node)
    old = processes(node, "containerd")
    # Take the parent-death signal from it: stop it, so that it cannot act on SIGTERM when its parent is killed.
    node.run(["kill", "-STOP", str(old[0])])
    first.kill()
    first.wait(timeout=20)
    first.stdout.close()
    assert processes(node, "containerd") == old
    second = start_containerd(node)
    assert len(processes(node, "containerd")) == 1
    assert processes(node, "containerd") != old
    second.terminate()
    second.wait(timeout=20)
    second.stdout.close()


async def test_archives_are_imported_once_and_again_when_changed(node):
    imported = node.disk / "var/lib/k3py/agent/containerd/k3py-imported.json"
    process = start_containerd(node)
    first = imported.stat().st_mtime_ns
    for changed in (False, True):
        process.terminate()
        process.wait(timeout=20)
        process.stdout.close()
        if changed:
            os.utime(node.disk / "var/lib/k3py/agent/images/busybox.tar")
        process = start_containerd(node)
        assert (imported.stat().st_mtime_ns != first) == changed
    process.terminate()
    process.wait(timeout=20)
    process.stdout.close()


async def test_a_container_killed_for_its_memory_says_so(node):
    process = start_containerd(node)
    runtime = CriRuntime(node.path(SOCKET))
    (node.shared / "logs/main").mkdir(parents=True, exist_ok=True)
    config = sandbox_config(node.shared)
    sandbox_id = await runtime.run_pod_sandbox(config)
    greedy = container_config("sh", "-c", "tail /dev/zero; sleep 1")
    greedy["command"] = ["tail", "/dev/zero"]
    greedy["linux"] = {"resources": {"memory_limit_in_bytes": 16 << 20, "memory_swap_limit_in_bytes": 16 << 20}}
    container_id = await runtime.create_container(sandbox_id, greedy, config)
    seen = []
    async with runtime.events() as events:
        async for event in events:
            if event.type == "unknown":
                await runtime.start_container(container_id)
            elif event.container_id == container_id:
                seen.append(event.type)
                if event.type == "stopped":
                    break
    status = await runtime.container_status(container_id)
    assert (status["reason"], status["exit_code"]) == ("OOMKilled", 137)
    assert "oom" in seen
    runtime.close()
    process.terminate()
    process.wait(timeout=20)
    process.stdout.close()


def test_the_lab_leaves_nothing_behind():
    with Lab() as lab:
        node = lab.add_node("n1")
        sleeper = node.popen(["sleep", "1000"])
        folder, group, pid = lab.folder, f"k3py-lab-{lab.id}", node.pid
    assert sleeper.wait(timeout=5) != 0
    assert not folder.exists()
    assert not Path(f"/proc/{pid}").exists()
    assert list(Path("/sys/fs/cgroup").glob(f"*/{group}")) == []


def test_nodes_reach_each_other_and_nothing_else():
    with Lab() as lab:
        one, two = lab.add_node("n1"), lab.add_node("n2")
        one.run(["busybox", "ping", "-c1", "-W2", two.address])
        assert one.run(["ip", "route", "show", "default"]).stdout.split()[2] == "192.168.77.1"
        assert one.run(["busybox", "nc", "-w", "1", "1.1.1.1", "80"], check=False).returncode != 0


async def test_after_a_power_cut_old_pods_are_known_as_dead_and_new_ones_start():
    with Lab() as lab:
        node = lab.add_node("n1")
        put_busybox(node)
        process = start_containerd(node)
        container_id = await start_pod(node)
        lab.restart_node(node)
        process.wait(timeout=10)
        process.stdout.close()

        process = start_containerd(node)
        runtime = CriRuntime(node.path(SOCKET))
        (old,) = await runtime.list_pod_sandboxes()
        assert old["state"] == "SANDBOX_NOTREADY"
        assert (await runtime.container_status(container_id))["state"] == "CONTAINER_EXITED"
        await runtime.stop_pod_sandbox(old["id"])
        await runtime.remove_pod_sandbox(old["id"])
        assert list((node.disk / "var/lib/cni/networks/k3py").glob("10.*")) == []
        new_id = await start_pod(node)
        assert (await runtime.container_status(new_id))["state"] == "CONTAINER_RUNNING"
        runtime.close()
        process.terminate()
        process.wait(timeout=20)
        process.stdout.close()
