"""CRI's ContainerConfig of a container. Pure. Source: pkg/kubelet/kuberuntime/kuberuntime_container.go v1.35."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from k3py.kubelet.devices import ContainerDevices
from k3py.kubelet.expansion import expand
from k3py.kubelet.labels import container_annotations, container_labels
from k3py.kubelet.qos import linux_resources
from k3py.kubelet.security import container_security

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from k3py.jsontypes import JsonObject

_PROPAGATIONS: Final = {
    "Bidirectional": "PROPAGATION_BIDIRECTIONAL",
    "HostToContainer": "PROPAGATION_HOST_TO_CONTAINER",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerInputs:
    """What a container's configuration is made of, beside its pod.

    mounts: CRI Mounts, in order.
    image: the image's document as the runtime has it.
    target_id: container whose processes an ephemeral container sees.
    devices: CRI Devices. extra: what plugins add.
    """

    attempt: int
    environment: Mapping[str, str]
    mounts: Sequence[JsonObject]
    image: JsonObject
    node_memory_bytes: int
    target_id: str = ""
    devices: Sequence[JsonObject] = ()
    extra: ContainerDevices = field(default_factory=ContainerDevices)


def container_log_path(name: str, attempt: int) -> str:
    """Return the path of a container's log below the pod's log folder."""
    return f"{name}/{attempt}.log"


def container_config(pod: JsonObject, container: JsonObject, inputs: ContainerInputs) -> JsonObject:
    """Return the configuration of a container.

    Raises:
        ContainerConfigError: the security context cannot be met.
    """
    name = container["name"]
    uid = (inputs.image.get("uid") or {}).get("value")
    user = inputs.image.get("username") or ""
    if uid is None and not user:
        uid = 0
    extra = inputs.extra
    environment = extra.environment | dict(inputs.environment)
    config: JsonObject = {
        "metadata": {"name": name, "attempt": inputs.attempt},
        # Created from the id, so that a tag that moves meanwhile does not matter; the name is for people.
        "image": {"image": inputs.image["id"], "user_specified_image": container["image"]},
        "command": [expand(one, inputs.environment) for one in container.get("command") or ()],
        "args": [expand(one, inputs.environment) for one in container.get("args") or ()],
        "working_dir": container.get("workingDir") or "",
        "envs": [{"key": key, "value": value} for key, value in environment.items()],
        "mounts": [*inputs.mounts, *extra.mounts],
        "devices": [*inputs.devices, *extra.devices],
        "CDI_devices": [{"name": one} for one in extra.cdi],
        "labels": container_labels(pod, name),
        "annotations": extra.annotations | container_annotations(pod, container, attempt=inputs.attempt),
        "log_path": container_log_path(name, inputs.attempt),
        "stdin": bool(container.get("stdin")),
        "stdin_once": bool(container.get("stdinOnce")),
        "tty": bool(container.get("tty")),
        "linux": {
            "resources": linux_resources(pod, container, node_memory_bytes=inputs.node_memory_bytes),
            "security_context": container_security(
                pod, container, image_uid=uid, image_user=user, target_id=inputs.target_id
            ),
        },
    }
    if extra.cpus:
        config["linux"]["resources"]["cpuset_cpus"] = extra.cpus
    if signal := (container.get("lifecycle") or {}).get("stopSignal"):
        config["stop_signal"] = signal
    return config


def volume_device(device: JsonObject, host_path: str, *, read_only: bool) -> JsonObject:
    """Return CRI's Device of a volumeDevice."""
    return {
        "container_path": device["devicePath"],
        "host_path": host_path,
        "permissions": "r" if read_only else "mrw",
    }


def mount_document(mount: JsonObject, host_path: str, *, read_only: bool = False) -> JsonObject:
    """Return CRI's Mount of a volumeMount."""
    path = mount["mountPath"]
    document: JsonObject = {
        "container_path": path if path.startswith("/") else f"/{path}",
        "host_path": host_path,
        "readonly": read_only or bool(mount.get("readOnly")),
    }
    if propagation := _PROPAGATIONS.get(mount.get("mountPropagation", "")):
        document["propagation"] = propagation
    if mount.get("recursiveReadOnly") in ("Enabled", "IfPossible") and document["readonly"]:
        document["recursive_read_only"] = mount["recursiveReadOnly"] == "Enabled"
    return document
