"""The kubelet as a whole, on a fake runtime and a fake API."""

from __future__ import annotations

import asyncio

from k3py.api.resource import NODES, PODS, SECRETS
from k3py.client.last_known import LastKnown
from k3py.network.policy.controller import NotEnforced
from k3py.runtime.fake import FakeRuntime
from tests.support.fake_client import FakeClient
from tests.support.kubelet import bound_pod, container, running_kubelet


async def test_a_pod_runs_gets_an_address_and_becomes_ready(tmp_path):
    async with running_kubelet(tmp_path) as bench:
        bench.client.seed(PODS, bound_pod())
        await bench.until(lambda: bench.condition("Ready") == "True")
        status = bench.status()
        assert status["phase"] == "Running"
        assert status["podIP"].startswith("10.88.")
        assert status["hostIP"] == "10.0.0.1"
        assert status["qosClass"] == "BestEffort"
        assert bench.container()["state"]["running"]
        assert bench.container()["containerID"].startswith("k3py-fake://")
        assert [one for one in bench.events.reasons if one in ("Pulled", "Created", "Started")] == [
            "Pulled",
            "Created",
            "Started",
        ]


async def test_a_node_registers_and_becomes_ready_once_it_has_its_range(tmp_path):
    async with running_kubelet(tmp_path) as bench:

        async def ready():
            node = await bench.client.get(NODES, "n1")
            return {one["type"]: one["status"] for one in node["status"]["conditions"]}.get("Ready")

        for _ in range(1000):
            if await ready() == "True":
                break
            await __import__("asyncio").sleep(0.001)
        assert await ready() == "True"


async def test_a_pod_that_never_restarts_succeeds(tmp_path):
    async with running_kubelet(tmp_path) as bench:
        bench.client.seed(PODS, bound_pod(containers=[container("c", "true")], restartPolicy="Never"))
        await bench.until(lambda: bench.phase() == "Succeeded")
        assert bench.container()["state"]["terminated"]["reason"] == "Completed"
        await bench.until(
            lambda: all(s.status["state"] == "SANDBOX_NOTREADY" for s in bench.runtime.sandboxes.values())
        )


async def test_a_pod_that_never_restarts_fails_with_its_exit_code(tmp_path):
    async with running_kubelet(tmp_path) as bench:
        bench.client.seed(
            PODS, bound_pod(containers=[container("c", "sh", "-c", "exit 3")], restartPolicy="Never")
        )
        await bench.until(lambda: bench.phase() == "Failed")
        assert bench.container()["state"]["terminated"]["exitCode"] == 3


async def test_a_crashing_container_is_restarted_then_waits_in_back_off(tmp_path):
    async with running_kubelet(tmp_path) as bench:
        bench.client.seed(PODS, bound_pod(containers=[container("c", "false")]))
        await bench.until(
            lambda: bench.container()["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff"
        )
        assert bench.container()["restartCount"] == 1
        assert bench.container()["lastState"]["terminated"]["exitCode"] == 1
        assert bench.phase() == "Running"
        assert "BackOff" in bench.events.reasons


async def test_a_deleted_pod_leaves_nothing_behind(tmp_path):
    async with running_kubelet(tmp_path) as bench:
        bench.client.seed(PODS, bound_pod())
        await bench.until(lambda: bench.condition("Ready") == "True")
        await bench.client.delete(PODS, "p", namespace="default")
        await bench.until(lambda: bench.pod() is None and not bench.runtime.sandboxes)
        assert not bench.runtime.containers
        await bench.until(lambda: not list((tmp_path / "kubelet" / "pods").iterdir()))
        assert "Killing" in bench.events.reasons


async def test_init_containers_run_before_the_containers(tmp_path):
    async with running_kubelet(tmp_path) as bench:
        pod = bound_pod(initContainers=[container("one", "true"), container("two", "true")])
        bench.client.seed(PODS, pod)
        await bench.until(lambda: bench.condition("Ready") == "True")
        names = [c.status["metadata"]["name"] for c in bench.runtime.containers.values()]
        assert names == ["one", "two", "c"]
        assert bench.condition("Initialized") == "True"


async def test_a_failing_init_container_fails_a_pod_that_never_restarts(tmp_path):
    async with running_kubelet(tmp_path) as bench:
        bench.client.seed(PODS, bound_pod(initContainers=[container("one", "false")], restartPolicy="Never"))
        await bench.until(lambda: bench.phase() == "Failed")
        assert bench.condition("Initialized") == "False"
        assert [c.status["metadata"]["name"] for c in bench.runtime.containers.values()] == ["one"]


async def test_a_sidecar_does_not_keep_a_finished_pod_alive(tmp_path):
    async with running_kubelet(tmp_path) as bench:
        pod = bound_pod(
            initContainers=[container("side", restartPolicy="Always")],
            containers=[container("c", "true")],
            restartPolicy="Never",
        )
        bench.client.seed(PODS, pod)
        await bench.until(lambda: bench.phase() == "Succeeded")
        side = bench.runtime.container_named("side")
        assert side.status["state"] == "CONTAINER_EXITED"


async def test_a_restarted_kubelet_takes_over_what_runs(tmp_path):
    async with FakeRuntime() as runtime:
        async with running_kubelet(tmp_path, runtime=runtime) as first:
            first.client.seed(PODS, bound_pod())
            await first.until(lambda: first.condition("Ready") == "True")
            client = first.client
        before = set(runtime.containers)
        version = (await client.get(PODS, "p", namespace="default"))["metadata"]["resourceVersion"]
        async with running_kubelet(tmp_path, runtime=runtime, client=client) as second:
            await second.until(
                lambda: second.kubelet.pods is not None and second.kubelet.pods.find("default", "p")
            )
            client.seed(PODS, bound_pod("q"))
            await second.until(lambda: second.condition("Ready", "q") == "True")
            assert before < set(runtime.containers)
            assert second.pod()["metadata"]["resourceVersion"] == version
            assert second.container()["restartCount"] == 0


async def test_orphans_are_taken_down(tmp_path):
    async with FakeRuntime() as runtime:
        async with running_kubelet(tmp_path, runtime=runtime) as first:
            first.client.seed(PODS, bound_pod())
            await first.until(lambda: first.condition("Ready") == "True")
        async with running_kubelet(tmp_path, runtime=runtime) as second:
            await second.until(lambda: not runtime.sandboxes)
            assert not runtime.containers


async def test_a_dead_sandbox_is_replaced_and_its_containers_restarted(tmp_path):
    async with running_kubelet(tmp_path) as bench:
        bench.client.seed(PODS, bound_pod(terminationGracePeriodSeconds=1))
        await bench.until(lambda: bench.condition("Ready") == "True")
        sandbox = next(iter(bench.runtime.sandboxes))
        bench.runtime.kill_sandbox(sandbox)
        await bench.until(
            lambda: bench.container().get("restartCount") == 1 and bench.condition("Ready") == "True"
        )
        assert "SandboxChanged" in bench.events.reasons


async def test_an_image_that_cannot_be_pulled_is_told(tmp_path):
    async with running_kubelet(tmp_path) as bench:
        bench.runtime.pullable = set()
        bench.client.seed(PODS, bound_pod(containers=[{"name": "c", "image": "nowhere/none:1"}]))
        await bench.until(
            lambda: bench.container()["state"].get("waiting", {}).get("reason") == "ErrImagePull"
        )
        assert bench.phase() == "Pending"
        await bench.until(lambda: bench.container()["state"]["waiting"]["reason"] == "ImagePullBackOff")


async def test_a_missing_config_map_is_a_config_error(tmp_path):
    async with running_kubelet(tmp_path) as bench:
        source = [{"configMapRef": {"name": "absent"}}]
        bench.client.seed(PODS, bound_pod(containers=[container("c", envFrom=source)]))
        await bench.until(
            lambda: (
                bench.container()["state"].get("waiting", {}).get("reason") == "CreateContainerConfigError"
            )
        )
        assert bench.container()["state"]["waiting"]["message"] == 'configmap "absent" not found'


async def test_the_deadline_of_a_pod_fails_it(tmp_path):
    async with running_kubelet(tmp_path) as bench:
        bench.client.seed(PODS, bound_pod(activeDeadlineSeconds=1, terminationGracePeriodSeconds=1))
        await bench.until(lambda: bench.phase() == "Failed")
        assert bench.status()["reason"] == "DeadlineExceeded"


async def test_a_node_that_starts_without_its_server_runs_its_pods_and_merges_later(tmp_path):
    client = FakeClient(graceful_pods=True)
    login = {"kind": "Secret", "metadata": {"name": "login", "namespace": "default"}, "data": {"k": "eA=="}}
    client.seed(SECRETS, login)
    variable = {"name": "K", "valueFrom": {"secretKeyRef": {"name": "login", "key": "k"}}}
    for name in ("stays", "goes"):
        client.seed(PODS, bound_pod(name, containers=[container("c", env=[variable])]))
    async with running_kubelet(tmp_path, client=client, last_known=LastKnown(tmp_path / "known")) as bench:
        await bench.until(lambda: bench.condition("Ready", "stays") == bench.condition("Ready", "goes") == "True")
    client.remove(PODS, "goes", "default")
    client.away = True
    async with running_kubelet(tmp_path, client=client, last_known=LastKnown(tmp_path / "known")) as bench:
        # An empty runtime: what a machine has that was installed anew, and what a reboot leaves at the least.
        running = await bench.until(
            lambda: [one for one in bench.runtime.containers.values() if one.status["state"] == "CONTAINER_RUNNING"][1:]
        )
        assert len(running) == 1
        first = {one.status["id"] for one in bench.runtime.containers.values()}
        client.away = False
        await bench.until(lambda: len(bench.runtime.containers) == 1)
        await bench.until(lambda: not bench.kubelet.pods.find("default", "goes"))
        await bench.until(lambda: bench.container(name="stays").get("containerID", "").rpartition("/")[2] in first)
        assert bench.condition("Ready", "stays") == "True"


class Gate:
    """Lets pods through when it is told to; refuses the first `refusals`."""

    def __init__(self, *, refusals=0):
        self.open = asyncio.Event()
        self.refusals = refusals
        self.asked = []

    async def admit(self, pod, find_addresses):
        self.asked.append((pod["metadata"]["name"], await find_addresses()))
        await self.open.wait()
        if self.refusals:
            self.refusals -= 1
            raise NotEnforced("not yet")


async def test_containers_wait_until_the_rules_for_their_pod_are_there(tmp_path):
    gate = Gate()
    async with running_kubelet(tmp_path, policy_enforcer=gate) as bench:
        bench.client.seed(PODS, bound_pod())
        await bench.until(lambda: gate.asked)
        assert gate.asked[0][1][0].startswith("10.88.")
        assert bench.kubelet.pods is not None
        for _ in range(20):
            bench.kubelet.pods.wake_all()  # whatever else happens to the pod meanwhile
            await asyncio.sleep(0.001)
        assert not bench.runtime.containers
        gate.open.set()
        await bench.until(lambda: bench.condition("Ready") == "True")
        assert len(gate.asked) == 1


async def test_a_sandbox_whose_rules_cannot_be_written_is_not_used(tmp_path):
    gate = Gate(refusals=1)
    gate.open.set()
    async with running_kubelet(tmp_path, policy_enforcer=gate) as bench:
        bench.client.seed(PODS, bound_pod())
        await bench.until(lambda: "FailedCreatePodSandBox" in bench.events.reasons)
        assert not bench.runtime.containers
        (first,) = bench.runtime.sandboxes.values()
        assert first.status["state"] == "SANDBOX_NOTREADY"


async def test_pods_on_the_hosts_network_wait_for_no_rules(tmp_path):
    gate = Gate()
    async with running_kubelet(tmp_path, policy_enforcer=gate) as bench:
        bench.client.seed(PODS, bound_pod(hostNetwork=True))
        await bench.until(lambda: bench.condition("Ready") == "True")
        assert gate.asked == []
