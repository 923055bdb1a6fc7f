"""Pods get other resources while they run, if the node has them, and say how far that is."""

from __future__ import annotations

import pytest

from k3py.api.resource import PODS
from k3py.kubelet.pod_resize import PodResize, amounts
from k3py.kubelet.runtime_state import EMPTY
from k3py.runtime.errors import RuntimeFailure
from k3py.runtime.fake import FakeRuntime
from tests.support.fake_client import FakeClient
from tests.support.kubelet import bound_pod, container, running_kubelet


def resources(cpu="100m", memory="64Mi"):
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": cpu, "memory": memory}}


def sized_pod(name="p", cpu="100m", memory="64Mi", **extra):
    return bound_pod(
        name, containers=[container("c", resources=resources(cpu, memory), **extra)], terminationGracePeriodSeconds=1
    )


async def resize(client, name="p", **new):
    patch = {"spec": {"containers": [{"name": "c", "resources": resources(**new)}]}}
    await client.patch(PODS, name, patch, namespace="default")


def condition(bench, kind, name="p"):
    return next((one for one in bench.status(name).get("conditions") or () if one["type"] == kind), None)


def linux(bench):
    (made,) = bench.runtime.containers.values()
    return made.status["resources"]["linux"]


async def test_a_running_container_gets_more_without_a_restart(tmp_path):
    client = FakeClient(graceful_pods=True)
    async with running_kubelet(tmp_path, client=client) as bench:
        client.seed(PODS, sized_pod())
        await bench.until(lambda: bench.condition("Ready") == "True")
        await resize(client, cpu="200m", memory="128Mi")
        await bench.until(lambda: bench.container().get("resources") == resources("200m", "128Mi"))
        assert (linux(bench)["cpu_quota"], linux(bench)["memory_limit_in_bytes"]) == (20_000, 128 << 20)
        assert bench.container()["allocatedResources"] == resources("200m", "128Mi")["requests"]
        assert bench.container()["restartCount"] == 0
        await bench.until(lambda: condition(bench, "PodResizeInProgress") is None)
        assert [one for one in bench.events.reasons if one.startswith("Resize")] == ["ResizeStarted", "ResizeCompleted"]


async def test_a_container_that_wants_so_is_restarted(tmp_path):
    client = FakeClient(graceful_pods=True)
    policy = [{"resourceName": "cpu", "restartPolicy": "NotRequired"}, {"resourceName": "memory", "restartPolicy": "RestartContainer"}]
    async with running_kubelet(tmp_path, client=client) as bench:
        client.seed(PODS, sized_pod(resizePolicy=policy))
        await bench.until(lambda: bench.condition("Ready") == "True")
        await resize(client, cpu="200m")
        await bench.until(lambda: bench.container().get("resources") == resources("200m"))
        assert bench.container()["restartCount"] == 0
        await resize(client, cpu="200m", memory="128Mi")
        await bench.until(lambda: bench.container()["restartCount"] == 1 and bench.condition("Ready") == "True")
        assert bench.container()["resources"] == resources("200m", "128Mi")
        made = max(bench.runtime.containers.values(), key=lambda one: one.status["created_at"])
        assert made.status["resources"]["linux"]["memory_limit_in_bytes"] == 128 << 20


async def test_what_the_node_can_never_give_is_infeasible(tmp_path):
    client = FakeClient(graceful_pods=True)
    async with running_kubelet(tmp_path, client=client) as bench:
        client.seed(PODS, sized_pod())
        await bench.until(lambda: bench.condition("Ready") == "True")
        await resize(client, cpu="100000")
        await bench.until(lambda: condition(bench, "PodResizePending"))
        pending = condition(bench, "PodResizePending")
        assert (pending["reason"], pending["status"]) == ("Infeasible", "True")
        assert "enough capacity: cpu" in pending["message"]
        assert bench.container()["resources"] == bench.container()["resources"] | resources()
        assert "ResizeInfeasible" in bench.events.reasons
        await resize(client)
        await bench.until(lambda: condition(bench, "PodResizePending") is None)


async def test_what_others_have_is_waited_for(tmp_path):
    client = FakeClient(graceful_pods=True)
    async with running_kubelet(tmp_path, client=client) as bench:
        await bench.until(lambda: bench.kubelet.node and bench.kubelet.node.node)
        cpus = int(bench.kubelet.node.node["status"]["allocatable"]["cpu"])
        half = f"{cpus * 500}m"
        for name in ("p", "q"):
            client.seed(PODS, sized_pod(name, half))
        await bench.until(lambda: bench.condition("Ready") == bench.condition("Ready", "q") == "True")
        await resize(client, cpu=str(cpus))
        await bench.until(lambda: (condition(bench, "PodResizePending") or {}).get("reason") == "Deferred")
        await client.delete(PODS, "q", namespace="default")
        await bench.until(lambda: bench.container()["resources"] == resources(str(cpus)))
        await bench.until(lambda: condition(bench, "PodResizePending") is None)


async def test_a_runtime_that_refuses_is_told(tmp_path):
    client = FakeClient(graceful_pods=True)
    async with running_kubelet(tmp_path, client=client) as bench:
        client.seed(PODS, sized_pod())
        await bench.until(lambda: bench.condition("Ready") == "True")
        bench.runtime.fail_next("update_container_resources", RuntimeFailure("no"))
        await resize(client, cpu="200m")
        await bench.until(lambda: (condition(bench, "PodResizeInProgress") or {}).get("reason") == "Error")
        assert condition(bench, "PodResizeInProgress")["message"] == "no"
        assert bench.container()["allocatedResources"]["cpu"] == "200m"
        assert bench.container()["resources"]["requests"]["cpu"] == "100m"


async def test_a_resize_while_the_kubelet_is_away_is_made_up_for(tmp_path):
    client = FakeClient(graceful_pods=True)
    async with FakeRuntime() as runtime:
        async with running_kubelet(tmp_path, client=client, runtime=runtime) as bench:
            client.seed(PODS, sized_pod())
            await bench.until(lambda: bench.condition("Ready") == "True")
        await resize(client, cpu="200m")
        async with running_kubelet(tmp_path, client=client, runtime=runtime) as bench:
            await bench.until(lambda: bench.container().get("resources") == resources("200m"))
            assert linux(bench)["cpu_quota"] == 20_000


@pytest.mark.parametrize(("one", "other"), [(resources("1", "1Gi"), resources("1000m", "1024Mi")), ({}, {"limits": {"x/y": "1"}})])
def test_the_same_amounts_are_no_resize(one, other):
    assert amounts(one) == amounts(other)


def test_a_static_pod_is_not_resized():
    old = sized_pod()
    old["metadata"]["annotations"] = {"kubernetes.io/config.source": "file"}
    new = {**old, "spec": {**old["spec"], "containers": [container("c", resources=resources("200m"))]}}
    resized = PodResize(old)
    resized.take(new, old)
    assert not resized.decide(new, EMPTY, {"cpu": "8"}, ())
    assert resized.condition == ("Infeasible", "In-place resize of static-pods is not supported")
    assert resized.effective(new)["spec"] == old["spec"]
