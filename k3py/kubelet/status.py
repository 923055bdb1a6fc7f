"""A pod's status: phase, conditions and container statuses, computed from what the runtime has. Pure.

Source: pkg/kubelet/kubelet_pods.go generateAPIPodStatus, getPhase; pkg/kubelet/status/generate.go v1.35.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from k3py.kubelet.pod import (
    containers,
    ephemeral_containers,
    init_containers,
    is_host_network,
    is_sidecar,
    restart_policy,
)
from k3py.kubelet.pod_conditions import DISRUPTION_TARGET, OWNED_CONDITIONS, RESIZE_CONDITIONS, pod_conditions
from k3py.kubelet.qos import qos_class
from k3py.kubelet.sync_plan import Waiting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from k3py.jsontypes import JsonObject
    from k3py.kubelet.pod_resize import PodResize
    from k3py.kubelet.runtime_state import ContainerRecord, PodRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What a status is computed from, beside the pod.

    waiting: reasons of containers that do not run (image pull, back-off, failed start).
    starting: ids of containers that run and whose start is not through (hooks): they count as waiting still.
    started, ready: ids of containers that passed their startup / readiness probe (or have none).
    ended: the pod was told to end; its reason and message (DeadlineExceeded, Evicted) and that it counts as Failed.
    stopped: every container has stopped and none will start again.
    messages: termination messages by container id.
    resize: which resources containers have been given, None = what the pod asks for.
    """

    record: PodRecord
    now_s: float
    node_ips: tuple[str, ...]
    runtime_name: str = "containerd"
    waiting: Mapping[str, Waiting] = field(default_factory=dict)
    starting: frozenset[str] = frozenset()
    started: frozenset[str] = frozenset()
    ready: frozenset[str] = frozenset()
    messages: Mapping[str, str] = field(default_factory=dict)
    failed_reason: str = ""
    failed_message: str = ""
    stopped: bool = False
    resize: PodResize | None = None


def timestamp(seconds: float) -> str:
    """Write seconds since the epoch as the API does: RFC 3339, whole seconds, UTC."""
    return datetime.fromtimestamp(int(seconds), tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def pod_status(pod: JsonObject, seen: Observation) -> JsonObject:
    """Return the whole status document of a pod."""
    old: JsonObject = pod.get("status") or {}
    old_statuses = _by_name(old)
    initialized = _has_initialized(pod, seen)
    init = [
        _container_status(one, seen, old_statuses, init=True, initialized=initialized, pod=pod)
        for one in init_containers(pod)
    ]
    regular = [
        _container_status(one, seen, old_statuses, init=False, initialized=initialized, pod=pod)
        for one in containers(pod)
    ]
    ephemeral = [
        _container_status(one, seen, old_statuses, init=False, initialized=True, pod=pod)
        for one in ephemeral_containers(pod)
    ]
    phase = _phase(pod, init, regular, stopped=seen.stopped)
    if seen.failed_reason:
        phase = "Failed" if seen.stopped else ("Running" if phase == "Succeeded" else phase)
    if old.get("phase") in ("Succeeded", "Failed"):
        phase = old["phase"]
    elif phase in ("Succeeded", "Failed") and not seen.stopped:
        phase = "Running"
    status: JsonObject = {"phase": phase, "startTime": old.get("startTime") or timestamp(seen.now_s)}
    if generation := pod["metadata"].get("generation"):
        status["observedGeneration"] = generation
    if seen.failed_reason:
        status["reason"], status["message"] = seen.failed_reason, seen.failed_message
    else:
        status |= {key: old[key] for key in ("reason", "message") if key in old}
    status["qosClass"] = old.get("qosClass") or qos_class(pod)
    _add_addresses(status, pod, old, seen)
    if init:
        status["initContainerStatuses"] = init
    status["containerStatuses"] = regular
    if ephemeral:
        status["ephemeralContainerStatuses"] = ephemeral
    network = seen.record.sandbox is not None and seen.record.sandbox.ready
    if not is_host_network(pod):
        network = network and seen.record.sandbox is not None and bool(seen.record.sandbox.ips)
    status["conditions"] = pod_conditions(
        pod, status, initialized=initialized, network_ready=network, now=timestamp(seen.now_s)
    )
    _add_resize_conditions(status, pod, seen)
    if seen.failed_reason in ("Evicted", "Terminated"):
        _mark_disrupted(status, pod, seen)
    return status


def _mark_disrupted(status: JsonObject, pod: JsonObject, seen: Observation) -> None:
    """Say that it is not the pod's fault that it ends."""
    others = [one for one in status["conditions"] if one["type"] != DISRUPTION_TARGET]
    before = next((one for one in status["conditions"] if one["type"] == DISRUPTION_TARGET), None)
    made: JsonObject = {
        "type": DISRUPTION_TARGET,
        "status": "True",
        "lastProbeTime": None,
        "lastTransitionTime": before["lastTransitionTime"] if before else timestamp(seen.now_s),
        "reason": "TerminationByKubelet",
        "message": seen.failed_message,
    }
    if generation := pod["metadata"].get("generation"):
        made["observedGeneration"] = generation
    status["conditions"] = [*others, made]


def _by_name(status: JsonObject) -> dict[str, JsonObject]:
    parts = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
    return {one["name"]: one for part in parts for one in status.get(part) or ()}


def _add_addresses(status: JsonObject, pod: JsonObject, old: JsonObject, seen: Observation) -> None:
    if seen.node_ips:
        status["hostIP"] = seen.node_ips[0]
        status["hostIPs"] = [{"ip": ip} for ip in seen.node_ips]
    sandbox = seen.record.sandbox
    ips: Sequence[str] = ()
    if is_host_network(pod):
        ips = seen.node_ips if sandbox is not None else ()
    elif sandbox is not None and sandbox.ips:
        ips = sandbox.ips
    if ips:
        status["podIP"] = ips[0]
        status["podIPs"] = [{"ip": ip} for ip in ips]
    elif "podIP" in old:
        status["podIP"] = old["podIP"]
        status["podIPs"] = old.get("podIPs") or [{"ip": old["podIP"]}]


def _has_initialized(pod: JsonObject, seen: Observation) -> bool:
    """Say whether all init containers are through (sidecars: started), or a regular container has run already."""
    if any(seen.record.find(one["name"]) is not None for one in containers(pod)):
        return True
    for one in init_containers(pod):
        record = seen.record.find(one["name"])
        if record is None:
            return False
        if is_sidecar(one):
            if not record.running or record.id not in seen.started:
                return False
        elif record.state != "exited" or record.exit_code != 0:
            return False
    return True


def _container_status(
    container: JsonObject,
    seen: Observation,
    old_statuses: Mapping[str, JsonObject],
    *,
    init: bool,
    initialized: bool,
    pod: JsonObject,
) -> JsonObject:
    name = container["name"]
    old = old_statuses.get(name) or {}
    record = seen.record.find(name)
    waiting = seen.waiting.get(name)
    status: JsonObject = {
        "name": name,
        "state": {},
        "lastState": {},
        "ready": False,
        "restartCount": 0,
        "image": container.get("image", ""),
        "imageID": "",
        "started": False,
    }
    if record is None:
        status["state"] = _state_without_record(old, waiting, seen, pod, initialized=initialized)
        if "terminated" in status["state"] or old.get("lastState"):
            status |= {
                key: old[key] for key in ("restartCount", "imageID", "containerID", "lastState") if key in old
            }
        return status
    status["restartCount"] = record.attempt
    status["imageID"] = record.image_ref
    status["image"] = record.image or container.get("image", "")
    status["containerID"] = f"{seen.runtime_name}://{record.id}"
    previous = seen.record.find_previous(name)
    if previous is not None and previous.state == "exited":
        status["lastState"] = {"terminated": _terminated(previous, seen)}
    elif old.get("lastState") and old.get("containerID") == status["containerID"]:
        status["lastState"] = old["lastState"]
    if record.running and record.id not in seen.starting:
        started_s = (record.started_ns or record.created_ns) / 1e9
        status["state"] = {"running": {"startedAt": timestamp(started_s)}}
        status["started"] = record.id in seen.started
        sidecar = init and is_sidecar(container)
        status["ready"] = record.id in seen.ready and (not init or sidecar)
        _add_resources(status, container, record, seen.resize)
    elif record.state == "exited":
        terminated = _terminated(record, seen)
        if waiting is not None:
            status["state"] = {"waiting": _waiting(waiting)}
            status["lastState"] = {"terminated": terminated}
        else:
            status["state"] = {"terminated": terminated}
            status["ready"] = init and not is_sidecar(container) and record.exit_code == 0
    else:
        status["state"] = {"waiting": _waiting(waiting or Waiting("ContainerCreating"))}
    return status


def _state_without_record(
    old: JsonObject, waiting: Waiting | None, seen: Observation, pod: JsonObject, *, initialized: bool
) -> JsonObject:
    if waiting is not None:
        return {"waiting": _waiting(waiting)}
    before = (old.get("state") or {}).get("terminated")
    if before is not None:
        return {"terminated": before}
    if "running" in (old.get("state") or {}) and seen.stopped:
        return {
            "terminated": {
                "exitCode": 137,
                "reason": "ContainerStatusUnknown",
                "message": "The container could not be located when the pod was terminated",
                "startedAt": None,
                "finishedAt": None,
            }
        }
    if init_containers(pod) and not initialized:
        return {"waiting": {"reason": "PodInitializing"}}
    return {"waiting": {"reason": "ContainerCreating"}}


def _waiting(waiting: Waiting) -> JsonObject:
    return {"reason": waiting.reason} | ({"message": waiting.message} if waiting.message else {})


def _terminated(record: ContainerRecord, seen: Observation) -> JsonObject:
    document: JsonObject = {
        "exitCode": record.exit_code,
        "reason": record.reason or ("Completed" if record.exit_code == 0 else "Error"),
        "startedAt": timestamp(record.started_ns / 1e9) if record.started_ns else None,
        "finishedAt": timestamp(record.finished_s) if record.finished_ns else None,
        "containerID": f"{seen.runtime_name}://{record.id}",
    }
    if message := seen.messages.get(record.id) or record.message:
        document["message"] = message
    return document


def _add_resize_conditions(status: JsonObject, pod: JsonObject, seen: Observation) -> None:
    """Say what of a resize waits or is under way; what is not said any more goes."""
    before = {one["type"]: one for one in status["conditions"] if one["type"] in RESIZE_CONDITIONS}
    if seen.resize is None or (not before and not seen.resize.is_active(pod, seen.record)):
        return
    made = []
    for kind, reason, message, generation in seen.resize.conditions(pod, seen.record):
        condition: JsonObject = {
            "type": kind,
            "status": "True",
            "lastProbeTime": None,
            "lastTransitionTime": (before.get(kind) or {}).get("lastTransitionTime") or timestamp(seen.now_s),
        }
        given = {"reason": reason, "message": message, "observedGeneration": generation}
        made.append(condition | {key: value for key, value in given.items() if value})
    status["conditions"] = [one for one in status["conditions"] if one["type"] not in before] + made


def _add_resources(
    status: JsonObject, container: JsonObject, record: ContainerRecord, resize: PodResize | None
) -> None:
    resources = container.get("resources") or {}
    allocated = resources
    if resize is not None:
        allocated, resources = resize.allocated(container), resize.actuated(container)
    if requests := allocated.get("requests"):
        status["allocatedResources"] = requests
    status["resources"] = {key: resources[key] for key in ("limits", "requests") if resources.get(key)}
    if record.user is not None:
        user: JsonObject = {"uid": record.user.get("uid", 0), "gid": record.user.get("gid", 0)}
        groups = record.user.get("supplemental_groups") or [user["gid"]]
        status["user"] = {"linux": user | {"supplementalGroups": list(groups)}}


def _phase(
    pod: JsonObject, init: Sequence[JsonObject], regular: Sequence[JsonObject], *, stopped: bool
) -> str:
    """Return the phase. Source: getPhase v1.35."""
    policy = restart_policy(pod)
    if early := _init_phase(pod, init, regular, stopped=stopped):
        return early
    running = sum("running" in one["state"] for one in regular)
    codes = [code for one in regular if (code := _exit_code(one)) is not None]
    if running + len(codes) < len(regular):
        return "Pending"  # until all have been started once
    if running or (policy == "Always" and not stopped):
        return "Running"
    if not any(codes):
        return "Succeeded"
    return "Failed" if policy == "Never" or stopped else "Running"


def _exit_code(status: JsonObject) -> int | None:
    """Return the exit code of a container that ended (and may be waiting to run again), else None."""
    state = status["state"]
    if "running" in state:
        return None
    terminated = state.get("terminated") or status["lastState"].get("terminated")
    return None if terminated is None else int(terminated["exitCode"])


def _init_phase(
    pod: JsonObject, init: Sequence[JsonObject], regular: Sequence[JsonObject], *, stopped: bool
) -> str:
    """Return "Pending" or "Failed" while (or because) initialisation is not through, else ""."""
    started_any = any("waiting" not in one["state"] or one["lastState"] for one in regular)
    for container, status in zip(init_containers(pod), init, strict=True):
        terminated = status["state"].get("terminated")
        if is_sidecar(container):
            if not status["started"] and not started_any:
                return "Failed" if stopped and restart_policy(pod) == "Never" and terminated else "Pending"
        elif terminated is not None:
            if terminated["exitCode"] != 0:
                return "Failed" if restart_policy(pod) == "Never" else "Pending"
        elif not started_any:
            return "Pending"
    return ""


def status_patch(old: JsonObject, new: JsonObject) -> JsonObject:
    """Return the strategic-merge patch of `status` from `old` to `new`; {} = nothing changed.

    Conditions merge by type, so that those of others stay; addresses replace.
    """
    patch: JsonObject = {}
    for key, value in new.items():
        if old.get(key) == value:
            continue
        if key == "conditions":
            before = {one["type"]: one for one in old.get("conditions") or ()}
            changed = [
                # What is not said any more has to be taken away by name in a merge patch.
                dict.fromkeys(before.get(one["type"]) or ()) | one
                for one in value
                if one["type"] in (*OWNED_CONDITIONS, *RESIZE_CONDITIONS, DISRUPTION_TARGET)
                and not _same(before.get(one["type"]), one)
            ]
            said = {one["type"] for one in value}
            changed += [
                {"$patch": "delete", "type": kind}
                for kind in RESIZE_CONDITIONS
                if kind in before and kind not in said
            ]
            if changed:
                patch["conditions"] = changed
        elif key in ("podIPs", "hostIPs") and old.get(key):
            patch[key] = [{"$patch": "replace"}, *value]
        elif _without_empty(old.get(key)) != _without_empty(value):
            patch[key] = value
    return patch


def _same(old: JsonObject | None, new: JsonObject) -> bool:
    return old is not None and _without_empty(old) == _without_empty(new)


def _without_empty(value: object) -> object:
    """Drop what the API server may leave out or fill in as null."""
    if isinstance(value, dict):
        cleaned = {key: _without_empty(one) for key, one in value.items()}
        return {key: one for key, one in cleaned.items() if one not in (None, {}, [])}
    if isinstance(value, list):
        return [_without_empty(one) for one in value]
    return value
