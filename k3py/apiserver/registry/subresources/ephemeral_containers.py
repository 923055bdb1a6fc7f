"""pods/ephemeralcontainers: debugging containers are added to a running pod, never changed or removed.

Source: pkg/registry/core/pod/strategy.go (podEphemeralContainersStrategy), pkg/apis/core/validation v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.fielderror import FieldError, forbidden_field
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

_FIELD = "ephemeralContainers"


async def handle_ephemeral_containers(call: Call) -> ObjectResult:
    """Answer get, update or patch. Raises ApiError, StorageError."""
    if call.request.verb == "get":
        return await get(call)

    def validate(new: JsonObject, old: JsonObject) -> list[FieldError]:
        return validate_pod(new) + _validate(new, old)

    part = Part(prepare=_prepare, validate=validate)
    return await (update_part(call, part) if call.request.verb == "update" else patch_part(call, part))


def _prepare(new: JsonObject, old: JsonObject, _context: WriteContext) -> None:
    wanted = (new.get("spec") or {}).get(_FIELD)
    new["spec"] = dict(old["spec"])
    if wanted:
        new["spec"][_FIELD] = wanted
    else:
        new["spec"].pop(_FIELD, None)
    new["status"] = old.get("status") or {}
    version = new["metadata"].get("resourceVersion")
    managed = new["metadata"].get("managedFields")
    new["metadata"] = dict(old["metadata"])
    if version:
        new["metadata"]["resourceVersion"] = version
    if managed:
        new["metadata"]["managedFields"] = managed
    if new["spec"].get(_FIELD) != old["spec"].get(_FIELD) and old["metadata"].get("generation"):
        new["metadata"]["generation"] = old["metadata"]["generation"] + 1


def _validate(new: JsonObject, old: JsonObject) -> list[FieldError]:
    path = f"spec.{_FIELD}"
    now = {one.get("name"): one for one in new["spec"].get(_FIELD) or ()}
    errors: list[FieldError] = []
    for before in old["spec"].get(_FIELD) or ():
        name = before.get("name")
        if name not in now:
            errors.append(
                forbidden_field(path, f'existing ephemeral containers "{name}" may not be removed\n')
            )
        elif now[name] != before:
            errors.append(
                forbidden_field(path, f'existing ephemeral containers "{name}" may not be changed\n')
            )
    return errors
