"""/metrics/resources: what pods ask for and may take, as the scheduler counts it.

Source: pkg/scheduler/metrics/resources/resources.go v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.quantity import parse_quantity
from k3py.util.metrics import Computed, Registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from decimal import Decimal

    from k3py.client.interface import Lister
    from k3py.jsontypes import JsonObject

    Sample = tuple[tuple[str, ...], float]

_LABELS: Final = ("namespace", "pod", "node", "scheduler", "priority", "resource", "unit")


def resource_metrics(pods: Lister) -> Registry:
    """Return kube_pod_resource_request and kube_pod_resource_limit of all pods that have not ended."""
    registry = Registry()
    registry.add(
        Computed(
            "kube_pod_resource_request",
            "What a pod asks for, as the scheduler counts it.",
            _LABELS,
            lambda: _samples(pods.list(), "requests"),
        ),
        Computed(
            "kube_pod_resource_limit",
            "What a pod may take, as the scheduler counts it.",
            _LABELS,
            lambda: _samples(pods.list(), "limits"),
        ),
    )
    return registry


def _samples(pods: Sequence[JsonObject], part: str) -> Iterator[Sample]:
    for pod in pods:
        if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            continue
        spec, metadata = pod["spec"], pod["metadata"]
        labels = (
            metadata["namespace"],
            metadata["name"],
            spec.get("nodeName") or "",
            spec.get("schedulerName") or "",
            str(spec.get("priority", "")),
        )
        for resource, amount in sorted(pod_amounts(spec, part).items()):
            if amount:
                yield (*labels, resource, _unit(resource)), float(amount)


def pod_amounts(spec: JsonObject, part: str) -> dict[str, Decimal]:
    """Return a pod's requests or limits: those of its containers and sidecars, or of its largest init container, and its overhead."""
    total: dict[str, Decimal] = {}
    most: dict[str, Decimal] = {}
    sidecars: dict[str, Decimal] = {}
    for one in spec.get("containers") or ():
        _add(total, _amounts(one, part))
    for one in spec.get("initContainers") or ():
        own = _amounts(one, part)
        if one.get("restartPolicy") == "Always":
            _add(total, own)
            _add(sidecars, own)
            own = dict(sidecars)
        else:
            _add(own, sidecars)
        for name, amount in own.items():
            most[name] = max(most.get(name, amount), amount)
    for name, amount in most.items():
        total[name] = max(total.get(name, amount), amount)
    total |= _amounts(spec, part)
    for name, text in (spec.get("overhead") or {}).items():
        if part == "requests" or name in total:
            total[name] = total.get(name, parse_quantity("0")) + parse_quantity(str(text))
    return total


def _amounts(owner: JsonObject, part: str) -> dict[str, Decimal]:
    given: Mapping[str, str] = (owner.get("resources") or {}).get(part) or {}
    return {name: parse_quantity(str(text)) for name, text in given.items()}


def _add(total: dict[str, Decimal], amounts: Mapping[str, Decimal]) -> None:
    for name, amount in amounts.items():
        total[name] = total.get(name, parse_quantity("0")) + amount


def _unit(resource: str) -> str:
    if resource == "cpu":
        return "cores"
    if resource in ("memory", "ephemeral-storage", "storage") or resource.startswith("hugepages-"):
        return "bytes"
    return "integer"
