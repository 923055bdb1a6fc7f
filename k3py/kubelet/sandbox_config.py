"""CRI's PodSandboxConfig of a pod. Pure. Source: pkg/kubelet/kuberuntime/kuberuntime_sandbox.go v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.kubelet.labels import sandbox_annotations, sandbox_labels
from k3py.kubelet.pod import containers, hostname_of, init_containers, is_host_network
from k3py.kubelet.security import sandbox_security

if TYPE_CHECKING:
    from pathlib import Path

    from k3py.jsontypes import JsonObject


def log_directory(root: Path, pod: JsonObject) -> Path:
    """Return the folder of a pod's logs: <root>/<namespace>_<name>_<uid>."""
    metadata = pod["metadata"]
    return root / f"{metadata['namespace']}_{metadata['name']}_{metadata['uid']}"


def sandbox_config(
    pod: JsonObject,
    *,
    attempt: int,
    logs: Path,
    dns: JsonObject,
    cgroup_parent: str,
    sysctls_allowed: bool = True,
) -> JsonObject:
    """Return the configuration of a sandbox.

    Args:
        pod: the pod.
        attempt: how many sandboxes it had before.
        logs: the pod's log folder.
        dns: CRI's DNSConfig.
        cgroup_parent: the pod's cgroup, "" = the runtime's default.
        sysctls_allowed: whether spec.securityContext.sysctls are passed on.
    """
    metadata, spec = pod["metadata"], pod["spec"]
    all_containers = (*init_containers(pod), *containers(pod))
    config: JsonObject = {
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
            "attempt": attempt,
        },
        "log_directory": str(logs),
        "dns_config": dns,
        "labels": sandbox_labels(pod),
        "annotations": sandbox_annotations(pod),
        "port_mappings": _port_mappings(pod),
        "linux": {
            "cgroup_parent": cgroup_parent,
            "security_context": sandbox_security(pod, all_containers),
        },
    }
    if not is_host_network(pod):
        config["hostname"] = hostname_of(pod)
    sysctls = (spec.get("securityContext") or {}).get("sysctls") or ()
    if sysctls and sysctls_allowed:
        config["linux"]["sysctls"] = {one["name"]: one["value"] for one in sysctls}
    return config


def _port_mappings(pod: JsonObject) -> list[JsonObject]:
    if is_host_network(pod):
        return []
    mappings = []
    for container in (*containers(pod), *init_containers(pod)):
        for port in container.get("ports") or ():
            mapping: JsonObject = {
                "protocol": port.get("protocol") or "TCP",
                "container_port": port["containerPort"],
            }
            if port.get("hostPort"):
                mapping["host_port"] = port["hostPort"]
                if port.get("hostIP"):
                    mapping["host_ip"] = port["hostIP"]
            mappings.append(mapping)
    return mappings
