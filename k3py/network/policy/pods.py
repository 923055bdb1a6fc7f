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
