"""pods/resize: resources of the containers of a running pod. Source: pkg/registry/core/pod/strategy.go (podResizeStrategy) v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import FieldError, forbidden_field, invalid_value
from k3py.api.kinds.core.pod.qos import qos_class
from k3py.api.object import deep_copy
from k3py.api.validation.pod_spec import validate_pod
from k3py.apiserver.registry.get import get
from k3py.apiserver.registry.patch import patch_part
from k3py.apiserver.registry.update import update_part
from k3py.apiserver.registry.updating import Part

if TYPE_CHECKING:
    from k3py.api.kind import WriteContext
    from k3py.apiserver.interface import ObjectResult
    from k3py.apiserver.registry.call import Call
    from k3py.jsontypes import JsonObject

_RESIZABLE: Final = ("cpu", "memory")


async def handle_resize(call: Call) -> ObjectResult:
    """Answer get, update or patch. Raises ApiError, StorageError."""
    if call.request.verb == "get":
        return await get(call)

    def validate(new: JsonObject, old: JsonObject) -> list[FieldError]:
        return validate_pod(new) + _validate(new, old)

    part = Part(prepare=_prepare, validate=validate)
    return await (update_part(call, part) if call.request.verb == "update" else patch_part(call, part))


def _prepare(new: JsonObject, old: JsonObject, _context: WriteContext) -> None:
    managed = new["metadata"].get("managedFields")
    version = new["metadata"].get("resourceVersion")
    new["metadata"] = dict(old["metadata"])
    if version:
        new["metadata"]["resourceVersion"] = version
    if managed:
        new["metadata"]["managedFields"] = managed
    new["status"] = old.get("status") or {}
    # Images are ignored here, not refused.
    before = {one["name"]: one for one in old["spec"].get("containers") or ()}
    for container in new["spec"].get("containers") or ():
        known = before.get(container.get("name"))
        if known is not None and "image" in known:
            container["image"] = known["image"]
    if new["spec"] != old["spec"] and old["metadata"].get("generation"):
        new["metadata"]["generation"] = old["metadata"]["generation"] + 1


def _validate(new: JsonObject, old: JsonObject) -> list[FieldError]:
    """Source: k8s.io/kubernetes/pkg/apis/core/validation ValidatePodResize v1.35."""
    before, after = old["spec"], new["spec"]
    errors: list[FieldError] = []
    for field in ("containers", "initContainers"):
        if len(before.get(field) or ()) != len(after.get(field) or ()):
            text = f"{field} may not be added or removed on resize"
            return [forbidden_field(f"spec.{field}", text)]
        for index, pair in enumerate(zip(before.get(field) or (), after.get(field) or (), strict=True)):
            errors += _find_removed(*pair, f"spec.{field}[{index}].resources")
    if qos_class(after) != qos_class(before):
        text = "Pod QOS Class may not change as a result of resizing"
        errors.append(invalid_value("spec", qos_class(after), text))
    if not errors and _without_resizable(after) != _without_resizable(before):
        errors.append(forbidden_field("spec", "only cpu and memory resources are mutable"))
    return errors


def _find_removed(before: JsonObject, after: JsonObject, path: str) -> list[FieldError]:
    return [
        forbidden_field(f"{path}.{part}", f"resource {part} cannot be removed")
        for part in ("limits", "requests")
        if any(
            name in ((before.get("resources") or {}).get(part) or {})
            and name not in ((after.get("resources") or {}).get(part) or {})
            for name in _RESIZABLE
        )
    ]


def _without_resizable(spec: JsonObject) -> JsonObject:
    stripped: JsonObject = deep_copy(spec)
    _strip(stripped)
    for container in stripped.get("containers") or ():
        _strip(container)
    for container in stripped.get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            _strip(container)
    return stripped


def _strip(owner: JsonObject) -> None:
    resources = owner.get("resources")
    if not resources:
        owner.pop("resources", None)
        return
    for part in ("limits", "requests"):
        amounts = resources.get(part)
        for name in _RESIZABLE:
            if amounts:
                amounts.pop(name, None)
        if not amounts:
            resources.pop(part, None)
