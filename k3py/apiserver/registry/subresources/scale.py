"""The scale subresource: replicas of a workload as autoscaling/v1 Scale, the same for all kinds that scale.

Source: k8s.io/kubernetes/pkg/registry/apps/deployment/storage (ScaleREST) v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.fielderror import invalid_value
from k3py.api.kind import ScalePaths
from k3py.api.object import deep_copy
from k3py.api.patch.scale_fields import object_entries, scale_entries
from k3py.api.selectors import SelectorError, selector_from_map, selector_from_object
from k3py.api.status import internal_error, invalid
from k3py.apiserver.interface import ObjectResult
from k3py.apiserver.registry.conversion import to_served
from k3py.apiserver.registry.decoding import check_name, decode_object, decode_patched, settle_namespace
from k3py.apiserver.registry.options import APPLY, write_options
from k3py.apiserver.registry.patch import apply_patch
from k3py.apiserver.registry.subresources.bodies import SCALE
from k3py.apiserver.registry.updating import Part, Update

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.api.kind import Kind
    from k3py.apiserver.registry.call import Call
    from k3py.jsontypes import JsonObject, JsonValue


async def handle_scale(call: Call) -> ObjectResult:
    """Answer get, update or patch. Raises ApiError, StorageError."""
    if call.request.verb == "get":
        view = await call.store.get(call.namespace, call.request.name)
        obj = await to_served(call.kind, call.store, view.parsed)
        _check_replicas(call.kind, obj)
        return ObjectResult(kind=SCALE, document=make_scale(call.kind, obj))
    return await _write(call)


async def _write(call: Call) -> ObjectResult:
    request = call.request
    is_update = request.verb == "update"
    options = write_options(request, "UpdateOptions" if is_update else "PatchOptions")
    replacement: JsonObject | None = None
    if is_update:
        replacement = decode_object(call, SCALE, field_validation=options.field_validation)
        settle_namespace(call.kind, replacement, call.namespace)
        check_name(replacement, request.name)

    async def change(old: JsonObject) -> JsonObject:
        live = make_scale(call.kind, old)
        path = (call.kind.scale or ScalePaths()).spec_replicas
        owners = old["metadata"].get("managedFields")
        live["metadata"]["managedFields"] = scale_entries(owners, path)
        if replacement is not None:
            scale = deep_copy(replacement)
        else:
            patched = apply_patch(call, live, options, kind=SCALE)
            scale = decode_patched(call, SCALE, patched, field_validation=options.field_validation)
            check_name(scale, request.name)
        if call.kind.structure is None:  # of a custom resource, the object will be refused
            _validate(scale)
        if request.patch_type != APPLY:
            call.services.patches.track(
                SCALE,
                live,
                scale,
                manager=options.field_manager,
                subresource=request.subresource,
                now=call.now(),
            )
        new = _scaled(call.kind, old, scale)
        settled = object_entries(owners, scale["metadata"].get("managedFields"), call.kind.api_version, path)
        if settled:
            new["metadata"]["managedFields"] = settled
        else:
            new["metadata"].pop("managedFields", None)
        return new

    uid = replacement["metadata"].get("uid") or "" if replacement is not None else ""
    strategy = call.kind.strategy
    part = Part(prepare=strategy.prepare_update, validate=strategy.validate_update)
    update = Update(call, part, options, change, uid=uid, tracked=False, projection=_Scales(call.kind))
    result = await update.run(request.name)
    obj = result.view.parsed if result.view is not None else result.document
    return ObjectResult(kind=SCALE, document=make_scale(call.kind, obj or {}))


class _Scales:
    """Admission sees the Scale of an object."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    def show(self, obj: JsonObject) -> JsonObject:
        """Return the Scale, with its own field managers."""
        scale = make_scale(self._kind, obj)
        path = (self._kind.scale or ScalePaths()).spec_replicas
        owners = scale_entries(obj["metadata"].get("managedFields"), path)
        if owners:
            scale["metadata"]["managedFields"] = owners
        return scale

    def absorb(self, obj: JsonObject, shown: JsonObject) -> None:
        """Take over the replicas."""
        _set_replicas(self._kind, obj, shown)


def _check_replicas(kind: Kind, obj: JsonObject) -> None:
    """Source: k8s.io/apiextensions-apiserver/pkg/registry/customresource/etcd.go scaleFromCustomResource v0.35."""
    path = (kind.scale or ScalePaths()).spec_replicas
    if kind.structure is not None and _find(obj, path) is None:
        raise internal_error(f'the spec replicas field "{path}" does not exist')


def _validate(scale: JsonObject) -> None:
    replicas = (scale.get("spec") or {}).get("replicas") or 0
    if replicas < 0:
        errors: list[FieldError] = [
            invalid_value("spec.replicas", replicas, "must be greater than or equal to 0")
        ]
        raise invalid("autoscaling", "Scale", scale["metadata"].get("name", ""), errors)


def _scaled(kind: Kind, old: JsonObject, scale: JsonObject) -> JsonObject:
    new: JsonObject = deep_copy(old)
    metadata = scale["metadata"]
    if version := metadata.get("resourceVersion"):
        new["metadata"]["resourceVersion"] = version
    _set_replicas(kind, new, scale)
    return new


def _set_replicas(kind: Kind, obj: JsonObject, scale: JsonObject) -> None:
    paths = kind.scale or ScalePaths()
    *parents, last = paths.spec_replicas.lstrip(".").split(".")
    place = obj
    for key in parents:
        place = place.setdefault(key, {})
    place[last] = (scale.get("spec") or {}).get("replicas") or 0


def make_scale(kind: Kind, obj: JsonObject) -> JsonObject:
    """Return the Scale of an object (read-only)."""
    paths = kind.scale or ScalePaths()
    metadata = obj["metadata"]
    shown = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    replicas = _find(obj, paths.spec_replicas)
    status: JsonObject = {"replicas": _find(obj, paths.status_replicas) or 0}
    if selector := _selector_text(kind, _find(obj, paths.label_selector)):
        status["selector"] = selector
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: metadata[key] for key in shown if key in metadata},
        "spec": {"replicas": replicas} if replicas else {},
        "status": status,
    }


def _selector_text(kind: Kind, selector: JsonValue) -> str:
    if isinstance(selector, str):
        return selector
    if not selector:
        return ""
    if kind.plural == "replicationcontrollers":
        return str(selector_from_map(selector))
    try:
        return str(selector_from_object(selector))
    except SelectorError:
        return ""


def _find(obj: JsonObject, path: str) -> JsonValue:
    value: JsonValue = obj
    for key in path.lstrip(".").split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value
