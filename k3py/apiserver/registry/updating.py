"""The way of every change to a stored object: update, patch, and the subresources that write.

Source: k8s.io/apiserver/pkg/registry/generic/registry/store.go (Update) and rest/update.go v0.35.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from k3py.api.fielderror import invalid_value
from k3py.api.patch.apply import keep_times_if_unchanged
from k3py.api.status import conflict, invalid
from k3py.apiserver.interface import ObjectResult
from k3py.apiserver.registry.conversion import serve_view, to_served, to_stored
from k3py.apiserver.registry.errors import CHANGED, bad_resource_version
from k3py.apiserver.registry.large import give_turn, run_sized
from k3py.apiserver.registry.metadata import (
    carry_over_metadata,
    drop_duplicate_owners,
    settle_metadata,
    validate_metadata_update,
)
from k3py.storage.interface import Deleted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from k3py.api.fielderror import FieldError
    from k3py.api.kind import BaseStrategy, Kind, WriteContext
    from k3py.apiserver.interface import AdmissionRequest
    from k3py.apiserver.registry.call import Call
    from k3py.apiserver.registry.options import WriteOptions
    from k3py.apiserver.registry.seams import Reservation
    from k3py.jsontypes import JsonObject
    from k3py.storage.interface import ObjectView


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Which part of an object a write is about: the main resource or a subresource.

    prepare(new, old, context) carries over what this part may not change; validate(new, old) checks it.
    """

    prepare: Callable[[JsonObject, JsonObject, WriteContext], None]
    validate: Callable[[JsonObject, JsonObject], list[FieldError]]
    is_main: bool = False


def main_part(strategy: BaseStrategy) -> Part:
    """Return the main resource's part."""
    return Part(prepare=strategy.prepare_update, validate=strategy.validate_update, is_main=True)


def status_part(strategy: BaseStrategy) -> Part:
    """Return the status subresource's part."""
    return Part(prepare=strategy.prepare_status_update, validate=strategy.validate_status_update)


class Projection(Protocol):
    """What admission sees of an object in place of it: the Scale."""

    def show(self, obj: JsonObject) -> JsonObject:
        """Return the projection of an object, which stays as it is."""

    def absorb(self, obj: JsonObject, shown: JsonObject) -> None:
        """Take over into the object what admission has changed of its projection."""


class Update:
    """One change of one object, repeated until nobody was faster.

    transform(old) returns the wished-for document, its own copy, with the resourceVersion that the client demands (none: the client
    accepts any, and the kind allows it or the write fails). `old` is read-only and in the version of the request. `tracked` names the field
    manager unless `transform` keeps managedFields itself.
    """

    def __init__(
        self,
        call: Call,
        part: Part,
        options: WriteOptions,
        transform: Callable[[JsonObject], Awaitable[JsonObject]],
        *,
        uid: str = "",
        tracked: bool = True,
        projection: Projection | None = None,
    ) -> None:
        self._call = call
        self._part = part
        self._options = options
        self._transform = transform
        self._uid = uid
        self._tracked = tracked
        self._projection = projection
        self._document: JsonObject | None = None
        self._is_gone = False
        self._first_warning = len(call.request.warnings)
        self._reservation: Reservation | None = None

    async def run(self, name: str) -> ObjectResult:
        """Carry the change out and return the object as it is then. Raises ApiError, StorageError."""
        call = self._call
        try:
            view = await call.store.update(call.namespace, name, self._change)
        except BaseException:
            await self._roll_back()
            raise
        if self._options.dry_run:
            await self._roll_back()
        elif self._reservation is not None:
            await self._reservation.commit()
        if self._is_gone and call.hook is not None:
            await call.hook.after_delete(view.parsed)
        if self._document is not None:
            return ObjectResult(kind=call.kind, document=self._document)
        return ObjectResult(kind=call.kind, view=await serve_view(call.kind, call.store, view))

    async def _change(self, view: ObjectView) -> JsonObject | Deleted | None:
        await self._roll_back()
        call, part = self._call, self._part
        del call.request.warnings[self._first_warning :]  # those of a try that was too slow
        old = await to_served(call.kind, call.store, view.parsed)
        self._check_uid(old)
        size = len(view.served) + len(call.request.raw_body)
        new = await self._transform(old)
        await give_turn(size)
        warnings: list[str] = call.request.warnings
        drop_duplicate_owners(new, warnings)
        context = call.context(dry_run=self._options.dry_run, field_manager=self._options.field_manager)
        if self._tracked:
            await run_sized(
                size,
                call.services.patches.track,
                call.kind,
                old,
                new,
                manager=self._options.field_manager,
                subresource=call.request.subresource,
                now=context.now,
            )
        request = self._admission(new, old)
        call.services.schemas.settle(call.kind, new)
        await call.services.admission.admit(request)
        if self._projection is not None and request.obj is not None:
            self._projection.absorb(new, request.obj)
        drop_duplicate_owners(new, warnings)
        if part.is_main:
            await call.guard(new, old)
        self._check_version(new, old)
        if part.is_main and call.hook is not None:
            self._reservation = await call.hook.begin_update(new, old, dry_run=self._options.dry_run)
        await run_sized(size, self._prepare, new, old, context)
        await call.services.admission.validate(self._admission(new, old))
        return await self._outcome(new, old)

    def _check_uid(self, old: JsonObject) -> None:
        if self._uid and self._uid != old["metadata"]["uid"]:
            kind = self._call.kind
            raise conflict(
                kind.group,
                kind.plural,
                old["metadata"]["name"],
                f"Precondition failed: UID in precondition: {self._uid}, UID in object meta: {old['metadata']['uid']}",
            )

    def _check_version(self, new: JsonObject, old: JsonObject) -> None:
        kind = self._call.kind
        wanted = new["metadata"].get("resourceVersion") or ""
        current = old["metadata"]["resourceVersion"]
        if wanted and not wanted.isdigit():
            raise bad_resource_version(wanted)
        if not wanted or wanted == "0":
            if not kind.strategy.unconditional_update:
                raise invalid(
                    kind.group,
                    kind.plural,
                    old["metadata"]["name"],
                    [invalid_value("metadata.resourceVersion", 0, "must be specified for an update")],
                )
        elif wanted != current:
            raise conflict(kind.group, kind.plural, old["metadata"]["name"], CHANGED)
        new["metadata"]["resourceVersion"] = current

    def _prepare(self, new: JsonObject, old: JsonObject, context: WriteContext) -> None:
        kind = self._call.kind
        carry_over_metadata(new, old)
        self._part.prepare(new, old, context)
        self._call.services.schemas.complete(kind, new)
        settle_metadata(new, old)
        if errors := [*validate_metadata_update(new, old), *self._part.validate(new, old)]:
            raise invalid(kind.storage_group, kind.kind, old["metadata"]["name"], errors)
        if self._part.is_main:
            self._call.request.warnings.extend(kind.strategy.warnings(new, old))

    def _admission(self, new: JsonObject, old: JsonObject) -> AdmissionRequest:
        name = old["metadata"]["name"]
        if self._projection is not None:
            new, old = self._projection.show(new), self._projection.show(old)
        return self._call.admission_request(
            "UPDATE", name=name, obj=new, old=old, dry_run=self._options.dry_run
        )

    async def _outcome(self, new: JsonObject, old: JsonObject) -> JsonObject | Deleted | None:
        call = self._call
        deletes = is_deletable(call.kind, new, old)
        if self._options.dry_run or deletes:
            self._document = new
        if self._options.dry_run:
            return None
        self._is_gone = deletes
        if deletes:
            return Deleted()
        keep_times_if_unchanged(old, new)  # a write that changes nothing else is none
        return await to_stored(call.kind, call.store, new)

    async def _roll_back(self) -> None:
        if self._reservation is not None:
            reservation, self._reservation = self._reservation, None
            await reservation.roll_back()


def is_deletable(kind: Kind, new: JsonObject, old: JsonObject) -> bool:
    """Say whether an update leaves nothing that keeps a deleted object: no finalizer, no grace period left.

    Source: k8s.io/apiserver/pkg/registry/generic/registry/store.go ShouldDeleteDuringUpdate, and namespaces' own.
    """
    metadata, before = new["metadata"], old["metadata"]
    if not before.get("deletionTimestamp") or metadata.get("finalizers"):
        return False
    return not before.get("deletionGracePeriodSeconds") and not is_namespace_held(kind, new)


def is_namespace_held(kind: Kind, obj: JsonObject) -> bool:
    """Say whether `obj` is a namespace whose content has not been finalized."""
    if kind.plural != "namespaces" or kind.group:
        return False
    return bool((obj.get("spec") or {}).get("finalizers"))
