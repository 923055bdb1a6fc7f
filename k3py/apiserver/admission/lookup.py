"""What admission plugins ask of the cluster: single objects, as fresh as a write that was just answered."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from k3py.api.object import deep_copy
from k3py.storage.errors import ObjectNotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3py.api.registry import KindRegistry
    from k3py.api.resource import Resource
    from k3py.jsontypes import JsonObject
    from k3py.storage.interface import ObjectView, Storage


class Lookup(Protocol):
    """Finds objects for admission plugins; the result is read-only."""

    async def find(self, resource: Resource, namespace: str, name: str) -> JsonObject | None:
        """Return the object, if there is one."""

    async def list(self, resource: Resource, namespace: str = "") -> list[JsonObject]:
        """Return all objects, or those of a namespace."""

    async def change(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        change: Callable[[JsonObject], JsonObject | None],
    ) -> None:
        """Write what `change` makes of the object as it is at that moment (None: nothing); one that is gone is left alone."""


class StorageLookup:
    """Looks into the watch caches; admission runs inside the API server and asks without authorization, as upstream's does."""

    def __init__(self, kinds: KindRegistry, storage: Storage) -> None:
        self._kinds = kinds
        self._storage = storage

    async def find(self, resource: Resource, namespace: str, name: str) -> JsonObject | None:
        """Return the object, if there is one."""
        kind = self._kinds.find(resource.group, resource.version, resource.plural)
        if kind is None:
            return None
        store = await self._storage.store_for(kind)
        try:
            return (await store.get(namespace, name)).parsed
        except ObjectNotFound:
            return None

    async def list(self, resource: Resource, namespace: str = "") -> list[JsonObject]:
        """Return all objects, or those of a namespace."""
        from k3py.storage.interface import ListQuery  # noqa: PLC0415 - the interface is otherwise only for types

        kind = self._kinds.find(resource.group, resource.version, resource.plural)
        if kind is None:
            return []
        store = await self._storage.store_for(kind)
        return [view.parsed for view in (await store.list(ListQuery(namespace=namespace))).items]

    async def change(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        change: Callable[[JsonObject], JsonObject | None],
    ) -> None:
        """Write what `change` makes of the object as it is at that moment; what it raises is passed on."""
        kind = self._kinds.find(resource.group, resource.version, resource.plural)
        if kind is None:
            return

        async def apply(view: ObjectView) -> JsonObject | None:
            return change(deep_copy(view.parsed))

        store = await self._storage.store_for(kind)
        with suppress(ObjectNotFound):
            await store.update(namespace, name, apply)


if TYPE_CHECKING:

    def _check(one: StorageLookup) -> Lookup:
        return one
