"""Quality of service: class, cgroup names and Linux resources of a pod. Pure.

Formulas: data/kubelet.tsv "cgroup". Source: pkg/kubelet/cm/helpers_linux.go, pkg/kubelet/qos/policy.go v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.kubelet.amounts import cpu_millis, whole
from k3py.kubelet.pod import containers, init_containers, is_critical, is_sidecar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.jsontypes import JsonObject

MIN_SHARES: Final = 2
MAX_SHARES: Final = 262_144
PERIOD_US: Final = 100_000
MIN_QUOTA_US: Final = 1_000
PAUSE_OOM_SCORE_ADJ: Final = -998
CRITICAL_OOM_SCORE_ADJ: Final = -997
_COMPUTE: Final = ("cpu", "memory")


def qos_class(pod: JsonObject) -> str:
    """Return "Guaranteed", "Burstable" or "BestEffort".

    Source: pkg/apis/core/v1/helper/qos ComputePodQOS v1.35.
    """
    guaranteed = True
    any_set = False
    own = pod["spec"].get("resources")
    sources = (
        [own] if own else [one.get("resources") or {} for one in (*init_containers(pod), *containers(pod))]
    )
    for resources in sources:
        requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
        for name in _COMPUTE:
            request, limit = _amount(name, requests), _amount(name, limits)
            any_set = any_set or bool(request) or bool(limit)
            if not limit or (request and request != limit):
                guaranteed = False
    if not any_set:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _amount(name: str, amounts: JsonObject) -> int:
    if name not in amounts:
        return 0
    return cpu_millis(amounts[name]) if name == "cpu" else whole(amounts[name])


def pod_cgroup(pod: JsonObject, root: str = "") -> str:
    """Return the cgroup of a pod below the hierarchy's mount, e.g. "/kubepods/burstable/pod<uid>"."""
    parent = {"Guaranteed": "", "Burstable": "/burstable", "BestEffort": "/besteffort"}[qos_class(pod)]
    return f"{root}/kubepods{parent}/pod{pod['metadata']['uid']}"


def shares(millis: int) -> int:
    """Return cpu.shares for a request in thousandths of a CPU."""
    return max(MIN_SHARES, min(MAX_SHARES, millis * 1024 // 1000)) if millis else MIN_SHARES


def weight(cpu_shares: int) -> int:
    """Return cpu.weight (cgroup v2) for cpu.shares."""
    return 1 + (cpu_shares - 2) * 9999 // 262_142


def quota_us(millis: int) -> int:
    """Return cpu.cfs_quota_us for a limit in thousandths; 0 = none."""
    return max(MIN_QUOTA_US, millis * PERIOD_US // 1000) if millis else 0


def request_millis(resources: JsonObject) -> int:
    """Return the CPU request in thousandths, else the limit, else 0."""
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    return cpu_millis(requests["cpu"]) if "cpu" in requests else _amount("cpu", limits)


def oom_score_adj(pod: JsonObject, container: JsonObject, *, node_memory_bytes: int) -> int:
    """Return the oom_score_adj of a container. Source: pkg/kubelet/qos/policy.go v1.35."""
    kind = qos_class(pod)
    if kind == "Guaranteed" or is_critical(pod):
        return CRITICAL_OOM_SCORE_ADJ
    if kind == "BestEffort":
        return 1000
    value = _burstable_score(container, node_memory_bytes)
    if is_sidecar(container):
        value = min(value, *(_burstable_score(one, node_memory_bytes) for one in containers(pod)), 999)
    return value


def _burstable_score(container: JsonObject, node_memory_bytes: int) -> int:
    request = _amount("memory", (container.get("resources") or {}).get("requests") or {})
    return min(max(1000 - 1000 * request // max(node_memory_bytes, 1), 3), 999)


def linux_resources(pod: JsonObject, container: JsonObject, *, node_memory_bytes: int) -> JsonObject:
    """Return CRI's LinuxContainerResources of a container."""
    resources = container.get("resources") or {}
    limits = resources.get("limits") or {}
    document: JsonObject = {
        "cpu_shares": shares(request_millis(resources)),
        "oom_score_adj": oom_score_adj(pod, container, node_memory_bytes=node_memory_bytes),
    }
    if quota := quota_us(_amount("cpu", limits)):
        document["cpu_quota"] = quota
        document["cpu_period"] = PERIOD_US
    if limit := _amount("memory", limits):
        document["memory_limit_in_bytes"] = limit
    return document


def pod_resources(pod: JsonObject) -> JsonObject:
    """Return {"shares", "quota_us", "memory_bytes"} of the pod's cgroup; 0 = no limit.

    Source: pkg/kubelet/cm/helpers_linux.go ResourceConfigForPod v1.35.
    """
    own = pod["spec"].get("resources") or {}
    regular = [one.get("resources") or {} for one in containers(pod)]
    sidecars = [one.get("resources") or {} for one in init_containers(pod) if is_sidecar(one)]
    inits = [one.get("resources") or {} for one in init_containers(pod)]
    running = [*regular, *sidecars]
    cpu_request = max(sum(map(request_millis, running)), *(request_millis(one) for one in inits), 0)
    if "cpu" in (own.get("requests") or {}) or "cpu" in (own.get("limits") or {}):
        cpu_request = request_millis(own)
    return {
        "shares": shares(cpu_request),
        "quota_us": quota_us(_pod_limit("cpu", own, running, inits)),
        "memory_bytes": _pod_limit("memory", own, running, inits),
    }


def _pod_limit(name: str, own: JsonObject, running: Iterable[JsonObject], inits: Iterable[JsonObject]) -> int:
    if limit := _amount(name, own.get("limits") or {}):
        return limit
    amounts = [_amount(name, one.get("limits") or {}) for one in running]
    if not amounts or not all(amounts):
        return 0
    return max(sum(amounts), *(_amount(name, one.get("limits") or {}) for one in inits), 0)
