"""A pod's class of service. Source: kubernetes/pkg/apis/core/helper/qos v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.quantity import parse_quantity

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject

_COUNTED: Final = ("cpu", "memory")


def qos_class(spec: JsonObject) -> str:
    """Return "Guaranteed", "Burstable" or "BestEffort" by the requests and limits of cpu and memory."""
    pod = spec.get("resources") or {}
    if pod.get("requests") or pod.get("limits"):
        groups = [pod]
    else:
        containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
        groups = [one.get("resources") or {} for one in containers]
    any_set, guaranteed = False, bool(groups)
    for resources in groups:
        requests = _positive(resources.get("requests") or {})
        limits = _positive(resources.get("limits") or {})
        any_set = any_set or bool(requests or limits)
        full = set(limits) == set(_COUNTED) and all(
            parse_quantity(str(requests.get(name, limits[name]))) == parse_quantity(str(limits[name]))
            for name in limits
        )
        guaranteed = guaranteed and full
    if not any_set:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _positive(quantities: JsonObject) -> JsonObject:
    return {
        name: text for name, text in quantities.items() if name in _COUNTED and parse_quantity(str(text)) > 0
    }
