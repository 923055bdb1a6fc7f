"""The Node object and its status. Pure. Source: pkg/kubelet/nodestatus/setters.go, kubelet_node_status.go v1.35."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from k3py.api.validation.resources import is_extended
from k3py.kubelet.amounts import cpu_millis, whole
from k3py.kubelet.status import timestamp
from k3py.version import GIT_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from k3py.jsontypes import JsonObject
    from k3py.kubelet.config import KubeletConfig
    from k3py.kubelet.machine import Machine, Pressure

MAX_IMAGES: Final = 50
_MAX_NAMES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """What a node's status is made of.

    not_ready: why pods cannot run, "" = they can.
    port: where the kubelet's server listens, 0 = nowhere.
    under_pressure: which pressure conditions hold.
    volumes_in_use: volumes that must not be detached.
    devices: how many devices of plugins there are, by resource; healthy_devices: how many of them pods may have.
    """

    config: KubeletConfig
    machine: Machine
    pressure: Pressure
    now_s: float
    runtime_version: str
    port: int
    not_ready: str = ""
    images: Sequence[JsonObject] = field(default_factory=tuple)
    under_pressure: Mapping[str, bool] = field(default_factory=dict)
    volumes_in_use: Sequence[str] = ()
    devices: Mapping[str, str] = field(default_factory=dict)
    healthy_devices: Mapping[str, str] = field(default_factory=dict)


def node_labels(config: KubeletConfig, machine: Machine) -> dict[str, str]:
    """Return the labels that the kubelet keeps on its Node."""
    labels = {
        "kubernetes.io/hostname": config.node_name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": machine.architecture,
        "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": machine.architecture,
        "node.kubernetes.io/instance-type": "k3py",
        "beta.kubernetes.io/instance-type": "k3py",
    }
    for label in config.node_labels:
        key, _, value = label.partition("=")
        labels[key] = value
    return labels


def node_taints(config: KubeletConfig) -> list[JsonObject]:
    """Return the taints that a new Node gets."""
    taints = []
    for text in config.node_taints:
        pair, _, effect = text.rpartition(":")
        key, _, value = pair.partition("=")
        taints.append({"key": key, "effect": effect} | ({"value": value} if value else {}))
    return taints


def new_node(facts: NodeFacts) -> JsonObject:
    """Return the Node to register."""
    config = facts.config
    node: JsonObject = {
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": {
            "name": config.node_name,
            "labels": node_labels(config, facts.machine),
            "annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"},
        },
        "spec": {},
        "status": node_status(facts, {}),
    }
    if config.provider_id:
        node["spec"]["providerID"] = config.provider_id
    if taints := node_taints(config):
        node["spec"]["taints"] = taints
    return node


def capacity(facts: NodeFacts) -> dict[str, str]:
    """Return what the machine has."""
    return {
        "cpu": str(facts.machine.cpus),
        "ephemeral-storage": f"{facts.pressure.disk_size_bytes >> 10}Ki",
        **facts.machine.huge_pages,
        "memory": f"{facts.machine.memory_kib}Ki",
        "pods": str(facts.config.settings.max_pods),
    }


def allocatable(facts: NodeFacts) -> dict[str, str]:
    """Return what pods may ask for: the capacity less what must stay free."""
    settings = facts.config.settings
    kept = {
        one.signal: one.amount.of(
            facts.machine.memory_bytes if one.signal == "memory.available" else facts.pressure.disk_size_bytes
        )
        for one in settings.thresholds
        if one.grace_s is None and one.signal in ("memory.available", "nodefs.available")
    }
    reserved = settings.reserved
    disk = facts.pressure.disk_size_bytes - kept.get("nodefs.available", 0)
    disk -= whole(reserved.get("ephemeral-storage", "0"))
    memory = facts.machine.memory_bytes - kept.get("memory.available", 0) - whole(reserved.get("memory", "0"))
    found = {"ephemeral-storage": str(max(0, disk)), "memory": f"{max(0, memory) >> 10}Ki"}
    if "cpu" in reserved:
        found["cpu"] = f"{max(0, facts.machine.cpus * 1000 - cpu_millis(reserved['cpu']))}m"
    return capacity(facts) | found


def node_status(facts: NodeFacts, old: JsonObject) -> JsonObject:
    """Return the whole status; transition times are kept from `old` where nothing changed, extended resources in any case."""
    machine, config = facts.machine, facts.config
    # Somebody else announces these in the capacity; pods may have all of them.
    extended = {name: amount for name, amount in (old.get("capacity") or {}).items() if is_extended(name)}
    status: JsonObject = {
        "addresses": [
            *({"type": "InternalIP", "address": ip} for ip in config.node_ips),
            {"type": "Hostname", "address": config.node_name},
        ],
        "allocatable": allocatable(facts) | extended | dict(facts.healthy_devices),
        "capacity": capacity(facts) | extended | dict(facts.devices),
        "conditions": _conditions(facts, {one["type"]: one for one in old.get("conditions") or ()}),
        "daemonEndpoints": {"kubeletEndpoint": {"Port": facts.port}},
        "images": _images(facts.images),
        "nodeInfo": {
            "architecture": machine.architecture,
            "bootID": machine.boot_id,
            "containerRuntimeVersion": facts.runtime_version,
            "kernelVersion": machine.kernel,
            "kubeProxyVersion": "",
            "kubeletVersion": GIT_VERSION,
            "machineID": machine.machine_id,
            "operatingSystem": "linux",
            "osImage": machine.os_image,
            "systemUUID": machine.system_uuid,
        },
    }
    if facts.volumes_in_use or old.get("volumesInUse"):
        status["volumesInUse"] = list(facts.volumes_in_use)
    if machine.swap_bytes:
        status["nodeInfo"]["swap"] = {"capacity": machine.swap_bytes}
    return status


def _conditions(facts: NodeFacts, old: Mapping[str, JsonObject]) -> list[JsonObject]:
    under = facts.under_pressure
    made = (
        _pressure(
            "MemoryPressure",
            under.get("MemoryPressure", False),
            "KubeletHasInsufficientMemory",
            "KubeletHasSufficientMemory",
            "memory available",
        ),
        _pressure(
            "DiskPressure",
            under.get("DiskPressure", False),
            "KubeletHasDiskPressure",
            "KubeletHasNoDiskPressure",
            "disk pressure",
        ),
        _pressure(
            "PIDPressure",
            under.get("PIDPressure", False),
            "KubeletHasInsufficientPID",
            "KubeletHasSufficientPID",
            "PID available",
        ),
        ("Ready", "False", "KubeletNotReady", facts.not_ready)
        if facts.not_ready
        else ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    )
    now = timestamp(facts.now_s)
    conditions = []
    for kind, value, reason, message in made:
        before = old.get(kind)
        same = before is not None and before["status"] == value
        conditions.append(
            {
                "type": kind,
                "status": value,
                "lastHeartbeatTime": now,
                "lastTransitionTime": before["lastTransitionTime"] if before is not None and same else now,
                "reason": reason,
                "message": message,
            }
        )
    return conditions


def _pressure(kind: str, under: bool, bad: str, good: str, what: str) -> tuple[str, str, str, str]:
    if under:
        text = "kubelet has disk pressure" if kind == "DiskPressure" else f"kubelet has insufficient {what}"
        return kind, "True", bad, text
    text = "kubelet has no disk pressure" if kind == "DiskPressure" else f"kubelet has sufficient {what}"
    return kind, "False", good, text


def _images(images: Sequence[JsonObject]) -> list[JsonObject]:
    biggest = sorted(images, key=lambda one: -int(one.get("size", 0)))[:MAX_IMAGES]
    return [
        {
            "names": [*(one.get("repo_digests") or ()), *(one.get("repo_tags") or ())][:_MAX_NAMES],
            "sizeBytes": int(one.get("size", 0)),
        }
        for one in biggest
    ]


def changed_parts(old: JsonObject, new: JsonObject) -> JsonObject:
    """Return the strategic-merge patch of `status` from `old` to `new` without heartbeats; {} = nothing changed."""
    patch = {key: value for key, value in new.items() if key != "conditions" and old.get(key) != value}
    for key in ("allocatable", "capacity"):
        if key in patch:
            patch[key] = dict.fromkeys(old.get(key) or ()) | patch[key]
    before = {one["type"]: _without_heartbeat(one) for one in old.get("conditions") or ()}
    conditions = [one for one in new["conditions"] if before.get(one["type"]) != _without_heartbeat(one)]
    if conditions:
        patch["conditions"] = conditions
    return patch


def _without_heartbeat(condition: JsonObject) -> JsonObject:
    return {key: value for key, value in condition.items() if key != "lastHeartbeatTime"}
