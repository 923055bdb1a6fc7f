"""Finds devices on one node for all claims of a pod, by trying: pure.

Source: k8s.io/dynamic-resource-allocation/structured v0.35, without the features that are off by default.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.scheduler.devices.pools import Device, find_devices

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from k3py.jsontypes import JsonObject
    from k3py.scheduler.devices.pools import DeviceId
    from k3py.scheduler.node_info import NodeInfo

_MOST_DEVICES: Final = 32  # of one claim
_MOST_STEPS: Final = 20_000

Selects = "Callable[[Device, str], bool]"


@dataclass(frozen=True, slots=True)
class _Slot:
    """One device that is wanted: for which claim and request, and which devices would do."""

    claim: int
    request: str
    candidates: Sequence[Device]
    admin: bool


class Allocator:
    """Made for one node.

    Args:
        slices: all ResourceSlices.
        node: where the devices must be.
        taken: devices that are allocated already.
        classes: DeviceClasses by name.
        selects: evaluates an expression for a device.
    """

    def __init__(
        self,
        slices: Iterable[JsonObject],
        node: NodeInfo,
        taken: Collection[DeviceId],
        classes: Mapping[str, JsonObject],
        selects: Callable[[Device, str], bool],
    ) -> None:
        self._devices = find_devices(slices, node)
        self._node = node
        self._taken = taken
        self._classes = classes
        self._selects = selects
        self._steps = 0

    def allocate(self, claims: Sequence[JsonObject]) -> list[JsonObject] | None:
        """Return status.allocation of each claim, None when not all can have what they want."""
        requests = [
            (index, request)
            for index, claim in enumerate(claims)
            for request in (claim["spec"].get("devices") or {}).get("requests") or ()
        ]
        self._steps = 0
        found = self._try(claims, requests, 0, [])
        if found is None:
            return None
        return [
            self._result(claim, [one for one in found if one[0].claim == i]) for i, claim in enumerate(claims)
        ]

    def _try(
        self,
        claims: Sequence[JsonObject],
        requests: Sequence[tuple[int, JsonObject]],
        position: int,
        chosen: list[tuple[_Slot, Device]],
    ) -> list[tuple[_Slot, Device]] | None:
        if position == len(requests):
            return chosen
        index, request = requests[position]
        name = request["name"]
        choices = [(f"{name}/{one['name']}", one) for one in request.get("firstAvailable") or ()]
        if request.get("exactly"):
            choices = [(name, request["exactly"])]
        for full_name, wanted in choices:
            slots = self._slots(index, full_name, wanted)
            if (
                slots is None
                or sum(1 for one, _ in chosen if one.claim == index) + len(slots) > _MOST_DEVICES
            ):
                continue
            found = self._fill(claims, requests, position, slots, chosen)
            if found is not None:
                return found
        return None

    def _slots(self, claim: int, name: str, wanted: JsonObject) -> list[_Slot] | None:
        """Return a slot for each device that the request wants, None when there can never be enough."""
        admin = bool(wanted.get("adminAccess"))
        fitting = [one for one in self._devices if self._fits(one, wanted)]
        if wanted.get("allocationMode") == "All":
            if not fitting or any(not one.is_complete for one in fitting):
                return None
            return [_Slot(claim, name, (one,), admin) for one in fitting]
        count = int(wanted.get("count") or 1)
        usable = [one for one in fitting if one.is_complete and (admin or one.id not in self._taken)]
        return None if len(usable) < count else [_Slot(claim, name, usable, admin)] * count

    def _fits(self, device: Device, wanted: JsonObject) -> bool:
        device_class = self._classes.get(wanted["deviceClassName"])
        if device_class is None:
            return False
        selectors = [
            *((device_class.get("spec") or {}).get("selectors") or ()),
            *(wanted.get("selectors") or ()),
        ]
        return all(self._selects(device, one["cel"]["expression"]) for one in selectors if "cel" in one)

    def _fill(
        self,
        claims: Sequence[JsonObject],
        requests: Sequence[tuple[int, JsonObject]],
        position: int,
        slots: Sequence[_Slot],
        chosen: list[tuple[_Slot, Device]],
    ) -> list[tuple[_Slot, Device]] | None:
        if not slots:
            return self._try(claims, requests, position + 1, chosen)
        slot = slots[0]
        for device in slot.candidates:
            self._steps += 1
            if self._steps > _MOST_STEPS:
                return None
            in_use = device.id in self._taken or any(
                one.id == device.id for other, one in chosen if not other.admin or slot.admin
            )
            if (in_use and not slot.admin) or not _keeps_constraints(
                claims[slot.claim], slot, device, chosen
            ):
                continue
            found = self._fill(claims, requests, position, slots[1:], [*chosen, (slot, device)])
            if found is not None:
                return found
        return None

    def _result(self, claim: JsonObject, chosen: Sequence[tuple[_Slot, Device]]) -> JsonObject:
        results: list[JsonObject] = []
        for slot, device in chosen:
            one: JsonObject = {
                "request": slot.request,
                "driver": device.id.driver,
                "pool": device.id.pool,
                "device": device.id.device,
            }
            if slot.admin:
                one["adminAccess"] = True
            results.append(one)
        devices: JsonObject = {"results": results}
        config = self._configuration(claim, {slot.request for slot, _ in chosen})
        if config:
            devices["config"] = config
        allocation: JsonObject = {"devices": devices}
        selector = _node_selector([device for _, device in chosen], self._node)
        if selector is not None:
            allocation["nodeSelector"] = selector
        return allocation

    def _configuration(self, claim: JsonObject, names: Collection[str]) -> list[JsonObject]:
        """Return what classes, then what the claim tells drivers about the requests."""
        found: list[JsonObject] = []
        spec = claim["spec"].get("devices") or {}
        for request in spec.get("requests") or ():
            for name, wanted in _variants(request):
                device_class = self._classes.get(wanted["deviceClassName"]) if name in names else None
                if device_class is not None:
                    told = (device_class.get("spec") or {}).get("config") or ()
                    found += [{"source": "FromClass", "requests": [name], **one} for one in told]
        for one in spec.get("config") or ():
            requests = one.get("requests") or ()
            if not requests or any(name in requests or name.split("/")[0] in requests for name in names):
                found.append({"source": "FromClaim", **one})
        return found


def _variants(request: JsonObject) -> Iterable[tuple[str, JsonObject]]:
    if request.get("exactly"):
        yield request["name"], request["exactly"]
    for one in request.get("firstAvailable") or ():
        yield f"{request['name']}/{one['name']}", one


def _keeps_constraints(
    claim: JsonObject, slot: _Slot, device: Device, chosen: Sequence[tuple[_Slot, Device]]
) -> bool:
    """Say whether the devices of one claim that must agree in an attribute still do."""
    for constraint in (claim["spec"].get("devices") or {}).get("constraints") or ():
        attribute, requests = constraint.get("matchAttribute"), constraint.get("requests") or ()
        if not attribute or not _concerns(requests, slot.request):
            continue
        value = device.attribute(attribute)
        if value is None:
            return False
        for other, one in chosen:
            if other.claim != slot.claim or not _concerns(requests, other.request):
                continue
            if one.attribute(attribute) != value:
                return False
    return True


def _concerns(requests: Collection[str], name: str) -> bool:
    return not requests or name in requests or name.split("/", maxsplit=1)[0] in requests


def _node_selector(devices: Sequence[Device], node: NodeInfo) -> JsonObject | None:
    """Return where the devices can be used: on their node, where a selector says, or anywhere."""
    if any(one.slice_spec.get("nodeName") for one in devices):
        fields = [{"key": "metadata.name", "operator": "In", "values": [node.name]}]
        return {"nodeSelectorTerms": [{"matchFields": fields}]}
    expressions: list[JsonObject] = []
    fields_of_terms: list[JsonObject] = []
    for one in devices:
        for term in (one.slice_spec.get("nodeSelector") or {}).get("nodeSelectorTerms") or ():
            expressions += [each for each in term.get("matchExpressions") or () if each not in expressions]
            fields_of_terms += [each for each in term.get("matchFields") or () if each not in fields_of_terms]
    if not expressions and not fields_of_terms:
        return None
    merged: JsonObject = {}
    if expressions:
        merged["matchExpressions"] = expressions
    if fields_of_terms:
        merged["matchFields"] = fields_of_terms
    return {"nodeSelectorTerms": [merged]}
