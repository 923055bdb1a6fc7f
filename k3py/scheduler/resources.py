"""What a pod asks for and what a node has, as integers: cpu in millicores, all else in its base unit.

Source: k8s.io/component-helpers/resource/helpers.go v0.35 (sums of containers and sidecars, peaks of init containers, overhead).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.quantity import millis, value_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from k3py.jsontypes import JsonObject, JsonValue

Resources = dict[str, int]

DEFAULT_CPU_MILLIS: Final = 100
DEFAULT_MEMORY_BYTES: Final = 200 * 1024 * 1024


def read_resources(quantities: Mapping[str, JsonValue] | None) -> Resources:
    """Turn a resource list into integers, rounded up."""
    return {
        name: millis(str(text)) if name == "cpu" else value_of(str(text))
        for name, text in (quantities or {}).items()
    }


def requests_of(pod: JsonObject) -> Resources:
    """Return what the pod needs at its peak, one "pods" included; while it is resized, the most of what it has and shall have."""
    spec, has = pod["spec"], _held(pod)
    total: Resources = {}
    for container in spec.get("containers") or ():
        _add(total, _needs(container, has))
    sidecars: Resources = {}
    peak: Resources = {}
    for container in spec.get("initContainers") or ():
        asked = _needs(container, has)
        if container.get("restartPolicy") == "Always":
            _add(sidecars, asked)
            _raise_to(peak, sidecars)
        else:
            together = dict(sidecars)
            _add(together, asked)
            _raise_to(peak, together)
    _add(total, sidecars)
    _raise_to(total, peak)
    pod_level = read_resources((spec.get("resources") or {}).get("requests"))
    total.update(pod_level)
    _add(total, read_resources(spec.get("overhead")))
    total["pods"] = 1
    return total


def scoring_requests_of(pod: JsonObject) -> tuple[int, int]:
    """Return (cpu millis, memory bytes) for scoring, where a container that asks for nothing counts with a default."""
    return pod_resources(pod)[1]


def pod_resources(pod: JsonObject) -> tuple[Resources, tuple[int, int]]:
    """Return `requests_of` and `scoring_requests_of` together."""
    cpu = memory = 0
    for container in pod["spec"].get("containers") or ():
        asked = _requests(container)
        cpu += asked.get("cpu") or DEFAULT_CPU_MILLIS
        memory += asked.get("memory") or DEFAULT_MEMORY_BYTES
    whole = requests_of(pod)
    return whole, (max(cpu, whole.get("cpu", 0)), max(memory, whole.get("memory", 0)))


def _held(pod: JsonObject) -> Mapping[str, tuple[Resources, bool]]:
    """Return, by container, what the node has given it, and whether that alone counts: its resize can never be."""
    status = pod.get("status") or {}
    alone = any(
        one["type"] == "PodResizePending" and one["status"] == "True" and one.get("reason") == "Infeasible"
        for one in status.get("conditions") or ()
    )
    found = {}
    for part in ("containerStatuses", "initContainerStatuses"):
        for one in status.get(part) or ():
            given = one.get("resources")
            if given is None:
                continue
            amounts = read_resources(given.get("requests"))
            _raise_to(amounts, read_resources(one.get("allocatedResources")))
            found[one["name"]] = (amounts, alone)
    return found


def _needs(container: JsonObject, has: Mapping[str, tuple[Resources, bool]]) -> Resources:
    asked, held = _requests(container), has.get(container["name"])
    if held is None:
        return asked
    if held[1]:
        return held[0]
    _raise_to(asked, held[0])
    return asked


def _requests(container: JsonObject) -> Resources:
    return read_resources((container.get("resources") or {}).get("requests"))


def _add(total: Resources, other: Resources) -> None:
    for name, amount in other.items():
        total[name] = total.get(name, 0) + amount


def _raise_to(total: Resources, other: Resources) -> None:
    for name, amount in other.items():
        total[name] = max(total.get(name, 0), amount)
