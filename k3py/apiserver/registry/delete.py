"""DELETE of one object: preconditions, grace, finalizers, propagation.

Source: k8s.io/apiserver/pkg/registry/generic/registry/store.go (Delete, updateForGracefulDeletionAndFinalizers), rest/delete.go,
pkg/registry/core/namespace/storage v1.35.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from k3py.api.object import deep_copy
from k3py.api.status import conflict
from k3py.api.timestamps import format_time, parse_time
from k3py.apiserver.interface import ObjectResult
from k3py.apiserver.registry.conversion import serve_view, to_served, to_stored
from k3py.apiserver.registry.options import DeleteOptions, delete_options
from k3py.apiserver.registry.updating import is_namespace_held
from k3py.storage.interface import Deleted

if TYPE_CHECKING:
    from k3py.apiserver.registry.call import Call
    from k3py.jsontypes import JsonObject
    from k3py.storage.interface import ObjectView

ORPHAN: Final = "orphan"
FOREGROUND: Final = "foregroundDeletion"
_UNSUPPORTED: Final = frozenset((("", "events"), ("events.k8s.io", "events"), ("", "endpoints")))


async def delete(call: Call) -> ObjectResult:
    """Delete an object, or mark it for deletion. Raises ApiError, StorageError."""
    options = delete_options(call.request)
    warn_of_orphans(call, options)
    return await delete_object(call, call.request.name, options)


async def delete_object(
    call: Call, name: str, options: DeleteOptions, *, namespace: str | None = None
) -> ObjectResult:
    """Delete the object `name`. Raises ApiError, StorageError."""
    deletion = Deletion(call, options)
    where = call.namespace if namespace is None else namespace
    view = await call.store.update(where, name, deletion.change)
    if not options.dry_run and deletion.is_gone and call.hook is not None:
        await call.hook.after_delete(view.parsed)
    return await deletion.answer(view)


def warn_of_orphans(call: Call, options: DeleteOptions) -> None:
    """Warn when the pods of deleted Jobs stay because nobody said otherwise. Source: pkg/registry/batch/job/storage v1.35."""
    if (call.kind.group, call.kind.plural) != ("batch", "jobs"):
        return
    if not options.propagation and options.orphan_dependents is None:
        call.request.warnings.append(
            "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove "
            "them or set propagationPolicy=Orphan to suppress this warning"
        )


class Deletion:
    """One deletion, repeated until nobody was faster; `is_gone` says how it ended."""

    def __init__(self, call: Call, options: DeleteOptions) -> None:
        self._call = call
        self._options = options
        self._document: JsonObject | None = None
        self.is_gone = False

    async def change(self, view: ObjectView) -> JsonObject | Deleted | None:
        """Return what becomes of the object. Raises ApiError."""
        call, options = self._call, self._options
        self.is_gone, self._document = False, None
        old = await to_served(call.kind, call.store, view.parsed)
        self._check_preconditions(old)
        request = call.admission_request(
            "DELETE", name=old["metadata"]["name"], obj=None, old=old, dry_run=options.dry_run
        )
        request.deletion = options
        await call.services.admission.admit(request)
        await call.services.admission.validate(request)
        outcome = self._plan(old)
        if isinstance(outcome, Deleted):
            self.is_gone = True
        if not options.dry_run:
            if isinstance(outcome, dict):
                return await to_stored(call.kind, call.store, outcome)
            if isinstance(outcome, Deleted) and outcome.last is not None:
                return Deleted(await to_stored(call.kind, call.store, outcome.last))
            return outcome
        changed = outcome.last if isinstance(outcome, Deleted) else outcome
        self._document = changed if changed is not None else old
        return None

    async def answer(self, view: ObjectView) -> ObjectResult:
        """Return what the client gets: the object, or for most kinds that are gone a Status. Raises ApiError."""
        call = self._call
        waits = not self.is_gone and self._options.orphan_dependents is False
        if self.is_gone and not call.kind.strategy.object_on_delete:
            return ObjectResult(kind=None, document=_success(call, view))
        if self._document is not None:
            return ObjectResult(kind=call.kind, document=self._document, status_code=202 if waits else 200)
        return ObjectResult(
            kind=call.kind,
            view=await serve_view(call.kind, call.store, view),
            status_code=202 if waits else 200,
        )

    def _check_preconditions(self, old: JsonObject) -> None:
        metadata = old["metadata"]
        for label, wanted, actual in (
            ("UID", self._options.uid, metadata["uid"]),
            ("ResourceVersion", self._options.resource_version, metadata["resourceVersion"]),
        ):
            if wanted is not None and wanted != actual:
                kind = self._call.kind
                raise conflict(
                    kind.group,
                    kind.kind,
                    metadata["name"],
                    f"Precondition failed: {label} in precondition: {wanted}, {label} in object meta: {actual}",
                )

    def _plan(self, old: JsonObject) -> JsonObject | Deleted | None:
        """Return the object marked for deletion, Deleted, or None when there is nothing left to do."""
        kind = self._call.kind
        if kind.plural == "namespaces" and not kind.group:
            return self._plan_namespace(old)
        new: JsonObject = deep_copy(old)
        if not new["metadata"].get("deletionTimestamp"):
            kind.strategy.prepare_delete(
                new, self._call.context(dry_run=self._options.dry_run, field_manager="")
            )
        graceful = self._plan_grace(new)
        if graceful is None:
            return None
        finalizers = self._plan_finalizers(new)
        if finalizers:
            new["metadata"]["finalizers"] = finalizers
        else:
            new["metadata"].pop("finalizers", None)
        if not graceful:
            if not finalizers:
                return Deleted()
            self._mark(new)
            return new
        if finalizers or new["metadata"]["deletionGracePeriodSeconds"] > 0:
            return new
        return Deleted(new)

    def _plan_namespace(self, old: JsonObject) -> JsonObject | Deleted | None:
        if not old["metadata"].get("deletionTimestamp"):
            new: JsonObject = deep_copy(old)
            new["metadata"]["deletionTimestamp"] = self._call.now()
            new.setdefault("status", {})["phase"] = "Terminating"
            finalizers = self._plan_finalizers(new)
            if finalizers:
                new["metadata"]["finalizers"] = finalizers
            return new
        if is_namespace_held(self._call.kind, old) or old["metadata"].get("finalizers"):
            return None
        return Deleted()

    def _plan_grace(self, new: JsonObject) -> bool | None:
        """Set the grace period; True = graceful, False = the kind or the object goes at once, None = nothing to change."""
        metadata = new["metadata"]
        requested = self._options.grace_period_s
        if requested is not None and requested < 0:
            requested = 1
        period = self._call.kind.strategy.graceful_delete_s(new, requested)
        if metadata.get("deletionTimestamp"):
            if period is None or not metadata.get("deletionGracePeriodSeconds"):
                return False
            current = metadata["deletionGracePeriodSeconds"]
            if requested is None or requested >= current:
                return None
            until = parse_time(metadata["deletionTimestamp"]) - timedelta(seconds=current - requested)
            metadata["deletionTimestamp"] = format_time(until)
            metadata["deletionGracePeriodSeconds"] = requested
            return True
        if period is None:
            return False
        metadata["deletionTimestamp"] = format_time(self._call.services.now() + timedelta(seconds=period))
        metadata["deletionGracePeriodSeconds"] = period
        _raise_generation(metadata)
        return True

    def _mark(self, new: JsonObject) -> None:
        """Mark an object that only finalizers keep."""
        metadata = new["metadata"]
        now = self._call.now()
        existing = metadata.get("deletionTimestamp")
        if not existing:
            _raise_generation(metadata)
        if not existing or existing > now:
            metadata["deletionTimestamp"] = now
        metadata["deletionGracePeriodSeconds"] = 0

    def _plan_finalizers(self, obj: JsonObject) -> list[str]:
        """Return the finalizers with those of garbage collection as the options, or what was there, demand."""
        kind = self._call.kind
        existing = list(obj["metadata"].get("finalizers") or ())
        if (kind.group, kind.plural) in _UNSUPPORTED:
            return existing
        policy = self._find_policy(existing)
        kept = [one for one in existing if one not in (ORPHAN, FOREGROUND)]
        if policy == "Orphan":
            kept.append(ORPHAN)
        elif policy == "Foreground":
            kept.append(FOREGROUND)
        return existing if sorted(kept) == sorted(existing) else kept

    def _find_policy(self, existing: list[str]) -> str:
        options = self._options
        if options.orphan_dependents is not None:
            return "Orphan" if options.orphan_dependents else "Background"
        if options.propagation:
            return options.propagation
        if ORPHAN in existing:
            return "Orphan"
        if FOREGROUND in existing:
            return "Foreground"
        return self._call.kind.strategy.default_propagation


def _raise_generation(metadata: JsonObject) -> None:
    if metadata.get("generation"):
        metadata["generation"] += 1


def _success(call: Call, view: ObjectView) -> JsonObject:
    kind = call.kind
    details: JsonObject = {"name": view.name}
    if kind.group:
        details["group"] = kind.group
    details["kind"] = kind.plural
    details["uid"] = view.uid
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
