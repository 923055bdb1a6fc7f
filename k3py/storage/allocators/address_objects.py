"""The IPAddress objects that say which Service holds which address, and the ServiceCIDRs that lend further ranges.

Two servers cannot give one address to two Services, because only one of them can create the object of that name.
Source: pkg/registry/core/service/ipallocator/{ipallocator,cidrallocator}.go and controller/repairip.go v1.35.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from k3py.api.timestamps import format_time, parse_time
from k3py.api.validation.scalar import parse_ip
from k3py.storage.errors import ObjectExists, ObjectNotFound
from k3py.storage.interface import Deleted, ListQuery
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from k3py.jsontypes import JsonObject
    from k3py.storage.interface import ObjectView, Store

_FAMILY: Final = "ipaddress.kubernetes.io/ip-family"
_MANAGER: Final = "ipaddress.kubernetes.io/managed-by"
_OURS: Final = "ipallocator.k8s.io"
# Another server takes the address first and writes the Service then: what is younger than this may not be left over.
_SETTLED: Final = timedelta(seconds=60)


class AddressObjects:
    """IPAddress objects in `addresses`, further ranges in `ranges`."""

    def __init__(self, addresses: Store, ranges: Store) -> None:
        self._addresses = addresses
        self._ranges = ranges

    async def claim(self, address: str, service: JsonObject, *, anew: bool = False) -> bool:
        """Take an address for a Service; False: somebody else has it, or with `anew` anybody. Raises StorageError."""
        address = canonical_address(address)
        wanted = _document(address, service)
        try:
            await self._addresses.create(wanted)
        except ObjectExists:
            if anew:
                return False
            try:
                view = await self._addresses.get("", address)
            except ObjectNotFound:
                return await self.claim(address, service)
            return bool(view.parsed["spec"].get("parentRef") == wanted["spec"]["parentRef"])
        return True

    async def release(self, address: str) -> None:
        """Give an address back; one that somebody made by hand stays. Raises StorageError."""

        async def drop(view: ObjectView) -> Deleted | None:
            return Deleted() if _is_ours(view) else None

        try:
            await self._addresses.update("", canonical_address(address), drop)
        except ObjectNotFound:
            return

    async def repair(self, services: Iterable[JsonObject], held: Mapping[str, JsonObject]) -> None:
        """Make the objects that are missing for `held` (address → Service), drop those left over. Raises StorageError."""
        page = await self._addresses.list(ListQuery())
        present = {view.name: view for view in page.items}
        for address, service in held.items():
            if address not in present:
                await self.claim(address, service)
        names = {(one["metadata"]["namespace"], one["metadata"]["name"]) for one in services}
        for name, view in present.items():
            if name not in held and _is_ours(view) and _is_left_over(view.parsed, names):
                await self.release(name)

    async def taken(self) -> list[str]:
        """Return all addresses that somebody has. Raises StorageError."""
        page = await self._addresses.list(ListQuery())
        return [view.name for view in page.items]

    async def ready_ranges(self) -> list[str]:
        """Return the ranges out of which may be given. Raises StorageError."""
        page = await self._ranges.list(ListQuery())
        return [
            cidr for view in page.items if _is_ready(view.parsed) for cidr in view.parsed["spec"]["cidrs"]
        ]


def canonical_address(text: str) -> str:
    """Return the one way to write an address; Services may have zeros before their numbers."""
    found = parse_ip(text)
    return text if found is None else str(found)


def _document(address: str, service: JsonObject) -> JsonObject:
    metadata = service["metadata"]
    return {
        "kind": "IPAddress",
        "apiVersion": "networking.k8s.io/v1",
        "metadata": {
            "name": address,
            "uid": str(uuid.uuid4()),
            "creationTimestamp": format_time(clock.now()),
            "labels": {_FAMILY: "IPv6" if ":" in address else "IPv4", _MANAGER: _OURS},
        },
        "spec": {
            "parentRef": {
                "resource": "services",
                "namespace": metadata["namespace"],
                "name": metadata.get("name", ""),  # a Service without one is refused after this
            }
        },
    }


def _is_ours(view: ObjectView) -> bool:
    return view.labels.get(_MANAGER) == _OURS


def _is_left_over(obj: JsonObject, services: set[tuple[str, str]]) -> bool:
    parent = obj["spec"].get("parentRef") or {}
    is_young = clock.now() - parse_time(obj["metadata"]["creationTimestamp"]) < _SETTLED
    return not is_young or (parent.get("namespace"), parent.get("name")) in services


def _is_ready(obj: JsonObject) -> bool:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    is_ready = any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)
    return is_ready and "deletionTimestamp" not in obj["metadata"]
