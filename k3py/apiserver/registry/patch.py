"""PATCH in its four forms.

Source: k8s.io/apiserver/pkg/endpoints/handlers/patch.go v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.status import ApiError, bad_request
from k3py.apiserver.registry.create import admit_new, store_new
from k3py.apiserver.registry.decoding import (
    check_depth,
    check_name,
    check_request_depth,
    decode_patched,
    settle_namespace,
)
from k3py.apiserver.registry.large import run_sized
from k3py.apiserver.registry.options import APPLY, write_options
from k3py.apiserver.registry.updating import Part, Update, main_part
from k3py.storage.errors import ObjectExists, ObjectNotFound

if TYPE_CHECKING:
    from k3py.api.kind import Kind
    from k3py.apiserver.interface import ObjectResult
    from k3py.apiserver.registry.call import Call
    from k3py.apiserver.registry.options import WriteOptions
    from k3py.jsontypes import JsonObject

JSON: Final = "application/json-patch+json"
MERGE: Final = "application/merge-patch+json"
STRATEGIC: Final = "application/strategic-merge-patch+json"


async def patch(call: Call) -> ObjectResult:
    """Patch an object; an apply creates what is missing. Raises ApiError, StorageError."""
    while True:
        try:
            return await patch_part(call, main_part(call.kind.strategy))
        except ObjectExists:  # somebody created it between our look and our create: then this is an update
            continue


async def patch_part(call: Call, part: Part) -> ObjectResult:
    """Patch a part of an object. Raises ApiError, StorageError."""
    request = call.request
    options = write_options(request, "PatchOptions")
    if request.patch_type == APPLY:
        _check_applied(call)

    async def change(old: JsonObject) -> JsonObject:
        patched = await run_sized(len(request.raw_body), apply_patch, call, old, options)
        return await run_sized(len(request.raw_body), _settle, call, patched, options)

    try:
        return await Update(call, part, options, change, tracked=request.patch_type != APPLY).run(
            request.name
        )
    except ObjectNotFound:
        if request.patch_type != APPLY or not part.is_main:
            raise
    return await _apply_new(call, options)


def _settle(call: Call, patched: JsonObject, options: WriteOptions) -> JsonObject:
    kind, request = call.kind, call.request
    new = decode_patched(call, kind, patched, field_validation=options.field_validation)
    if not new["metadata"].get("namespace"):
        settle_namespace(kind, new, call.namespace)
    _check_patched_namespace(call, new)
    check_name(new, request.name)
    return new


def apply_patch(
    call: Call, old: JsonObject, options: WriteOptions, *, kind: Kind | None = None
) -> JsonObject:
    """Return the patched document; `old` is read-only and of `kind` (default: the call's). Raises ApiError."""
    kind = kind or call.kind
    request, patches = call.request, call.services.patches
    body = request.body
    check_request_depth(call)
    match request.patch_type:
        case "application/json-patch+json":
            new = patches.apply_json(old, body)
            check_depth(new)  # a patch can nest deeper than it is itself
        case "application/merge-patch+json":
            new = patches.apply_merge(old, body)
        case "application/strategic-merge-patch+json":
            if not kind.schema:
                raise _unsupported((JSON, MERGE, APPLY), details=None)
            new = patches.apply_strategic(kind, old, body)
        case "application/apply-patch+yaml":
            new = patches.apply_configuration(
                kind,
                old,
                body,
                manager=options.field_manager,
                force=options.force,
                subresource=request.subresource,
                now=call.now(),
            )
            _check_repeated_keys(call, options)
        case _:
            raise _unsupported(
                (JSON, MERGE, STRATEGIC, APPLY), details={} if kind.structure is None else None
            )
    if not isinstance(new, dict):
        raise bad_request("the patched document is not an object")
    return new


def _check_patched_namespace(call: Call, new: JsonObject) -> None:
    if not call.kind.namespaced:
        return
    own = new["metadata"].get("namespace") or ""
    if own != call.namespace:
        raise bad_request(
            f"the namespace of the object ({own}) does not match the namespace on the request ({call.namespace})"
        )


def _check_applied(call: Call) -> None:
    body = call.request.body
    if not isinstance(body, dict):
        raise bad_request("error decoding YAML: an object is needed")
    metadata = body.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise bad_request("metadata must be an object")
    if metadata.get("managedFields"):
        raise bad_request("metadata.managedFields must be nil")


def _check_repeated_keys(call: Call, options: WriteOptions) -> None:
    """Source: k8s.io/apiserver/pkg/endpoints/handlers/patch.go (applyPatcher) v0.35. Raises ApiError 400."""
    repeated = call.request.repeated_keys
    if not repeated or options.field_validation == "Ignore":
        return
    if options.field_validation == "Strict":
        text = "error converting YAML to JSON: yaml: unmarshal errors:\n  " + "\n  ".join(repeated)
        raise bad_request(f"error strict decoding YAML: {text}")
    call.request.warnings.extend(repeated)


async def _apply_new(call: Call, options: WriteOptions) -> ObjectResult:
    """Create what an apply did not find."""
    request = call.request
    check_request_depth(call)
    obj = await run_sized(
        len(request.raw_body),
        call.services.patches.apply_configuration,
        call.kind,
        None,
        request.body,
        manager=options.field_manager,
        force=options.force,
        subresource="",
        now=call.now(),
    )
    _check_repeated_keys(call, options)
    obj = await run_sized(
        len(request.raw_body),
        decode_patched,
        call,
        call.kind,
        obj,
        field_validation=options.field_validation,
    )
    settle_namespace(call.kind, obj, call.namespace)
    if not obj["metadata"].get("name"):
        obj["metadata"]["name"] = request.name
    check_name(obj, request.name)
    obj["metadata"].pop("resourceVersion", None)
    await admit_new(call, obj, options)
    return await store_new(call, obj, options, status_code=201)


def _unsupported(types: tuple[str, ...], details: JsonObject | None) -> ApiError:
    return ApiError(
        415,
        "UnsupportedMediaType",
        "the body of the request was in an unknown format - accepted media types include: "
        + ", ".join(types),
        details=details,
    )
