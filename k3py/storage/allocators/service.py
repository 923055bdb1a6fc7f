"""Gives Services their addresses and node ports when they are written, and takes them back.

Used by the registry as the write hook of Services: `begin_*` completes the object and reserves, the reservation is committed when the object
is written and rolled back when it is not. Source: pkg/registry/core/service/storage/{alloc,storage}.go v1.35.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from k3py.api.fielderror import invalid_value
from k3py.api.kinds.core.service.cluster_ips import normalize_cluster_ips, validate_cluster_ip_fields
from k3py.api.status import internal_error, invalid
from k3py.storage.allocators.address_objects import canonical_address
from k3py.storage.allocators.ip import AllocationError, IpAllocator
from k3py.storage.allocators.port import PortAllocator
from k3py.storage.allocators.service_fields import (
    addresses_of,
    allocates_node_ports,
    carry_over,
    family_of,
    needs_cluster_ip,
    needs_health_port,
    needs_node_ports,
    node_ports_of,
)
from k3py.storage.interface import ListQuery

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.jsontypes import JsonObject
    from k3py.storage.allocators.address_objects import AddressObjects
    from k3py.storage.allocators.port_claims import PortClaims
    from k3py.storage.interface import Store


@dataclass(slots=True)
class ServiceReservation:
    """What was taken for a write, and what is given back once it is done."""

    allocator: ServiceAllocator
    dry_run: bool = False
    taken_ips: list[str] = field(default_factory=list)
    taken_ports: list[int] = field(default_factory=list)
    freed_ips: list[str] = field(default_factory=list)
    freed_ports: list[int] = field(default_factory=list)

    async def commit(self) -> None:
        """The Service is written: release what the old one had and the new one has not."""
        await self.allocator.release(self.freed_ips, self.freed_ports, is_stored=True)
        self._settle()

    async def roll_back(self) -> None:
        """The Service is not written: release what was taken."""
        await self.allocator.release(self.taken_ips, self.taken_ports, is_stored=not self.dry_run)
        self._settle()

    def _settle(self) -> None:
        for numbers in (self.taken_ips, self.taken_ports, self.freed_ips, self.freed_ports):
            numbers.clear()


class ServiceAllocator:
    """Addresses and node ports of all Services.

    Args:
        ips: one allocator an IP family, the cluster's primary one first.
        ports: of node ports.
        objects: where it is written down who holds which address; None = nowhere (Services say it themselves).
        claims: the same of node ports, where other servers give some out, too; None = nobody else does.
    """

    def __init__(
        self,
        ips: Sequence[IpAllocator],
        ports: PortAllocator,
        objects: AddressObjects | None = None,
        claims: PortClaims | None = None,
    ) -> None:
        self._ips = {one.family: one for one in ips}
        self._lent: dict[
            str, IpAllocator
        ] = {}  # of ServiceCIDRs beyond our own ranges, met when these do not do
        self._primary = ips[0].family
        self._ports = ports
        self._objects = objects
        self._claims = claims

    @classmethod
    async def open(
        cls,
        store: Store,
        *,
        cidrs: Sequence[str],
        node_ports: tuple[int, int] = (30000, 32767),
        objects: AddressObjects | None = None,
        claims: PortClaims | None = None,
    ) -> ServiceAllocator:
        """Return an allocator that knows what the Services in `store` hold; objects of addresses are brought in line.

        Args:
            store: of Services.
            cidrs: service ranges, one a family, primary first.
            node_ports: first and last node port.
            objects: see the class.
            claims: see the class.

        Raises:
            StorageError: the Services cannot be read.
        """
        allocator = cls([IpAllocator(cidr) for cidr in cidrs], PortAllocator(*node_ports), objects, claims)
        page = await store.list(ListQuery())
        services = [view.parsed for view in page.items]
        for one in services:
            allocator.note(one)
        if objects is not None:
            held = {canonical_address(address): one for one in services for address in addresses_of(one)}
            await objects.repair(services, held)
            for address in await objects.taken():
                allocator._note_ip(address)
        if claims is not None:
            await claims.repair({port: one for one in services for port in node_ports_of(one)})
            for port in await claims.taken():
                allocator._note_port(port)
        return allocator

    def note(self, obj: JsonObject) -> None:
        """Note what an existing Service holds; what cannot be noted (out of range, held twice) stays as it is."""
        for address in addresses_of(obj):
            self._note_ip(address)
        for port in node_ports_of(obj):
            self._note_port(port)

    async def begin_create(self, obj: JsonObject, *, dry_run: bool) -> ServiceReservation:
        """Complete a new Service and reserve what it gets. Raises ApiError 422, 500 when a range is full."""
        normalize_cluster_ips(obj, None)
        reservation = ServiceReservation(self, dry_run)
        await self._reserve(obj, None, reservation)
        return reservation

    async def begin_update(self, new: JsonObject, old: JsonObject, *, dry_run: bool) -> ServiceReservation:
        """Complete a changed Service and reserve what it gets beyond `old`. Raises ApiError 422, 500."""
        normalize_cluster_ips(new, old)
        carry_over(new, old)
        reservation = ServiceReservation(self, dry_run)
        await self._reserve(new, old, reservation)
        kept_ips, kept_ports = set(addresses_of(new)), set(node_ports_of(new))
        reservation.freed_ips = [one for one in addresses_of(old) if one not in kept_ips]
        reservation.freed_ports = [one for one in set(node_ports_of(old)) if one not in kept_ports]
        return reservation

    async def after_delete(self, obj: JsonObject) -> None:
        """Release what a deleted Service had."""
        await self.release(addresses_of(obj), node_ports_of(obj), is_stored=True)

    async def release(self, addresses: Sequence[str], ports: Sequence[int], *, is_stored: bool) -> None:
        """Give numbers back; `is_stored`: the objects of the addresses, too."""
        for address in addresses:
            if is_stored and self._objects is not None:
                await self._objects.release(address)
            for allocator in (*self._ips.values(), *self._lent.values()):
                allocator.release(address)
        for port in ports:
            if is_stored and self._claims is not None:
                await self._claims.release(port)
            self._ports.release(port)

    async def _reserve(
        self, new: JsonObject, old: JsonObject | None, reservation: ServiceReservation
    ) -> None:
        try:
            if needs_cluster_ip(new):
                await self._reserve_ips(new, old, reservation)
            if needs_node_ports(new):
                await self._reserve_node_ports(new, old, reservation)
            if needs_health_port(new):
                await self._reserve_health_port(new, old, reservation)
        except BaseException:
            await reservation.roll_back()
            raise

    async def _reserve_ips(
        self, new: JsonObject, old: JsonObject | None, reservation: ServiceReservation
    ) -> None:
        spec = new["spec"]
        if errors := validate_cluster_ip_fields(spec):
            raise invalid("", "Service", new["metadata"].get("name", ""), errors)
        addresses: list[str] = list(spec.get("clusterIPs") or ())
        had_address = old is not None and needs_cluster_ip(old)
        if had_address and old is not None and addresses[:1] != (old["spec"].get("clusterIPs") or [])[:1]:
            return  # The first address may not change: validation says so.
        if addresses[:1] == ["None"] and not spec.get("selector"):
            self._settle_free_families(spec)
            return
        families = self._settle_families(new, addresses)
        if addresses[:1] == ["None"]:
            spec["clusterIP"], spec["clusterIPs"] = "None", ["None"]
            return
        held = set(addresses_of(old)) if old is not None else set()
        for index, family in enumerate(families):
            if index >= len(addresses):
                try:
                    addresses.append(await self._take_any(family, new, reservation))
                except AllocationError as error:
                    raise internal_error(f"failed to allocate a serviceIP: {error}") from error
            elif addresses[index] in held:
                continue
            else:
                try:
                    await self._take(family, addresses[index], new, reservation)
                except AllocationError as error:
                    fault = f"failed to allocate IP {addresses[index]}: {error}"
                    raise _invalid(new, "spec.clusterIPs", [addresses[index]], fault) from error
            reservation.taken_ips.append(addresses[index])
        spec["clusterIPs"] = addresses[: max(len(families), 1)]
        spec["clusterIP"] = spec["clusterIPs"][0]

    async def _take_any(self, family: str, new: JsonObject, reservation: ServiceReservation) -> str:
        """Take an address of a family, of lent ranges when our own is full. Raises AllocationError."""
        try:
            return await self._take_any_of(self._ips[family], new, reservation)
        except AllocationError:
            for allocator in await self._lenders(family):
                try:
                    return await self._take_any_of(allocator, new, reservation)
                except AllocationError:  # that one is full, too
                    continue
            raise

    async def _take_any_of(
        self, allocator: IpAllocator, new: JsonObject, reservation: ServiceReservation
    ) -> str:
        learned = False
        while True:
            try:
                address = allocator.take_any()
            except AllocationError:
                if learned or self._claims is None or self._objects is None:
                    raise
                learned = True
                allocator.replace(await self._objects.taken())
                continue
            # What somebody else has stays noted as taken.
            if self._objects is None or reservation.dry_run or await self._objects.claim(address, new):
                return address

    async def _take(
        self, family: str, address: str, new: JsonObject, reservation: ServiceReservation
    ) -> None:
        """Take a certain address. Raises AllocationError."""
        allocator = self._ips[family]
        if not allocator.holds(address):
            lenders = await self._lenders(family)
            allocator = next((one for one in lenders if one.holds(address)), allocator)
        try:
            allocator.take(address)
        except AllocationError:
            # Perhaps another server has given it back meanwhile.
            if self._claims is None or self._objects is None or reservation.dry_run:
                raise
            if allocator.holds(address) and await self._objects.claim(address, new, anew=True):
                return
            raise
        if self._objects is None or reservation.dry_run:
            return
        try:
            is_ours = await self._objects.claim(address, new)
        except BaseException:
            allocator.release(address)
            raise
        if not is_ours:
            allocator.release(address)
            raise AllocationError("provided IP is already allocated")

    async def _lenders(self, family: str) -> list[IpAllocator]:
        """Return allocators of the ready ServiceCIDRs beyond our own ranges."""
        if self._objects is None:
            return []
        ready = await self._objects.ready_ranges()
        own = {one.cidr for one in self._ips.values()}
        taken: list[str] | None = None
        for cidr in ready:
            if cidr in own or cidr in self._lent:
                continue
            if taken is None:
                taken = await self._objects.taken()
            lender = self._lent[cidr] = IpAllocator(cidr)
            for address in taken:
                if lender.holds(address):
                    lender.take(address)
        return [
            self._lent[cidr] for cidr in ready if cidr in self._lent and self._lent[cidr].family == family
        ]

    def _settle_free_families(self, spec: JsonObject) -> None:
        """Fill in the families of a headless Service whose endpoints others write: both, unless it says otherwise."""
        families: list[str] = list(spec.get("ipFamilies") or ()) or [self._primary]
        policy = spec.get("ipFamilyPolicy")
        if not spec.get("ipFamilies") and policy != "SingleStack":
            families.append("IPv6" if families[0] == "IPv4" else "IPv4")
        spec["ipFamilies"] = families
        spec["ipFamilyPolicy"] = policy or ("RequireDualStack" if len(families) > 1 else "SingleStack")

    def _settle_families(self, new: JsonObject, addresses: list[str]) -> list[str]:
        """Fill spec.ipFamilies and ipFamilyPolicy and return the families."""
        spec = new["spec"]
        families: list[str] = list(spec.get("ipFamilies") or ())
        if not families:
            families = [family_of(one) for one in addresses if one != "None"] or [self._primary]
        policy = spec.get("ipFamilyPolicy") or "SingleStack"
        if policy == "SingleStack" and (len(families) > 1 or len(addresses) > 1):
            fault = "must be RequireDualStack or PreferDualStack when multiple ipFamilies or clusterIPs are specified"
            raise _invalid(new, "spec.ipFamilyPolicy", policy, fault)
        for index, family in enumerate(families):
            if family not in self._ips:
                fault = "not configured on this cluster"
                raise _invalid(new, f"spec.ipFamilies[{index}]", family, fault)
        if policy == "RequireDualStack" and len(self._ips) < 2:
            fault = "this cluster is not configured for dual-stack services"
            raise _invalid(new, "spec.ipFamilyPolicy", policy, fault)
        if policy in ("PreferDualStack", "RequireDualStack"):
            families += [one for one in self._ips if one not in families]
        elif len(families) > 1:
            families = families[:1]
        spec["ipFamilies"] = families
        spec["ipFamilyPolicy"] = policy
        return families

    async def _reserve_node_ports(
        self, new: JsonObject, old: JsonObject | None, reservation: ServiceReservation
    ) -> None:
        held = set(node_ports_of(old)) if old is not None else set()
        mine = set(reservation.taken_ports)
        by_port: dict[int, int] = {}
        ports: list[JsonObject] = new["spec"].get("ports") or []
        for index, port in enumerate(ports):
            wanted = port.get("nodePort") or 0
            if not wanted:
                continue
            by_port.setdefault(port["port"], wanted)
            if wanted in held or wanted in mine:
                continue
            try:
                await self._take_port(wanted, new, reservation)
            except AllocationError as error:
                path = f"spec.ports[{index}].nodePort"
                raise _invalid(new, path, wanted, str(error)) from error
            mine.add(wanted)
            reservation.taken_ports.append(wanted)
        if not allocates_node_ports(new):
            return
        for port in ports:
            if port.get("nodePort"):
                continue
            # The same port over TCP and UDP gets one node port, as upstream does.
            shared = by_port.get(port["port"])
            if shared is None or any(
                one.get("nodePort") == shared and one.get("protocol") == port.get("protocol") for one in ports
            ):
                shared = await self._take_any_port(new, reservation)
                reservation.taken_ports.append(shared)
                by_port.setdefault(port["port"], shared)
            port["nodePort"] = shared

    async def _reserve_health_port(
        self, new: JsonObject, old: JsonObject | None, reservation: ServiceReservation
    ) -> None:
        spec = new["spec"]
        wanted = spec.get("healthCheckNodePort") or 0
        if old is not None and wanted and wanted == old["spec"].get("healthCheckNodePort"):
            return
        if not wanted:
            spec["healthCheckNodePort"] = await self._take_any_port(new, reservation)
        else:
            try:
                await self._take_port(wanted, new, reservation)
            except AllocationError as error:
                raise _invalid(new, "spec.healthCheckNodePort", wanted, str(error)) from error
        reservation.taken_ports.append(spec["healthCheckNodePort"])

    async def _take_port(self, port: int, new: JsonObject, reservation: ServiceReservation) -> None:
        """Take a certain port. Raises AllocationError."""
        is_noted = False
        try:
            self._ports.take(port)
        except AllocationError:
            if self._claims is None or not self._ports.holds(port):
                raise
            is_noted = True  # perhaps by what another server has given back meanwhile
        if self._claims is None or reservation.dry_run:
            if is_noted:
                raise AllocationError("provided port is already allocated")
            return
        try:
            is_ours = await self._claims.claim(port, new)
        except BaseException:
            if not is_noted:
                self._ports.release(port)
            raise
        if not is_ours:
            raise AllocationError("provided port is already allocated")

    async def _take_any_port(self, new: JsonObject, reservation: ServiceReservation) -> int:
        learned = False
        while True:
            try:
                port = self._ports.take_any()
            except AllocationError as error:
                if learned or self._claims is None:
                    raise internal_error(f"failed to allocate a nodePort: {error}") from error
                learned = True
                self._ports.replace(await self._claims.taken())
                continue
            # What another server has given out stays noted as taken.
            if self._claims is None or reservation.dry_run or await self._claims.claim(port, new):
                return port

    def _note_ip(self, address: str) -> None:
        allocator = self._ips.get(family_of(address))
        if allocator is not None:
            try:
                allocator.take(address)
            except AllocationError:
                return

    def _note_port(self, port: int) -> None:
        try:
            self._ports.take(port)
        except AllocationError:
            return


def _invalid(obj: JsonObject, path: str, value: object, detail: str) -> Exception:
    return invalid("", "Service", obj["metadata"].get("name", ""), [invalid_value(path, value, detail)])
