"""A request on its way through a verb: its kind, its store and the services of the server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from k3py.api.kind import WriteContext
from k3py.api.timestamps import format_time
from k3py.apiserver.interface import AdmissionRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from k3py.api.kind import Kind
    from k3py.api.registry import KindRegistry
    from k3py.apiserver.interface import ApiRequest, Authorizer
    from k3py.apiserver.registry.seams import Admission, ObjectSchemas, Patches, WriteGuard, WriteHook
    from k3py.jsontypes import JsonObject
    from k3py.storage.interface import Storage, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What all verbs share; `hooks` and `guards` by (group, plural)."""

    kinds: KindRegistry
    storage: Storage
    authorizer: Authorizer
    admission: Admission
    schemas: ObjectSchemas
    patches: Patches
    now: Callable[[], datetime]
    hooks: Mapping[tuple[str, str], WriteHook] = field(default_factory=dict)
    guards: Mapping[tuple[str, str], WriteGuard] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Call:
    """One request for one kind."""

    services: Services
    kind: Kind
    request: ApiRequest
    opened: Store | None = None

    @property
    def store(self) -> Store:
        """The kind's store; kinds that are only answered have none."""
        if self.opened is None:
            raise TypeError(f"{self.kind.kind} is not stored")
        return self.opened

    @property
    def namespace(self) -> str:
        """Namespace of the request, "" for all and for cluster-scoped kinds."""
        return self.request.namespace if self.kind.namespaced else ""

    @property
    def hook(self) -> WriteHook | None:
        """What takes addresses and ports for this kind."""
        return self.services.hooks.get((self.kind.group, self.kind.plural))

    async def guard(self, new: JsonObject, old: JsonObject | None) -> None:
        """Let the kind's guard look at a write. Raises ApiError."""
        guard = self.services.guards.get((self.kind.group, self.kind.plural))
        if guard is not None:
            await guard.check(self, new, old)

    def now(self) -> str:
        """Return the time of writes, whole seconds."""
        return format_time(self.services.now())

    def context(self, *, dry_run: bool, field_manager: str) -> WriteContext:
        """Return what strategies may know."""
        return WriteContext(
            user=self.request.user,
            now=self.now(),
            subresource=self.request.subresource,
            dry_run=dry_run,
            field_manager=field_manager,
        )

    def admission_request(
        self,
        operation: str,
        *,
        name: str,
        obj: JsonObject | None,
        old: JsonObject | None,
        dry_run: bool,
    ) -> AdmissionRequest:
        """Return what admission plugins look at."""
        request = self.request
        return AdmissionRequest(
            operation=operation,
            kind=self.kind,
            user=request.user,
            namespace=self._admission_namespace(name),
            name=name,
            subresource=request.subresource,
            obj=obj,
            old=old,
            options=request.options,
            dry_run=dry_run,
            warnings=request.warnings,
            annotations=request.annotations,
        )

    def _admission_namespace(self, name: str) -> str:
        if self.kind.plural == "namespaces" and not self.kind.group:
            return name
        return self.namespace
