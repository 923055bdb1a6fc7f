"""The seam to container runtimes: CRI v1 with its messages as dicts.

Documents use CRI's own proto field names in snake_case ({"metadata": {"name": …}, "log_directory": …}); the table of messages is
generated from the CRI definition (k3py/wire). Enums are their names ("CONTAINER_RUNNING"), int64 are ints, bytes are bytes, absent
scalars are left out on encode and filled with zero values on decode. Implementations: `runtime.cri` and the verified `runtime.fake`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from k3py.jsontypes import JsonObject


@dataclass(frozen=True, slots=True)
class ExecResult:
    """Outcome of a synchronous exec."""

    stdout: bytes
    stderr: bytes
    exit_code: int


@dataclass(frozen=True, slots=True)
class RuntimeEvent:
    """Something happened to a container or sandbox: look at the pod again.

    type "unknown" with empty ids: events may have been lost, look at every pod.
    """

    type: Literal["created", "started", "stopped", "deleted", "oom", "unknown"]
    container_id: str = ""
    sandbox_id: str = ""
    pod_uid: str = ""


class CallObserver(Protocol):
    """Hears of calls of a runtime."""

    def __call__(self, method: str, seconds: float, *, failed: bool) -> None:
        """Note a call that has ended."""


@runtime_checkable
class ObservableRuntime(Protocol):
    """A runtime that tells of its calls."""

    def observe_calls(self, observe: CallObserver) -> None:
        """Tell of every call from now on."""


class RuntimeService(Protocol):
    """Sandboxes and containers. Raises the conditions of `k3py.runtime.errors`."""

    async def version(self) -> JsonObject:
        """Return VersionResponse (runtime_name, runtime_version, …)."""

    async def status(self) -> JsonObject:
        """Return RuntimeStatus: {"conditions": [{"type": "RuntimeReady", "status": bool, "reason", "message"}, …]}."""

    async def run_pod_sandbox(self, config: JsonObject, *, runtime_handler: str = "") -> str:
        """Create and start a sandbox (network included) from a PodSandboxConfig; return its id."""

    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        """Stop it with all containers and release its network; idempotent."""

    async def remove_pod_sandbox(self, sandbox_id: str) -> None:
        """Remove a sandbox and what is in it; idempotent."""

    async def pod_sandbox_status(self, sandbox_id: str) -> JsonObject:
        """Return PodSandboxStatus (state, network.ip, network.additional_ips, …). Raises RuntimeNotFound."""

    async def list_pod_sandboxes(self, *, labels: Mapping[str, str] | None = None) -> Sequence[JsonObject]:
        """Return PodSandbox documents."""

    async def create_container(self, sandbox_id: str, config: JsonObject, sandbox_config: JsonObject) -> str:
        """Create a container from a ContainerConfig; return its id."""

    async def start_container(self, container_id: str) -> None:
        """Start a created container."""

    async def stop_container(self, container_id: str, *, timeout_s: int) -> None:
        """Send the stop signal, and SIGKILL after `timeout_s`; returns when it is dead; idempotent."""

    async def remove_container(self, container_id: str) -> None:
        """Remove a container; idempotent."""

    async def list_containers(
        self, *, sandbox_id: str = "", labels: Mapping[str, str] | None = None
    ) -> Sequence[JsonObject]:
        """Return Container documents (id, pod_sandbox_id, metadata, image, state, created_at in ns, labels, annotations)."""

    async def container_status(self, container_id: str) -> JsonObject:
        """Return ContainerStatus (state, created_at, started_at, finished_at in ns, exit_code, reason, …). Raises RuntimeNotFound."""

    async def update_container_resources(self, container_id: str, linux: JsonObject) -> None:
        """Change LinuxContainerResources of a running container."""

    async def reopen_container_log(self, container_id: str) -> None:
        """Have the runtime open the log file anew after rotation."""

    async def exec_sync(self, container_id: str, command: Sequence[str], *, timeout_s: int) -> ExecResult:
        """Run a command and wait. Raises RuntimeTimeout."""

    async def exec_url(
        self, container_id: str, command: Sequence[str], *, tty: bool, stdin: bool, stdout: bool, stderr: bool
    ) -> str:
        """Prepare a streaming exec; return the URL of the runtime's streaming server."""

    async def attach_url(
        self, container_id: str, *, tty: bool, stdin: bool, stdout: bool, stderr: bool
    ) -> str:
        """Prepare a streaming attach; return its URL."""

    async def port_forward_url(self, sandbox_id: str, ports: Sequence[int]) -> str:
        """Prepare a port-forward; return its URL."""

    async def container_stats(self, *, sandbox_id: str = "") -> Sequence[JsonObject]:
        """Return ContainerStats documents."""

    def events(self) -> AbstractAsyncContextManager[AsyncIterator[RuntimeEvent]]:
        """Follow container events; the first one is "unknown" (look at everything), so is each one after a reconnect."""


class ImageService(Protocol):
    """Images of the runtime."""

    async def list_images(self) -> Sequence[JsonObject]:
        """Return Image documents (id, repo_tags, repo_digests, size, …)."""

    async def image_status(self, image: str) -> JsonObject | None:
        """Return the Image document, or None when it is not there."""

    async def pull_image(self, image: str, *, auth: JsonObject | None = None) -> str:
        """Pull an image; return its reference. Raises ImagePullFailed with the runtime's reason."""

    async def tag_image(self, source: str, target: str) -> None:
        """Give an image a further name; both are whole references. Raises ImagePullFailed."""

    async def remove_image(self, image: str) -> None:
        """Remove an image; idempotent."""

    async def image_fs_info(self) -> Sequence[JsonObject]:
        """Return FilesystemUsage documents."""
