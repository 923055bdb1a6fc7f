"""Limit ranges of a namespace give pods what they leave out, and bound what they and claims ask for.

Source: kubernetes/plugin/pkg/admission/limitranger v1.35.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from k3py.api.quantity import parse_quantity
from k3py.api.resource import Resource
from k3py.apiserver.admission.plugins.base import BasePlugin, is_for, is_resize, refuse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from k3py.apiserver.admission.lookup import Lookup
    from k3py.apiserver.interface import AdmissionRequest
    from k3py.jsontypes import JsonObject, JsonValue

_LIMIT_RANGES: Final = Resource("", "v1", "limitranges", "LimitRange")
_ANNOTATION: Final = "kubernetes.io/limit-ranger"
_SORTS: Final = (("containers", "container"), ("initContainers", "init container"))


class LimitRanger(BasePlugin):
    """See the module."""

    name = "LimitRanger"

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def handles(self, request: AdmissionRequest) -> bool:
        """See creates and resizes of pods, and writes of claims."""
        if is_for(request, "", "persistentvolumeclaims", ("CREATE", "UPDATE")):
            return True
        return is_for(request, "", "pods", ("CREATE",)) or is_resize(request)

    async def admit(self, request: AdmissionRequest) -> None:
        """Fill in requests and limits of containers, and say so in an annotation."""
        if request.kind.plural != "pods" or request.operation != "CREATE" or request.obj is None:
            return
        notes: list[str] = []
        for limits in await self._list(request):
            notes += _fill(request.obj.get("spec") or {}, limits)
        if notes:
            metadata = request.obj["metadata"]
            text = "LimitRanger plugin set: " + "; ".join(notes)
            metadata["annotations"] = {**(metadata.get("annotations") or {}), _ANNOTATION: text}

    async def validate(self, request: AdmissionRequest) -> None:
        """Refuse with 403 what is out of bounds."""
        obj = request.obj or {}
        if request.operation == "UPDATE" and obj["metadata"].get("deletionTimestamp"):
            return
        for limits in await self._list(request):
            spec = obj.get("spec") or {}
            faults = [
                fault
                for limit in limits
                for subject in _iter_subjects(request.kind.plural, spec, limit.get("type", ""))
                for fault in _find_faults(limit, *subject)
            ]
            if faults:
                raise refuse(request, faults[0] if len(faults) == 1 else f"[{', '.join(faults)}]")

    async def _list(self, request: AdmissionRequest) -> list[list[JsonObject]]:
        found = await self._lookup.list(_LIMIT_RANGES, request.namespace)
        return [(one.get("spec") or {}).get("limits") or [] for one in found]


def _fill(spec: JsonObject, limits: list[JsonObject]) -> list[str]:
    """Fill in what the containers leave out and return what was done, as the annotation says it."""
    defaults: dict[str, JsonObject] = {"requests": {}, "limits": {}}
    for limit in limits:
        if limit.get("type") == "Container":
            defaults["requests"].update(limit.get("defaultRequest") or {})
            defaults["limits"].update(limit.get("default") or {})
    notes: list[str] = []
    for field, sort in _SORTS:
        for container in spec.get(field) or ():
            resources = container.setdefault("resources", {})
            for part, amounts in defaults.items():
                missing = sorted(set(amounts) - set(resources.get(part) or ()))
                if missing:
                    added = {name: amounts[name] for name in missing}
                    resources[part] = {**(resources.get(part) or {}), **added}
                    notes.append(f"{', '.join(missing)} {part[:-1]} for {sort} {container.get('name', '')}")
    return notes


def _iter_subjects(plural: str, spec: JsonObject, kind: str) -> Iterator[tuple[JsonObject, JsonObject]]:
    """Yield the requests and limits that a limit of a type is about."""
    if plural == "persistentvolumeclaims":
        if kind == "PersistentVolumeClaim":
            yield (spec.get("resources") or {}).get("requests") or {}, {}
    elif kind == "Container":
        for field, _ in _SORTS:
            for one in spec.get(field) or ():
                resources = one.get("resources") or {}
                yield resources.get("requests") or {}, resources.get("limits") or {}
    elif kind == "Pod":
        yield _total(spec, "requests"), _total(spec, "limits")


def _total(spec: JsonObject, part: str) -> JsonObject:
    """Return what the pod says that it needs or, where it says nothing, its containers together : the running ones' sum, or the largest init container on its way."""
    totals: dict[str, Decimal] = {}
    for one in spec.get("containers") or ():
        _add(totals, one, part)
    sidecars: dict[str, Decimal] = {}
    peaks: dict[str, Decimal] = {}
    for one in spec.get("initContainers") or ():
        at_once = dict(sidecars)
        _add(at_once, one, part)
        if one.get("restartPolicy") == "Always":
            sidecars = at_once
        peaks = {name: max(peaks.get(name, Decimal(0)), value) for name, value in (peaks | at_once).items()}
    for name, value in sidecars.items():
        totals[name] = totals.get(name, Decimal(0)) + value
    for name, value in peaks.items():
        totals[name] = max(totals.get(name, Decimal(0)), value)
    found = {name: str(value) for name, value in totals.items()}
    of_pod = (spec.get("resources") or {}).get(part) or {}
    return found | {name: str(value) for name, value in of_pod.items() if _is_of_pod(name)}


def _is_of_pod(name: str) -> bool:
    """Say whether a pod's own amount of a resource counts in place of its containers'."""
    return name in ("cpu", "memory") or name.startswith("hugepages-")


def _add(totals: dict[str, Decimal], container: JsonObject, part: str) -> None:
    for name, text in ((container.get("resources") or {}).get(part) or {}).items():
        totals[name] = totals.get(name, Decimal(0)) + parse_quantity(str(text))


def _find_faults(limit: JsonObject, requests: JsonObject, limits: JsonObject) -> Iterator[str]:
    kind = limit.get("type", "")
    is_claim = kind == "PersistentVolumeClaim"
    for name, bound in (limit.get("min") or {}).items():
        start = f"minimum {name} usage per {kind} is {bound}"
        if name not in requests:
            yield f"{start}.  No request is specified"
        elif _value(requests[name]) < _value(bound):
            yield f"{start}, but request is {requests[name]}"
        elif name in limits and _value(limits[name]) < _value(bound):
            yield f"{start}, but limit is {limits[name]}"
    for name, bound in (limit.get("max") or {}).items():
        start = f"maximum {name} usage per {kind} is {bound}"
        if is_claim:
            if name in requests and _value(requests[name]) > _value(bound):
                yield f"{start}, but request is {requests[name]}"
        elif name not in limits:
            yield f"{start}.  No limit is specified"
        elif _value(limits[name]) > _value(bound):
            yield f"{start}, but limit is {limits[name]}"
        elif name in requests and _value(requests[name]) > _value(bound):
            yield f"{start}, but request is {requests[name]}"
    yield from _find_ratio_faults(limit, requests, limits)


def _find_ratio_faults(limit: JsonObject, requests: JsonObject, limits: JsonObject) -> Iterator[str]:
    kind = limit.get("type", "")
    for name, bound in (limit.get("maxLimitRequestRatio") or {}).items():
        start = f"{name} max limit to request ratio per {kind} is {bound}"
        if not _value(requests.get(name, 0)):
            yield f"{start}, but no request is specified or request is 0"
        elif not _value(limits.get(name, 0)):
            yield f"{start}, but no limit is specified or limit is 0"
        elif (ratio := _value(limits[name]) / _value(requests[name])) > _value(bound):
            yield f"{start}, but provided ratio is {ratio:.6f}"


def _value(text: JsonValue) -> Decimal:
    return parse_quantity(str(text))
