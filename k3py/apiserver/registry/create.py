"""POST of a new object, and what a PUT or an apply does that creates.

Source: k8s.io/apiserver/pkg/endpoints/handlers/create.go, pkg/registry/{generic/registry/store.go,rest/create.go} v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.object import deep_copy
from k3py.api.status import ApiError, already_exists, invalid
from k3py.apiserver.interface import ObjectResult
from k3py.apiserver.registry.conversion import serve_view, to_stored
from k3py.apiserver.registry.decoding import decode_object, settle_namespace
from k3py.apiserver.registry.large import run_sized
from k3py.apiserver.registry.metadata import drop_duplicate_owners, fill_new_metadata, validate_metadata
from k3py.apiserver.registry.options import write_options
from k3py.storage.errors import ObjectExists, ObjectNotFound

if TYPE_CHECKING:
    from k3py.api.kind import Kind
    from k3py.apiserver.registry.call import Call
    from k3py.apiserver.registry.options import WriteOptions
    from k3py.jsontypes import JsonObject

_MOST_NAME_TRIES: Final = 8


async def create(call: Call) -> ObjectResult:
    """Create an object. Raises ApiError, StorageError."""
    options = write_options(call.request, "CreateOptions")
    obj = await run_sized(
        len(call.request.raw_body),
        decode_object,
        call,
        call.kind,
        field_validation=options.field_validation,
    )
    settle_namespace(call.kind, obj, call.namespace)
    warnings = call.request.warnings
    drop_duplicate_owners(obj, warnings)
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


async def admit_new(call: Call, obj: JsonObject, options: WriteOptions) -> None:
    """Run mutating admission over an object that is to be created. Raises ApiError."""
    # Upstream gives plugins the name as it is at that time: none yet when it is to be generated.
    name = obj["metadata"].get("name") or ""
    await call.services.admission.admit(
        call.admission_request("CREATE", name=name, obj=obj, old=None, dry_run=options.dry_run)
    )
    call.services.schemas.settle(call.kind, obj)
    drop_duplicate_owners(obj, call.request.warnings)
    settle_namespace(call.kind, obj, call.namespace)  # a webhook may have moved it
    await call.guard(obj, None)


async def store_new(call: Call, obj: JsonObject, options: WriteOptions, *, status_code: int) -> ObjectResult:
    """Prepare, validate and store an admitted object; a generated name that is taken is replaced. Raises ApiError, StorageError."""
    generated = bool(obj["metadata"].get("generateName")) and not obj["metadata"].get("name")
    tries = _MOST_NAME_TRIES if generated else 1
    for attempt in range(1, tries + 1):
        candidate: JsonObject = deep_copy(obj) if attempt < tries else obj
        try:
            return await _store_once(call, candidate, options, status_code)
        except ObjectExists as error:
            if not generated:
                raise
            if attempt == tries:
                fault = already_exists(call.kind.group, call.kind.plural, candidate["metadata"]["name"])
                raise ApiError(
                    409, fault.reason, fault.message, details=fault.details, retry_after_s=1
                ) from error
    raise AssertionError("unreachable")


async def _store_once(call: Call, obj: JsonObject, options: WriteOptions, status_code: int) -> ObjectResult:
    kind, strategy = call.kind, call.kind.strategy
    context = call.context(dry_run=options.dry_run, field_manager=options.field_manager)
    fill_new_metadata(obj, context.now)
    reservation = None
    if call.hook is not None:
        reservation = await call.hook.begin_create(obj, dry_run=options.dry_run)
    try:
        strategy.prepare_create(obj, context)
        call.services.schemas.complete(kind, obj)
        await run_sized(len(call.request.raw_body), _validate, kind, obj)
        call.request.warnings.extend(strategy.warnings(obj, None))
        await call.services.admission.validate(
            call.admission_request(
                "CREATE", name=obj["metadata"]["name"], obj=obj, old=None, dry_run=options.dry_run
            )
        )
        result = await _write(call, obj, options, status_code)
    except BaseException:
        if reservation is not None:
            await reservation.roll_back()
        raise
    if reservation is not None:
        if options.dry_run:
            await reservation.roll_back()
        else:
            await reservation.commit()
    return result


def _validate(kind: Kind, obj: JsonObject) -> None:
    if errors := [*validate_metadata(kind, obj), *kind.strategy.validate(obj)]:
        raise invalid(kind.storage_group, kind.kind, obj["metadata"].get("name") or "", errors)


async def _write(call: Call, obj: JsonObject, options: WriteOptions, status_code: int) -> ObjectResult:
    if obj["metadata"].get("resourceVersion"):
        raise ApiError(500, "", "resourceVersion should not be set on objects to be created")
    obj["metadata"].pop("resourceVersion", None)
    if options.dry_run:
        try:
            await call.store.get(call.namespace, obj["metadata"]["name"])
        except ObjectNotFound:
            return ObjectResult(kind=call.kind, document=obj, status_code=status_code)
        raise ObjectExists("exists", key=obj["metadata"]["name"])
    view = await call.store.create(await to_stored(call.kind, call.store, obj))
    return ObjectResult(
        kind=call.kind, view=await serve_view(call.kind, call.store, view), status_code=status_code
    )
