"""Claims of devices that pods of this node use: prepared by their drivers before containers start, unprepared behind the last pod.

    claim allocated and reserved for the pod ──NodePrepareResources──► CDI names, noted on disk ──► containers that ask for them

Source: pkg/kubelet/cm/dra/manager.go v1.35.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from k3py.api.resource import RESOURCE_CLAIMS
from k3py.api.status import ApiError
from k3py.errors import K3pyError
from k3py.kubelet.dra.state import PreparedClaim, PreparedDevice, read_state, write_state
from k3py.runtime.errors import RuntimeFailure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from k3py.client.interface import Client
    from k3py.jsontypes import JsonObject
    from k3py.kubelet.dra.drivers import DraDrivers

STATE: Final = "dra_manager_state"


class ClaimsNotPrepared(K3pyError):
    """What a pod claims cannot be prepared now; told as the Event FailedPrepareDynamicResources and tried again."""


class ClaimManager:
    """See the module.

    Args:
        file: where prepared claims are noted.
        drivers: the node's drivers.
        client: the API, as the node.
    """

    def __init__(self, file: Path, drivers: DraDrivers, client: Client) -> None:
        self._file = file
        self._drivers = drivers
        self._client = client
        self._claims: dict[tuple[str, str], PreparedClaim] = {}  # by namespace and name
        self._changing = asyncio.Lock()

    async def load(self) -> None:
        """Read what is prepared; before any pod is looked at."""
        found = await asyncio.to_thread(read_state, self._file)
        self._claims = {(one.namespace, one.name): one for one in found}

    async def prepare(self, pod: JsonObject) -> None:
        """Have all claims of a pod prepared. Raises ClaimsNotPrepared."""
        names = list(dict.fromkeys(claim_names(pod).values()))
        uid, namespace = pod["metadata"]["uid"], pod["metadata"]["namespace"]
        missing = unknown_claims(pod)
        if missing:
            raise ClaimsNotPrepared(
                f"Failed to prepare dynamic resources: claims of the pod are not made yet: {', '.join(missing)}"
            )
        async with self._changing:
            for name in names:
                known = self._claims.get((namespace, name))
                if known is None or not known.is_prepared or uid not in known.pods:
                    await self._prepare(pod, namespace, name)

    async def _prepare(self, pod: JsonObject, namespace: str, name: str) -> None:
        uid = pod["metadata"]["uid"]
        try:
            claim = await self._client.get(RESOURCE_CLAIMS, name, namespace=namespace)
        except ApiError as error:
            raise ClaimsNotPrepared(
                f"Failed to prepare dynamic resources: failed to fetch ResourceClaim {name} referenced by pod "
                f"{pod['metadata']['name']}: {error.message}"
            ) from error
        known = self._claims.get((namespace, name))
        if known is not None and known.uid != claim["metadata"]["uid"]:
            raise ClaimsNotPrepared(
                f"Failed to prepare dynamic resources: old ResourceClaim with same name {name} and different UID "
                f"{known.uid} still exists"
            )
        drivers = allocated_drivers(claim)
        if uid not in {one.get("uid") for one in (claim.get("status") or {}).get("reservedFor") or ()}:
            raise ClaimsNotPrepared(
                f"Failed to prepare dynamic resources: pod {pod['metadata']['name']}({uid}) is not allowed to use "
                f"resource claim {name}({claim['metadata']['uid']})"
            )
        entry = known or PreparedClaim(namespace=namespace, name=name, uid=claim["metadata"]["uid"])
        self._claims[namespace, name] = entry
        entry.pods.add(uid)
        # Noted before the drivers are asked: whatever they have done by then is undone later.
        for driver in drivers:
            entry.devices.setdefault(driver, None)
        await asyncio.to_thread(self._save)
        for driver, devices in tuple(entry.devices.items()):
            if devices is None:
                entry.devices[driver] = await self._ask(driver, entry)
        await asyncio.to_thread(self._save)

    async def _ask(self, driver: str, entry: PreparedClaim) -> list[PreparedDevice]:
        request = {"claims": [entry.reference]}
        try:
            answer = await self._drivers.call(driver, "NodePrepareResources", request)
        except RuntimeFailure as error:
            raise ClaimsNotPrepared(
                f"Failed to prepare dynamic resources: NodePrepareResources failed: {error}"
            ) from error
        result = answer["claims"].get(entry.uid)
        if result is None:
            raise ClaimsNotPrepared(
                f"Failed to prepare dynamic resources: driver {driver} said nothing of claim {entry.name}"
            )
        if result["error"]:
            raise ClaimsNotPrepared(
                f"Failed to prepare dynamic resources: NodePrepareResources failed for ResourceClaim {entry.name}: "
                f"{result['error']}"
            )
        return [
            PreparedDevice(
                requests=tuple(one["request_names"]),
                pool=one["pool_name"],
                device=one["device_name"],
                cdi=tuple(one["cdi_device_ids"]),
            )
            for one in result["devices"]
        ]

    def cdi_of(self, pod: JsonObject, container: JsonObject) -> list[str]:
        """Return the CDI names of what a container claims."""
        found: list[str] = []
        for _, _, device in self.devices_of(pod, container):
            found.extend(name for name in device.cdi if name not in found)
        return found

    def devices_of(
        self, pod: JsonObject, container: JsonObject
    ) -> Iterator[tuple[PreparedClaim, str, PreparedDevice]]:
        """Yield (claim, driver, device) of what a container claims."""
        names = claim_names(pod)
        for wish in (container.get("resources") or {}).get("claims") or ():
            entry = self._claims.get((pod["metadata"]["namespace"], names.get(wish["name"], "")))
            for driver, devices in entry.devices.items() if entry is not None else ():
                for device in devices or ():
                    if entry is not None and is_of_request(device, wish.get("request") or ""):
                        yield entry, driver, device

    async def release(self, uid: str) -> None:
        """Have claims unprepared that no pod uses any more. Raises ClaimsNotPrepared."""
        async with self._changing:
            for key, entry in tuple(self._claims.items()):
                if uid not in entry.pods:
                    continue
                if len(entry.pods) == 1:
                    await self._unprepare(entry)
                    del self._claims[key]
                else:
                    entry.pods.discard(uid)
                await asyncio.to_thread(self._save)

    async def clean(self, known: frozenset[str]) -> None:
        """Release what pods hold that are on this node no more. Raises ClaimsNotPrepared."""
        for uid in {one for entry in self._claims.values() for one in entry.pods} - known:
            await self.release(uid)

    async def _unprepare(self, entry: PreparedClaim) -> None:
        for driver in tuple(entry.devices):
            try:
                answer = await self._drivers.call(
                    driver, "NodeUnprepareResources", {"claims": [entry.reference]}
                )
            except RuntimeFailure as error:
                raise ClaimsNotPrepared(f"NodeUnprepareResources failed: {error}") from error
            result = answer["claims"].get(entry.uid) or {"error": "the driver said nothing of it"}
            if result["error"]:
                raise ClaimsNotPrepared(
                    f"NodeUnprepareResources failed for ResourceClaim {entry.name}: {result['error']}"
                )
            del entry.devices[driver]

    def _save(self) -> None:
        write_state(self._file, list(self._claims.values()))


def claim_names(pod: JsonObject) -> dict[str, str]:
    """Return the names of a pod's claims by what the pod calls them; those that are not needed or not made yet are left out."""
    made = {
        one["name"]: one.get("resourceClaimName")
        for one in (pod.get("status") or {}).get("resourceClaimStatuses") or ()
    }
    found = {}
    for one in pod["spec"].get("resourceClaims") or ():
        name = one.get("resourceClaimName") or made.get(one["name"])
        if name:
            found[one["name"]] = str(name)
    return found


def unknown_claims(pod: JsonObject) -> list[str]:
    """Return what the pod calls claims that are not made yet."""
    made = {one["name"] for one in (pod.get("status") or {}).get("resourceClaimStatuses") or ()}
    return [
        one["name"]
        for one in pod["spec"].get("resourceClaims") or ()
        if not one.get("resourceClaimName") and one["name"] not in made
    ]


def allocated_drivers(claim: JsonObject) -> Sequence[str]:
    """Return the drivers of a claim's devices. Raises ClaimsNotPrepared: it has none yet."""
    allocation = (claim.get("status") or {}).get("allocation")
    if allocation is None:
        raise ClaimsNotPrepared(
            f"Failed to prepare dynamic resources: ResourceClaim {claim['metadata']['name']} is not allocated"
        )
    results = (allocation.get("devices") or {}).get("results") or ()
    return list(dict.fromkeys(one["driver"] for one in results))


def is_of_request(device: PreparedDevice, request: str) -> bool:
    """Say whether a device was claimed by a request, "" = any; a request may have had several alternatives ("name/alternative")."""
    return (
        not request
        or not device.requests
        or any(one == request or one.startswith(f"{request}/") for one in device.requests)
    )
