"""Whether the node takes a pod that was bound to it. Pure.

The scheduler has decided already; this is for pods bound by name, races and nodes that changed meanwhile.

Source: pkg/kubelet/lifecycle/predicate.go, pkg/scheduler/framework/plugins AdmissionCheck v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.kubelet.amounts import cpu_millis, whole
from k3py.kubelet.pod import containers, init_containers, is_host_network, is_sidecar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from k3py.jsontypes import JsonObject, JsonValue


def reject_reason(
    pod: JsonObject, node: JsonObject | None, others: Sequence[JsonObject], *, max_pods: int
) -> tuple[str, str] | None:
    """Return (reason, message) when the node cannot take the pod, else None.

    Args:
        pod: the pod.
        node: the Node, None = not known yet: only what needs no Node is checked.
        others: the pods that are on the node and not finished.
        max_pods: most pods of the node.
    """
    if len(others) + 1 > max_pods:
        message = (
            f"Node didn't have enough resource: pods, requested: 1, used: {len(others)}, capacity: {max_pods}"
        )
        return "OutOfpods", message
    if _ports_conflict(pod, others):
        return (
            "NodePorts",
            "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports",
        )
    if node is None:
        return None
    labels = node["metadata"].get("labels") or {}
    selector = pod["spec"].get("nodeSelector") or {}
    if any(labels.get(key) != value for key, value in selector.items()):
        return (
            "NodeAffinity",
            "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
        )
    wanted_os = (pod["spec"].get("os") or {}).get("name")
    if wanted_os and wanted_os != "linux":
        return "PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS"
    return find_shortage(pod, (node.get("status") or {}).get("allocatable") or {}, others)


def find_shortage(
    pod: JsonObject, allocatable: Mapping[str, JsonValue], others: Iterable[JsonObject]
) -> tuple[str, str] | None:
    """Return (reason, message) when what the pod asks for is not there beside what others have, else None."""
    requested = pod_requests(pod)
    used: dict[str, int] = {}
    for other in others:
        for name, amount in pod_requests(other).items():
            used[name] = used.get(name, 0) + amount
    for name, amount in requested.items():
        if name not in allocatable or not amount:
            continue
        capacity = _amount(name, allocatable[name])
        if amount + used.get(name, 0) > capacity:
            message = (
                f"Node didn't have enough resource: {name}, requested: {amount}, used: {used.get(name, 0)}, "
                f"capacity: {capacity}"
            )
            return f"OutOf{name}", message
    return None


def _amount(name: str, value: JsonValue) -> int:
    return cpu_millis(value) if name == "cpu" else whole(value)


def pod_requests(pod: JsonObject) -> dict[str, int]:
    """Return what a pod asks for: CPU in thousandths, the rest in its unit.

    Source: component-helpers/resource PodRequests v0.35.
    """
    total: dict[str, int] = {}
    for one in containers(pod):
        _add(total, _requests(one))
    sidecars: dict[str, int] = {}
    most: dict[str, int] = {}
    for one in init_containers(pod):
        own = _requests(one)
        if is_sidecar(one):
            _add(total, own)
            _add(sidecars, own)
            own = sidecars
        else:
            own = {key: own.get(key, 0) + sidecars.get(key, 0) for key in own.keys() | sidecars.keys()}
        for key, amount in own.items():
            most[key] = max(most.get(key, 0), amount)
    result = {key: max(total.get(key, 0), most.get(key, 0)) for key in total.keys() | most.keys()}
    own_requests = (pod["spec"].get("resources") or {}).get("requests") or {}
    result |= {key: _amount(key, value) for key, value in own_requests.items()}
    _add(result, {key: _amount(key, value) for key, value in (pod["spec"].get("overhead") or {}).items()})
    return result


def _requests(container: JsonObject) -> dict[str, int]:
    requests = (container.get("resources") or {}).get("requests") or {}
    return {key: _amount(key, value) for key, value in requests.items()}


def _add(total: dict[str, int], amounts: Mapping[str, int]) -> None:
    for key, amount in amounts.items():
        total[key] = total.get(key, 0) + amount


def _host_ports(pod: JsonObject) -> set[tuple[str, str, int]]:
    found = set()
    for container in (*containers(pod), *(one for one in init_containers(pod) if is_sidecar(one))):
        for port in container.get("ports") or ():
            number = port.get("hostPort") or (port["containerPort"] if is_host_network(pod) else 0)
            if number:
                found.add((port.get("hostIP") or "0.0.0.0", port.get("protocol") or "TCP", int(number)))  # noqa: S104
    return found


def _ports_conflict(pod: JsonObject, others: Iterable[JsonObject]) -> bool:
    wanted = _host_ports(pod)
    if not wanted:
        return False
    anywhere = "0.0.0.0"  # noqa: S104 - a wildcard in a comparison
    for other in others:
        for ip, protocol, number in _host_ports(other):
            for own_ip, own_protocol, own_number in wanted:
                same_ip = ip == own_ip or anywhere in (ip, own_ip)
                if same_ip and (protocol, number) == (own_protocol, own_number):
                    return True
    return False
