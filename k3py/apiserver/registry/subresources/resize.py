"""pods/resize: resources of the containers of a running pod. Source: pkg/registry/core/pod/strategy.go (podResizeStrategy) v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.fielderror import FieldError, forbidden_field
from k3py.api.object import deep_copy
from k3py.apiserver.registry.get import get
from k3py.apiserver.registry.patch import patch_part
from k3py.apiserver.registry.update import update_part
from k3py.apiserver.registry.updating import Part

if TYPE_CHECKING:
    from k3py.api.kind import WriteContext
    from k3py.apiserver.interface import ObjectResult
    from k3py.apiserver.registry.call import Call
    from k3py.jsontypes import JsonObject

_RESIZABLE = ("resources", "resizePolicy")


async def handle_resize(call: Call) -> ObjectResult:
    """Answer get, update or patch. Raises ApiError, StorageError."""
    if call.request.verb == "get":
        return await get(call)
    strategy = call.kind.strategy

    def validate(new: JsonObject, old: JsonObject) -> list[FieldError]:
        return strategy.validate(new) + _validate(new, old)

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
    if _without_resources(new["spec"]) != _without_resources(old["spec"]):
        return [forbidden_field("spec", "only cpu and memory resources are mutable")]
    return []


def _without_resources(spec: JsonObject) -> JsonObject:
    stripped: JsonObject = deep_copy(spec)
    stripped.pop("resources", None)
    for field in ("containers", "initContainers"):
        for container in stripped.get(field) or ():
            for key in _RESIZABLE:
                container.pop(key, None)
    return stripped
