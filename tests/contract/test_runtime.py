"""What every runtime does; runs on the fake, and (e2e) on containerd in the lab.

The commands are the same for both: busybox on the real one, `fake_program` on the fake.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from k3py.runtime.errors import ImagePullFailed, RuntimeFailure, RuntimeNotFound, RuntimeTimeout
from k3py.runtime.fake import FakeRuntime

NAMESPACES = {"pid": "CONTAINER"}  # as the kubelet asks: the container's program is its first process
IMAGE = "docker.io/library/busybox:local"


@asynccontextmanager
async def _fake():
    async with FakeRuntime(pullable=()) as runtime:
        yield runtime


@pytest.fixture(params=["fake"])
async def runtime(request):
    async with _fake() as made:
        yield made


def sandbox_config(tmp_path, name="web", attempt=0):
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", "namespace": "default", "attempt": attempt},
        "hostname": name,
        "log_directory": str(tmp_path / "logs"),
        "labels": {"io.kubernetes.pod.uid": f"uid-{name}", "app": name},
        "annotations": {"note": "x"},
        "linux": {"security_context": {"namespace_options": NAMESPACES}},
    }


def container_config(*command, name="main", attempt=0, **more):
    return {
        "metadata": {"name": name, "attempt": attempt},
        "image": {"image": IMAGE},
        "command": list(command),
        "labels": {"io.kubernetes.container.name": name},
        "log_path": f"{name}/{attempt}.log",
        "linux": {"security_context": {"namespace_options": NAMESPACES}},
    } | more


async def started(runtime, tmp_path, *command, name="web", **more):
    config = sandbox_config(tmp_path, name)
    sandbox_id = await runtime.run_pod_sandbox(config)
    (tmp_path / "logs" / more.get("name", "main")).mkdir(parents=True, exist_ok=True)
    container_id = await runtime.create_container(sandbox_id, container_config(*command, **more), config)
    await runtime.start_container(container_id)
    return sandbox_id, container_id


async def wait_for_exit(runtime, container_id):
    """Wait on events, not on a clock."""
    async with asyncio.timeout(10), runtime.events() as events:
        async for event in events:
            if event.type in ("unknown", "stopped"):
                status = await runtime.container_status(container_id)
                if status["state"] == "CONTAINER_EXITED":
                    return status
    raise AssertionError("the events ended")


async def test_a_sandbox_has_an_address_labels_and_is_ready(runtime, tmp_path):
    sandbox_id = await runtime.run_pod_sandbox(sandbox_config(tmp_path))
    status = await runtime.pod_sandbox_status(sandbox_id)
    assert status["state"] == "SANDBOX_READY"
    assert status["network"]["ip"].count(".") == 3
    assert status["metadata"] == {"name": "web", "uid": "uid-web", "namespace": "default", "attempt": 0}
    assert status["labels"]["app"] == "web"


async def test_sandboxes_are_listed_by_label(runtime, tmp_path):
    web = await runtime.run_pod_sandbox(sandbox_config(tmp_path, "web"))
    await runtime.run_pod_sandbox(sandbox_config(tmp_path, "db"))
    assert len(await runtime.list_pod_sandboxes()) == 2
    assert [s["id"] for s in await runtime.list_pod_sandboxes(labels={"app": "web"})] == [web]


async def test_the_same_sandbox_name_and_attempt_is_refused(runtime, tmp_path):
    await runtime.run_pod_sandbox(sandbox_config(tmp_path))
    with pytest.raises(RuntimeFailure):
        await runtime.run_pod_sandbox(sandbox_config(tmp_path))
    await runtime.run_pod_sandbox(sandbox_config(tmp_path, attempt=1))


async def test_a_stopped_sandbox_is_not_ready_and_stopping_again_is_fine(runtime, tmp_path):
    sandbox_id, container_id = await started(runtime, tmp_path, "sleep", "1000")
    await runtime.stop_pod_sandbox(sandbox_id)
    assert (await runtime.pod_sandbox_status(sandbox_id))["state"] == "SANDBOX_NOTREADY"
    assert (await runtime.container_status(container_id))["state"] == "CONTAINER_EXITED"
    await runtime.stop_pod_sandbox(sandbox_id)


async def test_a_removed_sandbox_is_gone_with_its_containers(runtime, tmp_path):
    sandbox_id, container_id = await started(runtime, tmp_path, "sleep", "1000")
    await runtime.stop_pod_sandbox(sandbox_id)
    await runtime.remove_pod_sandbox(sandbox_id)
    await runtime.remove_pod_sandbox(sandbox_id)
    with pytest.raises(RuntimeNotFound):
        await runtime.pod_sandbox_status(sandbox_id)
    with pytest.raises(RuntimeNotFound):
        await runtime.container_status(container_id)


async def test_a_container_goes_from_created_to_running_to_exited(runtime, tmp_path):
    config = sandbox_config(tmp_path)
    sandbox_id = await runtime.run_pod_sandbox(config)
    (tmp_path / "logs/main").mkdir(parents=True, exist_ok=True)
    container_id = await runtime.create_container(
        sandbox_id, container_config("sh", "-c", "echo hello; echo bad >&2; sleep 0.2; exit 3"), config
    )
    assert (await runtime.container_status(container_id))["state"] == "CONTAINER_CREATED"
    await runtime.start_container(container_id)
    assert (await runtime.container_status(container_id))["state"] == "CONTAINER_RUNNING"
    status = await wait_for_exit(runtime, container_id)
    assert (status["exit_code"], status["reason"]) == (3, "Error")
    assert status["created_at"] <= status["started_at"] < status["finished_at"]


async def test_exit_code_0_is_completed(runtime, tmp_path):
    _, container_id = await started(runtime, tmp_path, "true")
    status = await wait_for_exit(runtime, container_id)
    assert (status["exit_code"], status["reason"]) == (0, "Completed")


async def test_the_log_has_time_stream_tag_and_text(runtime, tmp_path):
    _, container_id = await started(runtime, tmp_path, "sh", "-c", "echo hello; sleep 0.1; echo bad >&2")
    await wait_for_exit(runtime, container_id)
    lines = (tmp_path / "logs/main/0.log").read_text().splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == ["stdout F hello", "stderr F bad"]
    assert lines[0][10] == "T"


async def test_a_program_that_is_not_there_fails_the_start(runtime, tmp_path):
    with pytest.raises(RuntimeFailure, match="no/such/program"):
        await started(runtime, tmp_path, "/no/such/program")
    status = (await runtime.list_containers())[0]
    status = await runtime.container_status(status["id"])
    assert (status["state"], status["exit_code"], status["reason"]) == ("CONTAINER_EXITED", 128, "StartError")


async def test_a_handler_of_sigterm_decides_the_exit_code(runtime, tmp_path):
    command = "trap 'exit 5' TERM; while true; do sleep 0.05; done"
    _, container_id = await started(runtime, tmp_path, "sh", "-c", command)
    async with asyncio.timeout(5):
        await asyncio.sleep(0.2)  # until the shell has its trap
        await runtime.stop_container(container_id, timeout_s=5)
    status = await runtime.container_status(container_id)
    assert (status["state"], status["exit_code"]) == ("CONTAINER_EXITED", 5)


@pytest.mark.slow
async def test_a_container_without_a_handler_is_killed_after_the_grace_period(runtime, tmp_path):
    _, container_id = await started(runtime, tmp_path, "sleep", "1000")
    await runtime.stop_container(container_id, timeout_s=1)
    assert (await runtime.container_status(container_id))["exit_code"] == 137
    await runtime.stop_container(container_id, timeout_s=1)


async def test_a_removed_container_is_not_found_and_removing_again_is_fine(runtime, tmp_path):
    _, container_id = await started(runtime, tmp_path, "sleep", "1000")
    await runtime.remove_container(container_id)
    await runtime.remove_container(container_id)
    with pytest.raises(RuntimeNotFound):
        await runtime.container_status(container_id)


async def test_containers_are_listed_by_sandbox_and_label(runtime, tmp_path):
    web, web_main = await started(runtime, tmp_path, "sleep", "1000", name="web")
    _, _ = await started(runtime, tmp_path, "sleep", "1000", name="db")
    found = await runtime.list_containers(sandbox_id=web)
    assert [(c["id"], c["pod_sandbox_id"], c["state"]) for c in found] == [(web_main, web, "CONTAINER_RUNNING")]
    assert len(await runtime.list_containers(labels={"io.kubernetes.container.name": "main"})) == 2
    assert await runtime.list_containers(labels={"io.kubernetes.container.name": "other"}) == []


async def test_exec_sync_returns_output_and_exit_code(runtime, tmp_path):
    _, container_id = await started(runtime, tmp_path, "sleep", "1000")
    result = await runtime.exec_sync(container_id, ["sh", "-c", "echo out; echo err >&2; exit 4"], timeout_s=5)
    assert (result.stdout, result.stderr, result.exit_code) == (b"out\n", b"err\n", 4)


@pytest.mark.slow
async def test_exec_sync_longer_than_its_timeout_is_a_timeout(runtime, tmp_path):
    _, container_id = await started(runtime, tmp_path, "sleep", "1000")
    with pytest.raises(RuntimeTimeout):
        await runtime.exec_sync(container_id, ["sleep", "30"], timeout_s=1)


async def test_an_image_that_is_not_there_cannot_be_used_or_pulled(runtime, tmp_path):
    config = sandbox_config(tmp_path)
    sandbox_id = await runtime.run_pod_sandbox(config)
    missing = container_config("true") | {"image": {"image": "k3py.invalid/none:1"}}
    with pytest.raises(RuntimeFailure):
        await runtime.create_container(sandbox_id, missing, config)
    with pytest.raises(ImagePullFailed):
        await runtime.pull_image("k3py.invalid/none:1")
    assert await runtime.image_status("k3py.invalid/none:1") is None


async def test_an_image_is_found_by_name_and_by_id(runtime):
    image = await runtime.image_status(IMAGE)
    assert image is not None
    assert IMAGE in image["repo_tags"]
    assert (await runtime.image_status(image["id"]))["id"] == image["id"]
    assert image["id"] in [other["id"] for other in await runtime.list_images()]


async def test_events_begin_with_unknown_and_tell_start_and_stop_with_the_pods_uid(runtime, tmp_path):
    async with asyncio.timeout(10), runtime.events() as events:
        assert (await anext(events)).type == "unknown"
        sandbox_id, container_id = await started(runtime, tmp_path, "sh", "-c", "sleep 0.1; exit 1")
        seen = []
        async for event in events:
            if event.container_id == container_id and event.type in ("started", "stopped"):
                assert (event.sandbox_id, event.pod_uid) == (sandbox_id, "uid-web")
                seen.append(event.type)
            if event.container_id == container_id and event.type == "stopped":
                break
        assert seen == ["started", "stopped"]
        assert (await runtime.container_status(container_id))["state"] == "CONTAINER_EXITED"


async def test_a_sandboxs_end_is_told(runtime, tmp_path):
    sandbox_id = await runtime.run_pod_sandbox(sandbox_config(tmp_path))
    async with asyncio.timeout(10), runtime.events() as events:
        assert (await anext(events)).type == "unknown"
        await runtime.stop_pod_sandbox(sandbox_id)
        async for event in events:
            if event.type == "stopped" and event.sandbox_id == sandbox_id:
                break
    assert (await runtime.pod_sandbox_status(sandbox_id))["state"] == "SANDBOX_NOTREADY"
