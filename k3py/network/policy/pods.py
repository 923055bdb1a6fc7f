"""What network policies need to know of a pod: pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from k3py.jsontypes import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyPod:
    """A pod as policies see it.

    addresses: of both families. ports: (name, protocol, number) of named container ports. local: runs on this node, and policies are
    enforced for it here. shares_node: its addresses are the node's, too: only its ports are the pod, and only as a destination.
    """

    namespace: str
    name: str
    labels: Mapping[str, str]
    addresses: tuple[str, ...]
    ports: tuple[tuple[str, str, int], ...] = ()
    local: bool = False
    shares_node: bool = False


def reduce_pod(pod: JsonObject) -> JsonObject:
    """Return a v1 Pod with what policies need of it, and nothing else: the pods of a whole cluster are kept by every node."""
    metadata, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    reduced = {key: spec[key] for key in ("nodeName", "hostNetwork") if key in spec}
    for field in ("containers", "initContainers"):
        found = [
            {key: one[key] for key in ("name", "ports", "restartPolicy") if key in one}
            for one in spec.get(field) or ()
            if one.get("ports")
        ]
        if found:
            reduced[field] = found
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            key: metadata[key]
            for key in ("name", "namespace", "uid", "labels", "resourceVersion")
            if key in metadata
        },
        "spec": reduced,
        "status": {key: status[key] for key in ("phase", "podIP", "podIPs") if key in status},
    }


def read_pod(pod: JsonObject, *, node_name: str, addresses: Sequence[str] | None = None) -> PolicyPod | None:
    """Return a v1 Pod for policies, None when they do not concern it: it is on the host's network, has ended, or has no address yet.

    Args:
        pod: the object, read-only.
        node_name: this node.
        addresses: what the runtime gave it; None = those of its status.
    """
    spec, status, metadata = pod["spec"], pod.get("status") or {}, pod["metadata"]
    if spec.get("hostNetwork") or status.get("phase") in ("Succeeded", "Failed"):
        return None
    if addresses is None:
        addresses = [one["ip"] for one in status.get("podIPs") or () if one.get("ip")]
        if not addresses and status.get("podIP"):
            addresses = [status["podIP"]]
    if not addresses:
        return None
    sidecars = [one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"]
    ports = {
        (port["name"], port.get("protocol") or "TCP", port["containerPort"]): None
        for container in (*(spec.get("containers") or ()), *sidecars)
        for port in container.get("ports") or ()
        if port.get("name")
    }
    return PolicyPod(
        namespace=metadata["namespace"],
        name=metadata["name"],
        labels=metadata.get("labels") or {},
        addresses=tuple(addresses),
        ports=tuple(ports),
        local=spec.get("nodeName") == node_name,
    )
