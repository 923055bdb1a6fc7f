"""FakeRuntime: a runtime without containers, for tests and simulated nodes.

It is a *verified* fake: `tests/contract/test_runtime.py` runs on it and on a real containerd. Containers do what `fake_program` makes of
their command, or what a test scripted for their name or image; logs are written as CRI log files; events are told as a runtime tells
them. Faults can be scripted per method.

Example:
    async with FakeRuntime() as runtime:
        runtime.scripts["flaky"] = Script(exit_code=3)           # container or image name
        runtime.fail_next("run_pod_sandbox", RuntimeFailure("no network"))
        ...
        runtime.exit_container(container_id, 137, reason="OOMKilled")
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Self

from k3py.runtime.errors import RuntimeFailure, RuntimeNotFound, RuntimeTimeout
from k3py.runtime.fake_images import DEFAULT_IMAGES, FakeImages
from k3py.runtime.fake_program import SERVER, Script, output_of, parse_command
from k3py.runtime.interface import ExecResult, RuntimeEvent, RuntimeService
from k3py.util.clock import wall_s
from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
    from types import TracebackType

    from k3py.jsontypes import JsonObject

_SIGKILLED: Final = 137


def _now_ns() -> int:
    return int(wall_s() * 1e9)


@dataclass(slots=True)
class FakeContainer:
    """A container; `status` is its ContainerStatus."""

    sandbox_id: str
    config: JsonObject
    status: JsonObject
    script: Script
    log_file: Path | None
    run: asyncio.Task[None] | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class FakeSandbox:
    """A sandbox; `status` is its PodSandboxStatus."""

    config: JsonObject
    status: JsonObject


class FakeRuntime(FakeImages, RuntimeService):
    """Runtime and image service in memory; enter it as a context, leaving it ends all its containers.

    Attributes:
        scripts: What containers do, by container name or image; else by their command.
        sandboxes: By id, for assertions.
        containers: By id, for assertions.
        images: The images that are there, by name.
        pullable: Images that pull_image can bring, by name; None = every image.
        pulls: Names that pull_image was asked for, in order.
    """

    def __init__(
        self, *, images: Iterable[str] = DEFAULT_IMAGES, pullable: Iterable[str] | None = None
    ) -> None:
        super().__init__(images, pullable)
        self.scripts: dict[str, Script] = {}
        self.sandboxes: dict[str, FakeSandbox] = {}
        self.containers: dict[str, FakeContainer] = {}
        self._followers: set[asyncio.Queue[RuntimeEvent]] = set()
        self._scope = TaskScope()
        self._addresses = 1

    async def __aenter__(self) -> Self:
        await self._scope.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._scope.cancel()
        await self._scope.__aexit__(kind, error, trace)

    def exit_container(self, container_id: str, exit_code: int, *, reason: str = "") -> None:
        """End a running container as if its program had exited."""
        container = self._container(container_id)
        if container.run is not None:
            container.run.cancel()
        self._finish(container, exit_code, reason)

    def kill_sandbox(self, sandbox_id: str) -> None:
        """Let a sandbox die by itself (its containers go on, as with a killed pause process)."""
        self._sandbox(sandbox_id).status["state"] = "SANDBOX_NOTREADY"
        self._tell("stopped", sandbox_id, sandbox_id)

    def container_named(self, name: str) -> FakeContainer:
        """Return the newest container with this name. Raises KeyError."""
        found = [c for c in self.containers.values() if c.status["metadata"]["name"] == name]
        if not found:
            raise KeyError(name)
        return found[-1]

    def lose_events(self) -> None:
        """Tell followers that events may have been lost."""
        for queue in self._followers:
            queue.put_nowait(RuntimeEvent("unknown"))

    async def version(self) -> JsonObject:
        """Return a VersionResponse."""
        self.check("version")
        return {
            "version": "0.1.0",
            "runtime_name": "k3py-fake",
            "runtime_version": "1.0.0",
            "runtime_api_version": "v1",
        }

    async def status(self) -> JsonObject:
        """Return ready conditions, and one that is false but means nothing, as containerd 2 has."""
        self.check("status")
        warned = {"type": "ContainerdHasNoDeprecationWarnings", "reason": "ContainerdHasDeprecationWarnings"}
        return {
            "conditions": [
                *(
                    {"type": kind, "status": True, "reason": "", "message": ""}
                    for kind in ("RuntimeReady", "NetworkReady")
                ),
                {**warned, "status": False, "message": "a deprecated thing is in use"},
            ]
        }

    @asynccontextmanager
    async def events(self) -> AsyncIterator[AsyncIterator[RuntimeEvent]]:
        """Follow events; the first is "unknown"."""
        self.check("events")
        queue: asyncio.Queue[RuntimeEvent] = asyncio.Queue()
        queue.put_nowait(RuntimeEvent("unknown"))
        self._followers.add(queue)

        async def follow() -> AsyncIterator[RuntimeEvent]:
            while True:
                yield await queue.get()

        stream = follow()
        try:
            yield stream
        finally:
            self._followers.discard(queue)

    async def run_pod_sandbox(self, config: JsonObject, *, runtime_handler: str = "") -> str:
        """Make a sandbox; a name (metadata) that exists already is refused."""
        self.check("run_pod_sandbox")
        metadata = config["metadata"]
        if any(s.status["metadata"] == _sandbox_metadata(config) for s in self.sandboxes.values()):
            raise RuntimeFailure(f"failed to reserve sandbox name for {metadata['name']!r}")
        sandbox_id = secrets.token_hex(32)
        namespaces = config.get("linux", {}).get("security_context", {}).get("namespace_options", {})
        address = ""
        if namespaces.get("network", "POD") != "NODE":
            self._addresses += 1
            address = f"10.88.{self._addresses >> 8}.{self._addresses & 255}"
        if directory := config.get("log_directory"):
            await asyncio.to_thread(Path(directory).mkdir, parents=True, exist_ok=True)
        self.sandboxes[sandbox_id] = FakeSandbox(
            config=config,
            status={
                "id": sandbox_id,
                "metadata": _sandbox_metadata(config),
                "state": "SANDBOX_READY",
                "created_at": _now_ns(),
                "network": {"ip": address, "additional_ips": []},
                "labels": dict(config.get("labels", {})),
                "annotations": dict(config.get("annotations", {})),
                "runtime_handler": runtime_handler,
            },
        )
        self._tell("started", sandbox_id, sandbox_id)
        return sandbox_id

    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        """Stop a sandbox and kill what runs in it; unknown ids are fine."""
        self.check("stop_pod_sandbox")
        sandbox = self.sandboxes.get(sandbox_id)
        if sandbox is None:
            return
        for container in self._of(sandbox_id):
            if container.status["state"] == "CONTAINER_RUNNING":
                self.exit_container(container.status["id"], _SIGKILLED)
        if sandbox.status["state"] == "SANDBOX_READY":
            sandbox.status["state"] = "SANDBOX_NOTREADY"
            sandbox.status["network"] = {"ip": "", "additional_ips": []}
            self._tell("stopped", sandbox_id, sandbox_id)

    async def remove_pod_sandbox(self, sandbox_id: str) -> None:
        """Stop and forget a sandbox with its containers."""
        self.check("remove_pod_sandbox")
        if sandbox_id not in self.sandboxes:
            return
        await self.stop_pod_sandbox(sandbox_id)
        for container in self._of(sandbox_id):
            await self.remove_container(container.status["id"])
        self._tell("deleted", sandbox_id, sandbox_id)
        del self.sandboxes[sandbox_id]

    async def pod_sandbox_status(self, sandbox_id: str) -> JsonObject:
        """Return a PodSandboxStatus."""
        self.check("pod_sandbox_status")
        return dict(self._sandbox(sandbox_id).status)

    async def list_pod_sandboxes(self, *, labels: Mapping[str, str] | None = None) -> Sequence[JsonObject]:
        """Return PodSandbox documents."""
        self.check("list_pod_sandboxes")
        return [
            {key: value for key, value in sandbox.status.items() if key not in ("network", "linux")}
            for sandbox in self.sandboxes.values()
            if _matches(sandbox.status["labels"], labels)
        ]

    async def create_container(self, sandbox_id: str, config: JsonObject, sandbox_config: JsonObject) -> str:
        """Create a container; its image must be there, its sandbox ready."""
        self.check("create_container")
        if self._sandbox(sandbox_id).status["state"] != "SANDBOX_READY":
            raise RuntimeFailure(f"failed to create container in a sandbox that is not running: {sandbox_id}")
        image = config["image"]["image"]
        found = self.find_image(image)
        if found is None:
            raise RuntimeNotFound(f"failed to resolve image {image!r}: not found")
        metadata = {"name": config["metadata"]["name"], "attempt": config["metadata"].get("attempt", 0)}
        if any(c.status["metadata"] == metadata for c in self._of(sandbox_id)):
            raise RuntimeFailure(f"failed to reserve container name {metadata['name']!r}")
        container_id = secrets.token_hex(32)
        log_directory, log_path = sandbox_config.get("log_directory", ""), config.get("log_path", "")
        log_file = Path(log_directory) / log_path if log_directory and log_path else None
        self.containers[container_id] = FakeContainer(
            sandbox_id=sandbox_id,
            config=config,
            script=self._script(config),
            log_file=log_file,
            status={
                "id": container_id,
                "metadata": metadata,
                "state": "CONTAINER_CREATED",
                "created_at": _now_ns(),
                "started_at": 0,
                "finished_at": 0,
                "exit_code": 0,
                "image": {"image": image},
                "image_ref": found["id"],
                "image_id": found["id"],
                "reason": "",
                "message": "",
                "labels": dict(config.get("labels", {})),
                "annotations": dict(config.get("annotations", {})),
                "mounts": list(config.get("mounts", ())),
                "log_path": "" if log_file is None else str(log_file),
                "resources": {"linux": dict(config.get("linux", {}).get("resources", {}))},
            },
        )
        self._tell("created", container_id, sandbox_id)
        return container_id

    async def start_container(self, container_id: str) -> None:
        """Start a created container; only once."""
        self.check("start_container")
        container = self._container(container_id)
        if container.status["state"] != "CONTAINER_CREATED":
            raise RuntimeFailure(f"container is in {container.status['state']} state")
        if container.script.start_error:
            container.status.update(reason="StartError", message=container.script.start_error)
            container.status.update(state="CONTAINER_EXITED", exit_code=128, finished_at=_now_ns())
            container.ended.set()
            raise RuntimeFailure(container.script.start_error)
        if container.log_file is not None:
            await asyncio.to_thread(_append, container.log_file, "")
        container.status.update(state="CONTAINER_RUNNING", started_at=_now_ns())
        self._tell("started", container_id, container.sandbox_id)
        container.run = self._scope.spawn(self._run(container), name=f"container-{container_id[:12]}")

    async def stop_container(self, container_id: str, *, timeout_s: int) -> None:
        """Send SIGTERM, wait up to `timeout_s`, kill; unknown or ended containers are fine."""
        self.check("stop_container")
        container = self.containers.get(container_id)
        if container is None or container.status["state"] != "CONTAINER_RUNNING":
            return
        if container.script.term_exit_code is not None and timeout_s > 0:
            self.exit_container(container_id, container.script.term_exit_code)
            return
        try:
            async with asyncio.timeout(timeout_s):
                await container.ended.wait()
        except TimeoutError:
            self.exit_container(container_id, _SIGKILLED)

    async def remove_container(self, container_id: str) -> None:
        """Kill and forget a container."""
        self.check("remove_container")
        container = self.containers.get(container_id)
        if container is None:
            return
        if container.status["state"] == "CONTAINER_RUNNING":
            self.exit_container(container_id, _SIGKILLED)
        self._tell("deleted", container_id, container.sandbox_id)
        del self.containers[container_id]

    async def list_containers(
        self, *, sandbox_id: str = "", labels: Mapping[str, str] | None = None
    ) -> Sequence[JsonObject]:
        """Return Container documents."""
        self.check("list_containers")
        shown = ("id", "metadata", "image", "image_ref", "image_id", "state", "created_at", "labels")
        return [
            {key: container.status[key] for key in (*shown, "annotations")}
            | {"pod_sandbox_id": container.sandbox_id}
            for container in self.containers.values()
            if sandbox_id in ("", container.sandbox_id) and _matches(container.status["labels"], labels)
        ]

    async def container_status(self, container_id: str) -> JsonObject:
        """Return a ContainerStatus."""
        self.check("container_status")
        return dict(self._container(container_id).status)

    async def update_container_resources(self, container_id: str, linux: JsonObject) -> None:
        """Note the new resources."""
        self.check("update_container_resources")
        status = self._container(container_id).status
        status["resources"] = {"linux": status["resources"]["linux"] | linux}

    async def reopen_container_log(self, container_id: str) -> None:
        """Make the log file anew if it was moved away."""
        self.check("reopen_container_log")
        container = self._container(container_id)
        if container.status["state"] != "CONTAINER_RUNNING":
            raise RuntimeFailure("container is not running")
        if container.log_file is not None:
            await asyncio.to_thread(_append, container.log_file, "")

    async def exec_sync(self, container_id: str, command: Sequence[str], *, timeout_s: int) -> ExecResult:
        """Run a command as `fake_program` understands it (or `scripts` under "exec:<command joined by spaces>")."""
        self.check("exec_sync")
        container = self._container(container_id)
        if container.status["state"] != "CONTAINER_RUNNING":
            raise RuntimeFailure(f"container is in {container.status['state']} state")
        script = self.scripts.get("exec:" + " ".join(command)) or parse_command(
            command, environment=_environment(container.config)
        )
        if script.start_error:
            raise RuntimeFailure(script.start_error)
        stdout, stderr, duration_s = output_of(script)
        if timeout_s and duration_s > timeout_s:
            await asyncio.sleep(timeout_s)
            raise RuntimeTimeout(f"command {command[0]!r} timed out after {timeout_s} s")
        await asyncio.sleep(duration_s)
        return ExecResult(stdout, stderr, script.exit_code)

    async def exec_url(
        self, container_id: str, command: Sequence[str], *, tty: bool, stdin: bool, stdout: bool, stderr: bool
    ) -> str:
        """Return a URL nobody serves."""
        self.check("exec_url")
        return f"http://127.0.0.1:1/exec/{self._container(container_id).status['id']}"

    async def attach_url(
        self, container_id: str, *, tty: bool, stdin: bool, stdout: bool, stderr: bool
    ) -> str:
        """Return a URL nobody serves."""
        self.check("attach_url")
        return f"http://127.0.0.1:1/attach/{self._container(container_id).status['id']}"

    async def port_forward_url(self, sandbox_id: str, ports: Sequence[int]) -> str:
        """Return a URL nobody serves."""
        self.check("port_forward_url")
        return f"http://127.0.0.1:1/portforward/{self._sandbox(sandbox_id).status['id']}"

    async def container_stats(self, *, sandbox_id: str = "") -> Sequence[JsonObject]:
        """Return stats of running containers: no CPU, one MiB of memory."""
        self.check("container_stats")
        now = _now_ns()
        return [
            {
                "attributes": {
                    key: container.status[key] for key in ("id", "metadata", "labels", "annotations")
                },
                "cpu": {"timestamp": now, "usage_core_nano_seconds": {"value": 0}},
                "memory": {"timestamp": now, "working_set_bytes": {"value": 1 << 20}},
                "writable_layer": {"timestamp": now, "used_bytes": {"value": 0}},
            }
            for container in self.containers.values()
            if container.status["state"] == "CONTAINER_RUNNING" and sandbox_id in ("", container.sandbox_id)
        ]

    def _sandbox(self, sandbox_id: str) -> FakeSandbox:
        if sandbox_id not in self.sandboxes:
            raise RuntimeNotFound(f'an error occurred when try to find sandbox "{sandbox_id}": not found')
        return self.sandboxes[sandbox_id]

    def _container(self, container_id: str) -> FakeContainer:
        if container_id not in self.containers:
            raise RuntimeNotFound(f'an error occurred when try to find container "{container_id}": not found')
        return self.containers[container_id]

    def _of(self, sandbox_id: str) -> list[FakeContainer]:
        return [c for c in self.containers.values() if c.sandbox_id == sandbox_id]

    def _script(self, config: JsonObject) -> Script:
        for key in (config["metadata"]["name"], config["image"]["image"]):
            if key in self.scripts:
                return self.scripts[key]
        argv = [*config.get("command", ()), *config.get("args", ())]
        return parse_command(argv, environment=_environment(config)) if argv else SERVER

    async def _run(self, container: FakeContainer) -> None:
        for step in container.script.steps:
            if step.pause_s is None:
                await asyncio.Event().wait()
            elif step.pause_s:
                await asyncio.sleep(step.pause_s)
            if step.text and container.log_file is not None:
                await asyncio.to_thread(_append, container.log_file, _log_lines(step.stream, step.text))
        container.run = None
        self._finish(container, container.script.exit_code, container.script.reason)

    def _finish(self, container: FakeContainer, exit_code: int, reason: str) -> None:
        if container.status["state"] != "CONTAINER_RUNNING":
            return
        container.status.update(
            state="CONTAINER_EXITED",
            exit_code=exit_code,
            finished_at=_now_ns(),
            reason=reason or ("Completed" if exit_code == 0 else "Error"),
        )
        container.ended.set()
        if reason == "OOMKilled":
            self._tell("oom", container.status["id"], container.sandbox_id)
        self._tell("stopped", container.status["id"], container.sandbox_id)

    def _tell(
        self,
        kind: Literal["created", "started", "stopped", "deleted", "oom"],
        container_id: str,
        sandbox_id: str,
    ) -> None:
        uid = self.sandboxes[sandbox_id].status["metadata"]["uid"]
        for queue in self._followers:
            queue.put_nowait(RuntimeEvent(kind, container_id, sandbox_id, uid))


def _sandbox_metadata(config: JsonObject) -> JsonObject:
    metadata = config["metadata"]
    return {key: metadata.get(key, "") for key in ("name", "uid", "namespace")} | {
        "attempt": metadata.get("attempt", 0)
    }


def _environment(config: JsonObject) -> dict[str, str]:
    return {pair["key"]: pair.get("value", "") for pair in config.get("envs", ())}


def _matches(labels: Mapping[str, str], wanted: Mapping[str, str] | None) -> bool:
    return all(labels.get(key) == value for key, value in (wanted or {}).items())


def _log_lines(stream: str, text: str) -> str:
    """Format output as the CRI log: time, stream, F (full) or P (partial), text."""
    stamp = datetime.fromtimestamp(wall_s(), tz=UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
    return "".join(
        f"{stamp} {stream} {'F' if line.endswith(chr(10)) else 'P'} {line.rstrip(chr(10))}\n"
        for line in text.splitlines(keepends=True)
    )


def _append(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(text)
