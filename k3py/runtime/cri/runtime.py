"""CriRuntime: sandboxes and containers over CRI v1.

Deadlines follow the kubelet's (two minutes a call, four for a sandbox), except that calls which wait for a container get its time on
top. Every call is one gRPC request; nothing is cached but which pod an id belongs to (for events).
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from k3py.runtime.cri.channel import CriChannel
from k3py.runtime.cri.events import follow_events
from k3py.runtime.cri.images import CriImages
from k3py.runtime.cri.owners import Owners
from k3py.runtime.errors import RuntimeNotFound, RuntimeUnsupported
from k3py.runtime.interface import ExecResult, RuntimeEvent, RuntimeService

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from k3py.jsontypes import JsonObject
    from k3py.runtime.interface import CallObserver

_SERVICE: Final = "/runtime.v1.RuntimeService/"
_CALL_S: Final = 120.0
_SANDBOX_S: Final = 240.0
_UID_LABEL: Final = "io.kubernetes.pod.uid"


class CriRuntime(CriImages, RuntimeService):
    """A CRI runtime at a unix socket; `close` it at the end.

    Args:
        socket: The runtime's socket; it may appear later, calls raise RuntimeUnavailable until then.
    """

    def __init__(self, socket: Path) -> None:
        super().__init__(CriChannel(socket))
        self._owners = Owners()

    def observe_calls(self, observe: CallObserver) -> None:
        """Tell of every call from now on."""
        self._channel.observe = observe

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    async def version(self) -> JsonObject:
        """Return VersionResponse."""
        return await self._call("Version", {})

    async def status(self) -> JsonObject:
        """Return RuntimeStatus."""
        answer: JsonObject = (await self._call("Status", {})).get("status", {"conditions": []})
        return answer

    async def cgroup_driver(self) -> str:
        """Return "systemd" or "cgroupfs" as the runtime is set, or "" when it cannot tell (containerd before 2.0)."""
        try:
            answer = await self._call("RuntimeConfig", {})
        except RuntimeUnsupported:
            return ""
        driver = answer.get("linux", {}).get("cgroup_driver", "SYSTEMD")
        return {"SYSTEMD": "systemd", "CGROUPFS": "cgroupfs"}.get(driver, "")

    async def run_pod_sandbox(self, config: JsonObject, *, runtime_handler: str = "") -> str:
        """Create and start a sandbox; return its id."""
        request = {"config": config, "runtime_handler": runtime_handler}
        answer = await self._call("RunPodSandbox", request, timeout_s=_SANDBOX_S)
        sandbox_id = str(answer["pod_sandbox_id"])
        self._owners.note(sandbox_id, sandbox_id, config["metadata"].get("uid", ""))
        return sandbox_id

    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        """Stop a sandbox; unknown ids are fine."""
        await self._forgiving("StopPodSandbox", {"pod_sandbox_id": sandbox_id})

    async def remove_pod_sandbox(self, sandbox_id: str) -> None:
        """Remove a sandbox; unknown ids are fine."""
        await self._forgiving("RemovePodSandbox", {"pod_sandbox_id": sandbox_id})

    async def pod_sandbox_status(self, sandbox_id: str) -> JsonObject:
        """Return PodSandboxStatus."""
        answer = await self._call("PodSandboxStatus", {"pod_sandbox_id": sandbox_id})
        status: JsonObject = answer["status"]
        return status

    async def list_pod_sandboxes(self, *, labels: Mapping[str, str] | None = None) -> Sequence[JsonObject]:
        """Return PodSandbox documents."""
        answer = await self._call("ListPodSandbox", {"filter": {"label_selector": dict(labels or {})}})
        items: list[JsonObject] = answer["items"]
        for item in items:
            self._owners.note(item["id"], item["id"], item["metadata"]["uid"])
        return items

    async def create_container(self, sandbox_id: str, config: JsonObject, sandbox_config: JsonObject) -> str:
        """Create a container; return its id."""
        request = {"pod_sandbox_id": sandbox_id, "config": config, "sandbox_config": sandbox_config}
        answer = await self._call("CreateContainer", request)
        container_id = str(answer["container_id"])
        self._owners.note(container_id, sandbox_id, sandbox_config["metadata"].get("uid", ""))
        return container_id

    async def start_container(self, container_id: str) -> None:
        """Start a created container."""
        await self._call("StartContainer", {"container_id": container_id})

    async def stop_container(self, container_id: str, *, timeout_s: int) -> None:
        """Stop a container; unknown ids are fine."""
        request = {"container_id": container_id, "timeout": timeout_s}
        await self._forgiving("StopContainer", request, timeout_s=timeout_s + _CALL_S)

    async def remove_container(self, container_id: str) -> None:
        """Remove a container; unknown ids are fine."""
        await self._forgiving("RemoveContainer", {"container_id": container_id})

    async def list_containers(
        self, *, sandbox_id: str = "", labels: Mapping[str, str] | None = None
    ) -> Sequence[JsonObject]:
        """Return Container documents."""
        where = {"pod_sandbox_id": sandbox_id, "label_selector": dict(labels or {})}
        answer = await self._call("ListContainers", {"filter": where})
        containers: list[JsonObject] = answer["containers"]
        for item in containers:
            known = self._owners.find(item["pod_sandbox_id"])
            uid = item["labels"].get(_UID_LABEL) or (known.pod_uid if known else "")
            self._owners.note(item["id"], item["pod_sandbox_id"], uid)
        return containers

    async def container_status(self, container_id: str) -> JsonObject:
        """Return ContainerStatus."""
        answer = await self._call("ContainerStatus", {"container_id": container_id})
        status: JsonObject = answer["status"]
        return status

    async def update_container_resources(self, container_id: str, linux: JsonObject) -> None:
        """Change LinuxContainerResources of a running container."""
        await self._call("UpdateContainerResources", {"container_id": container_id, "linux": linux})

    async def reopen_container_log(self, container_id: str) -> None:
        """Have the log file opened anew."""
        await self._call("ReopenContainerLog", {"container_id": container_id})

    async def exec_sync(self, container_id: str, command: Sequence[str], *, timeout_s: int) -> ExecResult:
        """Run a command and wait; 0 s waits for ever."""
        request = {"container_id": container_id, "cmd": list(command), "timeout": timeout_s}
        # The runtime ends it by itself; our deadline is the net below.
        limit_s = timeout_s + _CALL_S if timeout_s else float(1 << 26)  # gRPC takes at most eight digits
        answer = await self._call("ExecSync", request, timeout_s=limit_s)
        return ExecResult(answer["stdout"], answer["stderr"], answer["exit_code"])

    async def exec_url(
        self, container_id: str, command: Sequence[str], *, tty: bool, stdin: bool, stdout: bool, stderr: bool
    ) -> str:
        """Prepare a streaming exec; return its URL."""
        request = {"container_id": container_id, "cmd": list(command)} | _streams(tty, stdin, stdout, stderr)
        return str((await self._call("Exec", request))["url"])

    async def attach_url(
        self, container_id: str, *, tty: bool, stdin: bool, stdout: bool, stderr: bool
    ) -> str:
        """Prepare a streaming attach; return its URL."""
        request = {"container_id": container_id} | _streams(tty, stdin, stdout, stderr)
        return str((await self._call("Attach", request))["url"])

    async def port_forward_url(self, sandbox_id: str, ports: Sequence[int]) -> str:
        """Prepare a port-forward; return its URL."""
        request = {"pod_sandbox_id": sandbox_id, "port": list(ports)}
        return str((await self._call("PortForward", request))["url"])

    async def container_stats(self, *, sandbox_id: str = "") -> Sequence[JsonObject]:
        """Return ContainerStats documents."""
        answer = await self._call("ListContainerStats", {"filter": {"pod_sandbox_id": sandbox_id}})
        stats: list[JsonObject] = answer["stats"]
        return stats

    @asynccontextmanager
    async def events(self) -> AsyncIterator[AsyncIterator[RuntimeEvent]]:
        """Follow container events; "unknown" first and after each reconnect."""
        async with follow_events(self._channel, self._owners) as stream:
            yield stream

    async def _call(self, method: str, request: JsonObject, *, timeout_s: float = _CALL_S) -> JsonObject:
        return await self._channel.call(_SERVICE + method, request, timeout_s=timeout_s)

    async def _forgiving(self, method: str, request: JsonObject, *, timeout_s: float = _CALL_S) -> None:
        """Call an idempotent method; what is not there is done."""
        try:
            await self._call(method, request, timeout_s=timeout_s)
        except RuntimeNotFound:
            return


def _streams(tty: bool, stdin: bool, stdout: bool, stderr: bool) -> JsonObject:
    # With a terminal, stderr is part of stdout; runtimes refuse both together.
    return {"tty": tty, "stdin": stdin, "stdout": stdout, "stderr": stderr and not tty}
