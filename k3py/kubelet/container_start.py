"""Starts one container: image, environment, mounts, create, start, postStart. Called by the pod's worker.

Source: pkg/kubelet/kuberuntime/kuberuntime_container.go startContainer v1.35.
"""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path
from typing import TYPE_CHECKING

from k3py.api.status import ApiError
from k3py.errors import K3pyError
from k3py.kubelet.container_config import (
    ContainerInputs,
    container_config,
    mount_document,
    volume_device,
)
from k3py.kubelet.devices import ContainerDevices, knows_cdi
from k3py.kubelet.downward import UnresolvableField
from k3py.kubelet.environment import (
    ContainerConfigError,
    EnvironmentSources,
    make_environment,
    references,
    visible_services,
)
from k3py.kubelet.expansion import expand, find_unresolved
from k3py.kubelet.handlers import HandlerFailed, Target
from k3py.kubelet.hooks import find_hook, run_hook
from k3py.kubelet.hosts_file import hosts_file, mounts_hosts_file
from k3py.kubelet.pod import is_host_network
from k3py.kubelet.sandbox_config import log_directory
from k3py.kubelet.termination import make_message_file
from k3py.kubelet.volumes.interface import VolumeError
from k3py.kubelet.volumes.subpath import bind_subpath
from k3py.runtime.errors import RuntimeFailure, RuntimeUnavailable
from k3py.util.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from k3py.jsontypes import JsonObject
    from k3py.kubelet.node_context import NodeContext
    from k3py.kubelet.recording import PodRecorder
    from k3py.kubelet.runtime_state import SandboxRecord
    from k3py.kubelet.sync_plan import StartContainer


class StartFailed(K3pyError):
    """A container did not start; `reason` is its waiting reason."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ContainerStarter:
    """Starts containers of one pod in one sandbox.

    Args:
        node: the node.
        pod: the pod.
        events: where to tell.
        sandbox: where the containers go.
        sandbox_config: its configuration.
        volumes: host paths by volume name.
    """

    def __init__(
        self,
        node: NodeContext,
        pod: JsonObject,
        events: PodRecorder,
        *,
        sandbox: SandboxRecord,
        sandbox_config: JsonObject,
        volumes: Mapping[str, Path],
    ) -> None:
        self._node = node
        self._pod = pod
        self._events = events
        self._sandbox = sandbox
        self._sandbox_config = sandbox_config
        self._volumes = volumes
        self._ips = node.config.node_ips if is_host_network(pod) else sandbox.ips

    async def create(
        self, action: StartContainer, container: JsonObject, image: JsonObject, *, target_id: str
    ) -> str:
        """Create the container and return its id.

        Raises:
            StartFailed: with the waiting reason.
            RuntimeUnavailable: the runtime does not answer.
        """
        name = container["name"]
        try:
            environment = make_environment(self._pod, container, await self._sources(container))
            mounts = await asyncio.to_thread(self._make_mounts, container, environment)
            extra = await self._devices(container)
            inputs = ContainerInputs(
                attempt=action.attempt,
                environment=environment,
                mounts=mounts,
                image=image,
                node_memory_bytes=self._node.machine.memory_bytes,
                target_id=target_id,
                devices=self._volume_devices(container),
                extra=extra,
            )
            config = container_config(self._pod, container, inputs)
        except (
            ContainerConfigError,
            UnresolvableField,
            VolumeError,
            ApiError,
            OSError,
            RuntimeFailure,
        ) as error:
            self._events.warning("Failed", f"Error: {error}", name)
            raise StartFailed("CreateContainerConfigError", str(error)) from error
        try:
            identity = await self._node.runtime.create_container(
                self._sandbox.id, config, self._sandbox_config
            )
        except RuntimeUnavailable:
            raise
        except RuntimeFailure as error:
            self._events.warning("Failed", f"Error: {error}", name)
            raise StartFailed("CreateContainerError", str(error)) from error
        self._node.owners[identity] = self._pod["metadata"]["uid"]
        self._events.normal("Created", f"Container created: {name}", name)
        return identity

    async def start(self, identity: str, container: JsonObject, attempt: int) -> None:
        """Start a created container.

        Raises:
            StartFailed: RunContainerError.
        """
        name = container["name"]
        try:
            await self._node.runtime.start_container(identity)
        except RuntimeUnavailable:
            raise
        except RuntimeFailure as error:
            self._events.warning("Failed", f"Error: {error}", name)
            raise StartFailed("RunContainerError", str(error)) from error
        self._events.normal("Started", f"Container started: {name}", name)
        links = self._node.config.container_logs_dir
        if links is not None:
            await asyncio.to_thread(self._link_log, links, identity, name, attempt)

    async def after_start(self, identity: str, container: JsonObject) -> None:
        """Run the postStart hook.

        Raises:
            HandlerFailed: it failed; the container has to be killed.
        """
        hook = find_hook(container, "postStart")
        if hook is None:
            return
        try:
            await run_hook(hook, self.target(identity, container))
        except HandlerFailed as error:
            self._events.warning("FailedPostStartHook", f"PostStartHook failed: {error}", container["name"])
            raise

    def target(self, identity: str, container: JsonObject) -> Target:
        """Return the container as probes and hooks want it."""
        ip = self._ips[0] if self._ips else ""
        return Target(runtime=self._node.runtime, container_id=identity, container=container, pod_ip=ip)

    async def _sources(self, container: JsonObject) -> EnvironmentSources:
        view = self._node.objects.view(self._pod)
        config_maps: dict[str, JsonObject] = {}
        secrets: dict[str, JsonObject] = {}
        for kind, name in dict.fromkeys(references(container)):
            found = await (view.config_map(name) if kind == "ConfigMap" else view.secret(name))
            if found is not None:
                (config_maps if kind == "ConfigMap" else secrets)[name] = found
        namespace = self._pod["metadata"]["namespace"]
        return EnvironmentSources(
            config_maps=config_maps,
            secrets=secrets,
            services=visible_services(self._node.services_of(namespace), namespace),
            allocatable=self._node.allocatable,
            host_ips=self._node.config.node_ips,
            pod_ips=self._ips,
        )

    def _make_mounts(self, container: JsonObject, environment: Mapping[str, str]) -> Sequence[JsonObject]:
        pod_dir = self._node.config.pod_dir(self._pod["metadata"]["uid"])
        mounts = []
        for index, mount in enumerate(container.get("volumeMounts") or ()):
            volume = self._volumes.get(mount["name"])
            if volume is None:
                raise VolumeError(f"volume {mount['name']} is not set up")
            host_path = volume
            if sub_path := self._sub_path(mount, environment):
                target = pod_dir / "volume-subpaths" / mount["name"] / container["name"] / str(index)
                read_only = bool(mount.get("readOnly"))
                host_path = bind_subpath(self._node.mounter, volume, sub_path, target, read_only=read_only)
            mounts.append(mount_document(mount, str(host_path)))
        if self._ips and not mounts_hosts_file(container):
            mounts.append({"container_path": "/etc/hosts", "host_path": str(self._write_hosts(pod_dir))})
        message_path = container.get("terminationMessagePath") or "/dev/termination-log"
        message_file = make_message_file(pod_dir, container["name"])
        mounts.append({"container_path": message_path, "host_path": str(message_file)})
        return mounts

    async def _devices(self, container: JsonObject) -> ContainerDevices:
        """Return what plugins add, made ready by them. Raises RuntimeFailure."""
        devices = self._node.devices
        if devices is None:
            return ContainerDevices()
        await devices.pre_start(self._pod, container)
        found = devices.of(self._pod, container)
        if found.cdi and not knows_cdi(self._node.runtime_name, self._node.runtime_version):
            raise RuntimeFailure(
                f"the container runtime ({self._node.runtime_name} {self._node.runtime_version}) does not know CDI, by which "
                f"devices ({', '.join(found.cdi)}) come into containers; containerd has it from 1.7 on"
            )
        return found

    def _volume_devices(self, container: JsonObject) -> list[JsonObject]:
        read_only = {
            one["name"]
            for one in self._pod["spec"].get("volumes") or ()
            if (one.get("persistentVolumeClaim") or {}).get("readOnly")
        }
        found = []
        for device in container.get("volumeDevices") or ():
            path = self._volumes.get(device["name"])
            if path is None:
                raise VolumeError(f"volume {device['name']} is not set up")
            found.append(volume_device(device, str(path), read_only=device["name"] in read_only))
        return found

    def _sub_path(self, mount: JsonObject, environment: Mapping[str, str]) -> str:
        if expression := mount.get("subPathExpr"):
            if missing := find_unresolved(expression, environment):
                raise ContainerConfigError(f"missing value for {missing[0]!r} in subPathExpr")
            return expand(expression, environment)
        return str(mount.get("subPath") or "")

    def _write_hosts(self, pod_dir: Path) -> Path:
        path = pod_dir / "etc-hosts"
        node_hosts = ""
        if is_host_network(self._pod):
            node_hosts = Path("/etc/hosts").read_text(encoding="utf-8")
        text = hosts_file(
            self._pod,
            pod_ips=self._ips,
            cluster_domain=self._node.config.cluster_domain,
            node_hosts=node_hosts,
        ).encode()
        if not path.exists():
            write_atomically(path, text, mode=0o644)
        elif path.read_bytes() != text:
            # The file is mounted into running containers: replacing it would leave them with the old one.
            path.write_bytes(text)
        return path

    def _link_log(self, links: Path, identity: str, name: str, attempt: int) -> None:
        metadata = self._pod["metadata"]
        link = links / f"{metadata['name']}_{metadata['namespace']}_{name}-{identity}.log"
        target = log_directory(self._node.config.pod_logs_dir, self._pod) / name / f"{attempt}.log"
        try:
            links.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.EROFS, errno.ENAMETOOLONG):
                raise StartFailed("RunContainerError", f"cannot link the log: {error}") from error
