"""Says which ServiceCIDRs addresses may be taken from, and keeps those that lent addresses until these are back.

Source: kubernetes/pkg/controller/servicecidrs v1.35.
"""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from k3py.api.conditions import find_status
from k3py.api.resource import IP_ADDRESSES, SERVICE_CIDRS
from k3py.api.timestamps import format_time, parse_time
from k3py.client.interface import PatchType
from k3py.controllers.interface import Watch
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject

FINALIZER: Final = "networking.k8s.io/service-cidr-finalizer"
# Until then other servers know that a range goes, and take nothing from it any more.
_NOTICE: Final = timedelta(seconds=10)


def is_needed(name: str, ranges: Iterable[JsonObject], addresses: Iterable[str]) -> bool:
    """Say whether an address lies in the ranges of ServiceCIDR `name` and in nobody else's."""
    own: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
    others: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
    for one in ranges:
        is_own = one["metadata"]["name"] == name
        if is_own or "deletionTimestamp" not in one["metadata"]:
            (own if is_own else others).extend(ipaddress.ip_network(cidr) for cidr in one["spec"]["cidrs"])
    for text in addresses:
        address = ipaddress.ip_address(text)
        if any(address in one for one in own) and not any(address in one for one in others):
            return True
    return False


def readiness_of(obj: JsonObject) -> str:
    """Return the status of the condition Ready, "" when there is none."""
    return find_status((obj.get("status") or {}).get("conditions"), "Ready")


class ServiceCidrController:
    """See the module."""

    name = "service-cidr-controller"
    workers = 1

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        ranges = context.informers.informer(SERVICE_CIDRS)
        addresses = context.informers.informer(IP_ADDRESSES)
        self._ranges, self._addresses = ranges.lister, addresses.lister
        self.watches = (Watch(ranges, self._keys_of_range), Watch(addresses, self._keys_of_address))

    def _keys_of_range(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        if new is not None and (old is None or "deletionTimestamp" not in new["metadata"]):
            return (new["metadata"]["name"],)
        # A range that goes or is gone decides whether others may.
        return [one["metadata"]["name"] for one in self._ranges.list()]

    def _keys_of_address(self, _: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        if new is not None:
            return ()
        return [
            one["metadata"]["name"] for one in self._ranges.list() if "deletionTimestamp" in one["metadata"]
        ]

    async def reconcile(self, key: str) -> float | None:
        """Settle finalizer and condition of one ServiceCIDR."""
        obj = self._ranges.find("", key)
        if obj is None:
            return None
        finalizers = list(obj["metadata"].get("finalizers") or ())
        if "deletionTimestamp" not in obj["metadata"]:
            if FINALIZER not in finalizers:
                await self._write_finalizers(obj, [*finalizers, FINALIZER])
            if readiness_of(obj) != "True":
                await self._write_condition(key, "True", "", "Kubernetes Service CIDR is ready")
            return None
        if FINALIZER not in finalizers:
            return None
        names = [one["metadata"]["name"] for one in self._addresses.list()]
        if is_needed(key, self._ranges.list(), names):
            if readiness_of(obj) != "False":
                text = (
                    "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new "
                    "ServiceCIDR"
                )
                await self._write_condition(key, "False", "Terminating", text)
            return None
        left = parse_time(obj["metadata"]["deletionTimestamp"]) + _NOTICE - clock.now()
        if left > timedelta():
            return left.total_seconds()
        await self._write_finalizers(obj, [one for one in finalizers if one != FINALIZER])
        return None

    async def _write_finalizers(self, obj: JsonObject, finalizers: list[str]) -> None:
        metadata = {"finalizers": finalizers, "resourceVersion": obj["metadata"]["resourceVersion"]}
        await self._client.patch(
            SERVICE_CIDRS, obj["metadata"]["name"], {"metadata": metadata}, patch_type=PatchType.MERGE
        )

    async def _write_condition(self, name: str, status: str, reason: str, message: str) -> None:
        condition = {
            "type": "Ready",
            "status": status,
            "reason": reason,
            "message": message,
            "lastTransitionTime": format_time(clock.now()),
        }
        document: JsonObject = {
            "kind": "ServiceCIDR",
            "apiVersion": SERVICE_CIDRS.api_version,
            "metadata": {"name": name},
            "status": {"conditions": [condition]},
        }
        await self._client.patch(
            SERVICE_CIDRS,
            name,
            document,
            patch_type=PatchType.APPLY,
            subresource="status",
            field_manager=self.name,
            force=True,
        )


def build(context: ControllerContext) -> ServiceCidrController:
    """Make the controller."""
    return ServiceCidrController(context)
