"""The conditions that the kubelet keeps in a pod's status. Pure. Source: pkg/kubelet/status/generate.go v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.kubelet.pod import init_containers, is_sidecar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from k3py.jsontypes import JsonObject

DISRUPTION_TARGET: Final = "DisruptionTarget"
RESIZE_CONDITIONS: Final = ("PodResizePending", "PodResizeInProgress")
OWNED_CONDITIONS: Final = (
    "PodReadyToStartContainers",
    "Initialized",
    "Ready",
    "ContainersReady",
    "PodScheduled",
)


def pod_conditions(
    pod: JsonObject, status: JsonObject, *, initialized: bool, network_ready: bool, now: str
) -> list[JsonObject]:
    """Return all conditions: the kubelet's as of now, and those of others as they are.

    Args:
        pod: the pod; the transition times of its present conditions are kept where nothing changes.
        status: the new status, without conditions.
        initialized: its init containers are through.
        network_ready: its sandbox has its network.
        now: the time of transitions.
    """
    kept = {one["type"]: one for one in (pod.get("status") or {}).get("conditions") or ()}
    containers_ready = _ready_condition(pod, status)
    made: list[tuple[str, str, str, str]] = [
        ("PodReadyToStartContainers", "True" if network_ready else "False", "", ""),
        _initialized_condition(pod, status, initialized=initialized),
        ("Ready", *_with_gates(pod, kept, containers_ready)),
        ("ContainersReady", *containers_ready),
        ("PodScheduled", "True", "", ""),
    ]
    result = []
    for kind, value, reason, message in made:
        before = kept.pop(kind, None)
        changed = before is None or before["status"] != value
        condition: JsonObject = {"type": kind, "status": value}
        if generation := pod["metadata"].get("generation"):
            condition["observedGeneration"] = generation
        condition["lastProbeTime"] = None
        condition["lastTransitionTime"] = (
            now if changed or before is None else before.get("lastTransitionTime")
        )
        if reason:
            condition["reason"] = reason
        if message:
            condition["message"] = message
        result.append(condition)
    return [*result, *kept.values()]


def _initialized_condition(
    pod: JsonObject, status: JsonObject, *, initialized: bool
) -> tuple[str, str, str, str]:
    if initialized:
        reason = "PodCompleted" if status["phase"] == "Succeeded" else ""
        return "Initialized", "True", reason, ""
    names = [
        one["name"]
        for container, one in zip(
            init_containers(pod), status.get("initContainerStatuses") or (), strict=True
        )
        if not (one["started"] if is_sidecar(container) else one["ready"])
    ]
    message = f"containers with incomplete status: [{' '.join(names)}]"
    return "Initialized", "False", "ContainersNotInitialized", message


def _ready_condition(pod: JsonObject, status: JsonObject) -> tuple[str, str, str]:
    if status["phase"] == "Succeeded":
        return "False", "PodCompleted", ""
    if status["phase"] == "Failed":
        return "False", "PodFailed", ""
    counted = [one for one in status["containerStatuses"] if not one["ready"]]
    for container, one in zip(init_containers(pod), status.get("initContainerStatuses") or (), strict=True):
        if is_sidecar(container) and not one["ready"]:
            counted.append(one)
    if counted:
        names = " ".join(one["name"] for one in counted)
        return "False", "ContainersNotReady", f"containers with unready status: [{names}]"
    return "True", "", ""


def _with_gates(
    pod: JsonObject, kept: Mapping[str, JsonObject], containers_ready: tuple[str, str, str]
) -> tuple[str, str, str]:
    if containers_ready[0] != "True":
        return containers_ready
    for gate in pod["spec"].get("readinessGates") or ():
        kind = gate["conditionType"]
        found = kept.get(kind)
        if found is None:
            return (
                "False",
                "ReadinessGatesNotReady",
                f'corresponding condition of pod readiness gate "{kind}" does not exist.',
            )
        if found["status"] != "True":
            message = f'the status of pod readiness gate "{kind}" is not "True", but {found["status"]}'
            return "False", "ReadinessGatesNotReady", message
    return "True", "", ""
