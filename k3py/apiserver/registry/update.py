"""PUT of an object; some kinds are created by it.

Source: k8s.io/apiserver/pkg/endpoints/handlers/update.go v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.object import deep_copy
from k3py.api.status import conflict
from k3py.apiserver.registry.create import admit_new, store_new
from k3py.apiserver.registry.decoding import check_name, decode_object, settle_namespace
from k3py.apiserver.registry.large import run_sized
from k3py.apiserver.registry.metadata import drop_duplicate_owners
from k3py.apiserver.registry.options import write_options
from k3py.apiserver.registry.updating import Part, Update, main_part
from k3py.storage.errors import ObjectExists, ObjectNotFound

if TYPE_CHECKING:
    from k3py.apiserver.interface import ObjectResult
    from k3py.apiserver.registry.call import Call
    from k3py.apiserver.registry.options import WriteOptions
    from k3py.jsontypes import JsonObject


async def update(call: Call) -> ObjectResult:
    """Replace an object. Raises ApiError, StorageError."""
    while True:
        try:
            return await update_part(call, main_part(call.kind.strategy))
        except ObjectExists:  # somebody created it between our look and our create: then this is an update
            continue


async def update_part(call: Call, part: Part) -> ObjectResult:
    """Replace a part of an object. Raises ApiError, StorageError."""
    options = write_options(call.request, "UpdateOptions")
    obj = await run_sized(
        len(call.request.raw_body),
        decode_object,
        call,
        call.kind,
        field_validation=options.field_validation,
    )
    settle_namespace(call.kind, obj, call.namespace)
    name = call.request.name
    check_name(obj, name)

    async def replace(_old: JsonObject) -> JsonObject:
        copied: JsonObject = deep_copy(obj)
        return copied

    try:
        return await Update(call, part, options, replace, uid=obj["metadata"].get("uid") or "").run(name)
    except ObjectNotFound:
        if not part.is_main or not call.kind.strategy.create_on_update:
            raise
    return await create_by_update(call, obj, options)


async def create_by_update(call: Call, obj: JsonObject, options: WriteOptions) -> ObjectResult:
    """Create what a PUT did not find. Raises ApiError, StorageError."""
    metadata = obj["metadata"]
    if metadata.get("uid"):
        raise conflict(
            call.kind.group,
            call.kind.plural,
            call.request.name,
            f"Precondition failed: UID in precondition: {metadata['uid']}, UID in object meta: ",
        )
    metadata.pop("resourceVersion", None)
    drop_duplicate_owners(obj, call.request.warnings)
    await run_sized(
        len(call.request.raw_body),
        call.services.patches.track,
        call.kind,
        None,
        obj,
        manager=options.field_manager,
        subresource="",
        now=call.now(),
    )
    await admit_new(call, obj, options)
    return await store_new(call, obj, options, status_code=201)
