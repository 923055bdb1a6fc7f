"""Makes the object of an address that is in use again when somebody deletes it.

Source: pkg/registry/core/service/ipallocator/controller/repairip.go v1.35, which does so some seconds later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.storage.allocators.address_objects import canonical_address
from k3py.storage.allocators.service_fields import addresses_of
from k3py.storage.errors import ObjectNotFound

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject
    from k3py.storage.allocators.address_objects import AddressObjects
    from k3py.storage.interface import Store


class _Nothing:
    """A reservation of nothing."""

    async def commit(self) -> None:
        """Nothing was taken."""

    async def roll_back(self) -> None:
        """Nothing was taken."""


class AddressKeeper:
    """The write hook of IPAddresses; `services` are those that hold them."""

    def __init__(self, services: Store, objects: AddressObjects) -> None:
        self._services = services
        self._objects = objects

    async def begin_create(self, obj: JsonObject, *, dry_run: bool) -> _Nothing:
        """Take nothing."""
        return _Nothing()

    async def begin_update(self, new: JsonObject, old: JsonObject, *, dry_run: bool) -> _Nothing:
        """Take nothing."""
        return _Nothing()

    async def after_delete(self, obj: JsonObject) -> None:
        """Claim the address for its Service again, if that has it still. Raises StorageError."""
        address, parent = obj["metadata"]["name"], obj["spec"].get("parentRef") or {}
        if parent.get("group") or parent.get("resource") != "services":
            return
        try:
            service = (await self._services.get(parent.get("namespace", ""), parent.get("name", ""))).parsed
        except ObjectNotFound:
            return
        if any(canonical_address(one) == address for one in addresses_of(service)):
            await self._objects.claim(address, service)
