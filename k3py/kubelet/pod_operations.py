"""What a pod's worker starts: sandbox, volumes, containers, kills, cleaning up, status. Each is one operation under way.

Independent steps run side by side: while the sandbox is made, volumes are set up and images are looked for.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Final

from k3py.errors import K3pyError
from k3py.kubelet.container_kill import kill_container
from k3py.kubelet.container_start import ContainerStarter, StartFailed
from k3py.kubelet.dns_config import ResolvConf, parse_resolv_conf, pod_dns
from k3py.kubelet.handlers import HandlerFailed, Target
from k3py.kubelet.images import ImageError
from k3py.kubelet.operations import CLEAN, FINISH, RESIZE, STATUS, VOLUMES, Operations
from k3py.kubelet.pod import find_container, is_host_network
from k3py.kubelet.pod_images import PodImages
from k3py.kubelet.pod_removal import PodRemoval
from k3py.kubelet.pod_resizing import resize_pod
from k3py.kubelet.pod_volumes import PodVolumes
from k3py.kubelet.runtime_state import record_sandbox
from k3py.kubelet.sandbox_config import log_directory, sandbox_config
from k3py.kubelet.sync_plan import SANDBOX, CreateSandbox, KillContainer, StartContainer, Waiting
from k3py.util import clock
from k3py.util.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.jsontypes import JsonObject
    from k3py.kubelet.pod_worker import PodWorker
    from k3py.util.supervise import TaskScope

log = logging.getLogger(__name__)

_SANDBOX_RETRY_S: Final = 1.0
_SANDBOX_RETRY_MAX_S: Final = 60.0
_START_RETRY_S: Final = 10.0
_STATUS_RETRY_S: Final = 1.0
_STATUS_RETRY_MAX_S: Final = 16.0
_FINISH_RETRY_S: Final = 2.0
_FINISH_RETRY_MAX_S: Final = 60.0
_RESIZE_RETRY_S: Final = 10.0
_TYPES: Final = {"init": "init_container", "regular": "container", "ephemeral": "ephemeral_container"}


class PodOperations:
    """Operations of one pod.

    Attributes:
        volumes: the pod's volumes.
        status_retry_s: not before then the status is sent again.
        finish_retry_s: not before then cleaning up is tried again.
        gone: the pod is removed everywhere.
    """

    def __init__(self, worker: PodWorker, scope: TaskScope) -> None:
        self._worker = worker
        self._node = worker.node
        self._scope = scope
        # Ends of these change what the runtime has; ends of the others do not.
        self._runtime = Operations(scope, worker.look)
        self._other = Operations(scope, worker.changed.set)
        self.volumes = PodVolumes(worker)
        self._images = PodImages(worker, scope)
        self._sandbox_config: JsonObject = {}
        self._removal = PodRemoval(worker)
        self._starts: set[str] = set()
        self._kills: set[str] = set()
        self._stopping: set[str] = set()
        self._sandbox_failures = 0
        self.status_retry_s = 0.0
        self._status_backoff = Backoff(first_s=_STATUS_RETRY_S, cap_s=_STATUS_RETRY_MAX_S, jitter=0.2)
        self.finish_retry_s = 0.0
        self._finish_backoff = Backoff(first_s=_FINISH_RETRY_S, cap_s=_FINISH_RETRY_MAX_S, jitter=0.2)
        self.gone = False

    def __contains__(self, key: str) -> bool:
        return key in self._runtime or key in self._other

    @property
    def keys(self) -> frozenset[str]:
        """Return the keys of what runs: names of containers, "" for the sandbox, and the internal ones."""
        return self._runtime.keys | self._other.keys

    # --- volumes and images -------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Begin what needs no sandbox: volumes, and the images that are needed first; clean up behind restarts."""
        if self.volumes.is_due and VOLUMES not in self._other:
            self._other.start(VOLUMES, self.volumes.set_up(), self.volumes.failed)
        if self._worker.record.sandbox is None:
            self._images.prefetch()
        if CLEAN not in self._runtime and (dead := self._removal.superfluous(self._runtime.keys)):
            self._runtime.start(CLEAN, self._removal.clean(dead), self._clean_failed)

    def refresh_volumes(self) -> None:
        """Set volumes up again now: what they show has changed, or what was missing is there."""
        self.volumes.refresh()
        self.finish_retry_s = 0.0

    # --- sandbox ------------------------------------------------------------------------------------------------------

    def create_sandbox(self, action: CreateSandbox) -> None:
        """Make a sandbox, once the network is ready."""
        if not self._node.network_ready and not is_host_network(self._worker.pod):
            return
        self._runtime.start(SANDBOX, self._create_sandbox(action), self._sandbox_failed)

    async def _create_sandbox(self, action: CreateSandbox) -> None:
        pod = self._worker.pod
        self._runtime.keep(SANDBOX, kept=True)
        for old in self._worker.record.sandboxes:
            await self._node.runtime.stop_pod_sandbox(old.id)
        if action.attempt:
            self._worker.events.normal(
                "SandboxChanged", "Pod sandbox changed, it will be killed and re-created."
            )
        config = await self._make_sandbox_config(action.attempt)
        identity = await self._node.runtime.run_pod_sandbox(
            config, runtime_handler=await self._runtime_handler(pod)
        )
        self._node.owners[identity] = self._worker.uid
        self._node.metrics.pods_started.add()
        await self._admit(pod, identity)
        self._sandbox_config = config
        self._sandbox_failures = 0

    async def _admit(self, pod: JsonObject, sandbox_id: str) -> None:
        """Wait for the rules of network policies; a sandbox without them is stopped, so that nothing starts in it."""
        enforcer = self._node.policy_enforcer
        if enforcer is None or is_host_network(pod):
            return
        try:
            await enforcer.admit(pod, partial(self._find_addresses, sandbox_id))
        except K3pyError:
            await self._node.runtime.stop_pod_sandbox(sandbox_id)
            raise

    async def _find_addresses(self, sandbox_id: str) -> Sequence[str]:
        return record_sandbox(await self._node.runtime.pod_sandbox_status(sandbox_id)).ips

    async def _runtime_handler(self, pod: JsonObject) -> str:
        name = pod["spec"].get("runtimeClassName")
        return "" if not name else await self._node.objects.view(pod).runtime_handler(name)

    async def _make_sandbox_config(self, attempt: int) -> JsonObject:
        return await asyncio.to_thread(self._read_and_make_config, attempt)

    def _read_and_make_config(self, attempt: int) -> JsonObject:
        pod, config = self._worker.pod, self._node.config
        parent = "" if self._node.cgroups is None else self._node.cgroups.set_up_pod(self._worker.effective)
        try:
            host = parse_resolv_conf(config.resolv_conf.read_text(encoding="utf-8"))
        except OSError:
            host = ResolvConf()
        cluster_dns = [one for one in config.cluster_dns.split(",") if one]
        dns = pod_dns(pod, host, cluster_dns=cluster_dns, cluster_domain=config.cluster_domain)
        logs = log_directory(config.pod_logs_dir, pod)
        logs.mkdir(parents=True, exist_ok=True)
        return sandbox_config(pod, attempt=attempt, logs=logs, dns=dns, cgroup_parent=parent)

    def _sandbox_failed(self, error: Exception) -> None:
        delay_s = min(_SANDBOX_RETRY_S * 2**self._sandbox_failures, _SANDBOX_RETRY_MAX_S)
        self._sandbox_failures += 1
        self._node.metrics.pods_failed.add()
        self._worker.sandbox_not_before_s = clock.wall_s() + delay_s
        self._worker.events.warning("FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}")

    def stop_sandbox(self, sandbox_id: str) -> None:
        """Stop a sandbox."""
        if SANDBOX not in self._runtime:
            self._runtime.start(SANDBOX, self._node.runtime.stop_pod_sandbox(sandbox_id), self._stop_failed)

    def _stop_failed(self, error: Exception) -> None:
        self._worker.events.warning("FailedKillPod", f"error killing pod: {error}")

    # --- containers ---------------------------------------------------------------------------------------------------

    def target(self, identity: str, container: JsonObject) -> Target:
        """Return a running container as probes and hooks want it."""
        sandbox = self._worker.record.sandbox
        ips = self._node.config.node_ips if is_host_network(self._worker.pod) else ()
        if not ips and sandbox is not None:
            ips = sandbox.ips
        return Target(
            runtime=self._node.runtime,
            container_id=identity,
            container=container,
            pod_ip=ips[0] if ips else "127.0.0.1",
        )

    def start_container(self, action: StartContainer) -> None:
        """Start a container, once the volumes are there (their operation wakes the worker)."""
        if self.volumes.paths is None or action.name in self._runtime:
            return
        found = find_container(self._worker.effective, action.name)
        if found is None:
            return
        self._starts.add(action.name)
        self._runtime.start(
            action.name,
            self._start(action, found[1]),
            lambda error: self._start_failed(action.name, error),
        )

    async def _start(self, action: StartContainer, container: JsonObject) -> None:
        worker, name = self._worker, action.name
        sandbox = worker.record.sandbox
        if sandbox is None or self.volumes.paths is None:
            return
        try:
            image = await self._images.take(container)
            if not self._sandbox_config:
                self._sandbox_config = await self._make_sandbox_config(sandbox.attempt)
            starter = ContainerStarter(
                self._node,
                worker.effective,
                worker.events,
                sandbox=sandbox,
                sandbox_config=self._sandbox_config,
                volumes=self.volumes.paths,
            )
            self._runtime.keep(name, kept=True)
            record = worker.record.find(name)
            if record is not None and record.state == "exited":
                worker.backoff.advance(name, record.finished_s)
            identity = action.resume_id or await starter.create(
                action, container, image, target_id=self._target_id(container)
            )
            resized = not action.resume_id and worker.resize.note_actuated(container)
            await starter.start(identity, container, action.attempt)
            self._node.metrics.containers_started.add(_TYPES[action.role])
            if resized and not worker.resize.is_in_progress(worker.pod, worker.record):
                worker.note_resized()
            worker.waiting.pop(name, None)
            worker.not_before_s.pop(name, None)
            self._runtime.keep(name, kept=False)
            try:
                await starter.after_start(identity, container)
            except HandlerFailed:
                target = starter.target(identity, container)
                await kill_container(target, worker.events, grace_s=30, message="FailedPostStartHook")
        finally:
            self._starts.discard(name)

    def _target_id(self, container: JsonObject) -> str:
        name = container.get("targetContainerName")
        record = self._worker.record.find(name) if name else None
        return "" if record is None else record.id

    def _start_failed(self, name: str, error: Exception) -> None:
        worker = self._worker
        found = find_container(worker.pod, name)
        reason = error.reason if isinstance(error, (ImageError, StartFailed)) else "RuntimeError"
        self._node.metrics.containers_failed.add(reason, _TYPES["regular" if found is None else found[0]])
        now_s = clock.wall_s()
        if isinstance(error, ImageError):
            worker.waiting[name] = Waiting(error.reason, str(error))
            # Look again at once: the next look is what says ImagePullBackOff.
            worker.not_before_s[name] = error.retry_s if error.reason != "ErrImagePull" else now_s + 1
        elif isinstance(error, StartFailed):
            worker.waiting[name] = Waiting(error.reason, str(error))
            if error.reason != "RunContainerError":
                worker.not_before_s[name] = now_s + _START_RETRY_S
        else:
            worker.not_before_s[name] = now_s + 1
            log.warning("container cannot be started", extra={"container": name, "error": str(error)})

    def kill_container(self, action: KillContainer, pod_grace_s: int) -> None:
        """Stop a container."""
        if action.name in self._runtime:
            return
        grace_s = pod_grace_s if action.grace_s is None else action.grace_s
        self._kills.add(action.name)
        self._runtime.start(action.name, self._kill(action, grace_s), self._kill_failed)

    async def _kill(self, action: KillContainer, grace_s: int) -> None:
        found = find_container(self._worker.pod, action.name)
        container = {"name": action.name} if found is None else found[1]
        first = action.container_id not in self._stopping
        self._stopping.add(action.container_id)
        try:
            await kill_container(
                self.target(action.container_id, container),
                self._worker.events,
                grace_s=grace_s,
                message=action.message,
                run_pre_stop=first,
            )
        finally:
            self._kills.discard(action.name)

    def resize(self) -> None:
        """Give running containers what they have been allocated."""
        if RESIZE not in self._other and self._worker.resize.retry_s <= clock.wall_s():
            self._other.start(RESIZE, self._resize(), self._resize_failed)

    async def _resize(self) -> None:
        await resize_pod(self._worker)
        resize = self._worker.resize
        resize.error = ""
        if not resize.is_in_progress(self._worker.pod, self._worker.record):
            self._worker.note_resized()

    def _resize_failed(self, error: Exception) -> None:
        resize = self._worker.resize
        if resize.error != str(error):
            self._worker.events.warning("ResizeError", f"Pod resize error: {error}")
        resize.error = str(error)
        resize.retry_s = clock.wall_s() + _RESIZE_RETRY_S

    def _kill_failed(self, error: Exception) -> None:
        self._worker.events.warning("FailedKillPod", f"error killing pod: {error}")

    def cancel_starts(self) -> None:
        """Give up starts that wait for an image or a hook."""
        for name in self._starts:
            self._runtime.cancel(name)
        self._images.cancel()

    def hurry(self) -> None:
        """Give up kills under way: the worker begins them again with the grace period that is shorter now."""
        for name in self._kills:
            self._runtime.cancel(name)

    # --- cleaning up --------------------------------------------------------------------------------------------------

    def _clean_failed(self, error: Exception) -> None:
        log.warning("dead containers cannot be removed", extra={"pod": self._worker.uid, "error": str(error)})

    def finish(self, *, gone: bool) -> None:
        """Take down what the pod does not need any more; if it is deleted, remove it everywhere.

        Volumes that are still being set up are given up first: finish is called again when that has ended.
        """
        if VOLUMES in self._other:
            self._other.cancel(VOLUMES)
        else:
            self._other.start(FINISH, self._finish(gone=gone), self._finish_failed)

    async def _finish(self, *, gone: bool) -> None:
        self.gone = await self._removal.finish(gone=gone)
        if not self.gone:
            self._worker.note_finished()

    def _finish_failed(self, error: Exception) -> None:
        level = logging.WARNING if self._finish_backoff.attempts == 0 else logging.DEBUG
        self.finish_retry_s = clock.wall_s() + self._finish_backoff.next_s()
        log.log(level, "pod cannot be cleaned up", extra={"pod": self._worker.uid, "error": str(error)})

    # --- status -------------------------------------------------------------------------------------------------------

    def send_status(self) -> None:
        """Send the status."""
        self._other.start(STATUS, self._send_status(), self._status_failed)

    async def _send_status(self) -> None:
        await self._worker.send_status()
        self.status_retry_s = 0.0
        self._status_backoff.reset()

    def _status_failed(self, error: Exception) -> None:
        level = logging.WARNING if self._status_backoff.attempts == 0 else logging.DEBUG
        self.status_retry_s = clock.wall_s() + self._status_backoff.next_s()
        log.log(level, "status not sent", extra={"pod": self._worker.uid, "error": str(error)})
