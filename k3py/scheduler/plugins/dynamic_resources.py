"""Pods that claim devices go where these are, and get them. Source: kubernetes/pkg/scheduler/framework/plugins/dynamicresources v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.object import deep_copy
from k3py.api.resource import RESOURCE_CLAIMS
from k3py.scheduler.devices.allocator import Allocator
from k3py.scheduler.devices.pools import DeviceId, selector_matches
from k3py.scheduler.interface import PodFilter, Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from k3py.client.interface import Client
    from k3py.jsontypes import JsonObject
    from k3py.scheduler.cache import SchedulerCache
    from k3py.scheduler.devices.pools import Device
    from k3py.scheduler.interface import ClusterEvent, Interest, PluginContext, Reservation
    from k3py.scheduler.node_info import NodeInfo, PodInfo

_FINALIZER: Final = "resource.kubernetes.io/delete-protection"
_MOST_USERS: Final = 256
_NOT_HERE: Final = Refusal("resourceclaim not available on the node", final=True)
_NOT_ALL: Final = Refusal("cannot allocate all claims", final=True)


def claim_names_of(pod: JsonObject) -> Iterable[tuple[str, str | None]]:
    """Yield (entry, name of its claim); the name is None until it is made, and entries that need none are left out."""
    statuses = (pod.get("status") or {}).get("resourceClaimStatuses") or ()
    made = {one["name"]: one.get("resourceClaimName") or "" for one in statuses}
    for one in pod["spec"].get("resourceClaims") or ():
        name = one.get("resourceClaimName") or made.get(one["name"])
        if name != "":
            yield one["name"], name


class DynamicResources:
    """See the module."""

    NAME = "DynamicResources"
    INTERESTS: frozenset[Interest] = frozenset(
        {
            ("nodes", "add"),
            ("nodes", "update"),
            ("resourceclaims", "add"),
            ("resourceclaims", "update"),
            ("resourceclaims", "delete"),
            ("resourceslices", "add"),
            ("resourceslices", "update"),
            ("resourceslices", "delete"),
            ("deviceclasses", "add"),
            ("deviceclasses", "update"),
        }
    )

    def __init__(self, context: PluginContext) -> None:
        self.client: Client = context.client
        self.claims = context.lister("resourceclaims")
        self.assumed: dict[str, JsonObject] = {}  # claim uid → allocation that is not written yet
        self._slices = context.lister("resourceslices")
        self._classes = context.lister("deviceclasses")
        context.informers.informer(RESOURCE_CLAIMS).add_handler(self._on_claim)

    def _on_claim(self, old: JsonObject | None, new: JsonObject | None) -> None:
        claim = new or old
        if claim is not None and (new is None or (new.get("status") or {}).get("allocation")):
            self.assumed.pop(claim["metadata"]["uid"], None)

    def pre_enqueue(self, pod: JsonObject) -> Refusal | None:
        """Hold pods back until their claims are there."""
        fault = self._find_fault(pod) if pod["spec"].get("resourceClaims") else ""
        return Refusal(fault, final=True) if fault else None

    def _find_fault(self, pod: JsonObject) -> str:
        for entry, name in claim_names_of(pod):
            if name is None:
                return f'waiting for dynamic resource controller to create the resourceclaim for "{entry}"'
            claim = self.claims.find(pod["metadata"]["namespace"], name)
            if claim is None:
                return f'resourceclaim "{name}" not found'
            if "deletionTimestamp" in claim["metadata"]:
                return f'resourceclaim "{name}" is being deleted'
        return ""

    def prepare(self, pod: PodInfo, cluster: SchedulerCache) -> PodFilter | Refusal | None:
        """Have nothing to do for pods without claims; sort claims into allocated ones and others."""
        if not pod.pod["spec"].get("resourceClaims"):
            return None
        fault = self._find_fault(pod.pod)
        if fault:
            return Refusal(fault, final=True)
        names = dict.fromkeys(name for _, name in claim_names_of(pod.pod) if name)
        claims = [one for name in names if (one := self.claims.find(pod.namespace, name)) is not None]
        for claim in claims:
            users = (claim.get("status") or {}).get("reservedFor") or ()
            if len(users) >= _MOST_USERS and all(one["uid"] != pod.uid for one in users):
                return Refusal("resourceclaim in use", final=True)
            missing = self._missing_class(claim)
            if missing:
                return Refusal(missing, final=True)
        return _Claims(self, claims)

    def _missing_class(self, claim: JsonObject) -> str:
        if self.allocation_of(claim) is not None:
            return ""
        for request in (claim["spec"].get("devices") or {}).get("requests") or ():
            for one in (request.get("exactly"), *(request.get("firstAvailable") or ())):
                if one and self._classes.find("", one["deviceClassName"]) is None:
                    return f"request {request['name']}: device class {one['deviceClassName']} does not exist"
        return ""

    def allocation_of(self, claim: JsonObject) -> JsonObject | None:
        """Return what a claim has, written or about to be."""
        written: JsonObject | None = (claim.get("status") or {}).get("allocation")
        return written or self.assumed.get(claim["metadata"]["uid"])

    def taken(self) -> set[DeviceId]:
        """Return the devices that claims have for themselves."""
        found = set()
        for claim in self.claims.list():
            allocation = self.allocation_of(claim)
            for one in ((allocation or {}).get("devices") or {}).get("results") or ():
                if not one.get("adminAccess"):
                    found.add(DeviceId(one["driver"], one["pool"], one["device"]))
        return found

    def allocate(
        self, claims: Sequence[JsonObject], node: NodeInfo, taken: set[DeviceId]
    ) -> list[JsonObject] | None:
        """Find devices for all of the claims on a node."""
        classes = {one["metadata"]["name"]: one for one in self._classes.list()}
        return Allocator(self._slices.list(), node, taken, classes, _is_selected).allocate(claims)

    def may_help(self, pod: JsonObject, event: ClusterEvent) -> bool:
        """The pod's own claims, devices that become free, and what drivers offer anew help."""
        if event.resource != "resourceclaims":
            return True
        claim = event.new or event.old or {}
        metadata = claim["metadata"]
        own = {name for _, name in claim_names_of(pod)}
        if metadata["namespace"] == pod["metadata"]["namespace"] and metadata["name"] in own:
            return True
        had = ((event.old or {}).get("status") or {}).get("allocation")
        has = ((event.new or {}).get("status") or {}).get("allocation")
        return bool(had and not has)

    def reserve(self, prepared: PodFilter, pod: PodInfo, node: NodeInfo) -> Reservation | Refusal | None:
        """Keep the devices from other pods until they are written into the claims."""
        if not isinstance(prepared, _Claims):
            return None
        found = prepared.found.get(node.name, [])
        new = {
            claim["metadata"]["uid"]: allocation
            for claim, allocation in zip(prepared.unallocated, found, strict=True)
        }
        self.assumed.update(new)
        return _ClaimReservation(self, prepared.claims, new, pod)


class _Claims(PodFilter):
    __slots__ = ("_allocations", "_plugin", "_taken", "claims", "found", "unallocated")

    def __init__(self, plugin: DynamicResources, claims: Sequence[JsonObject]) -> None:
        super().__init__()
        self._plugin = plugin
        self._allocations = [one for claim in claims if (one := plugin.allocation_of(claim)) is not None]
        self.claims = claims
        self.unallocated = [one for one in claims if plugin.allocation_of(one) is None]
        self._taken = plugin.taken() if self.unallocated else set()
        self.found: dict[str, list[JsonObject]] = {}

    def check(self, node: NodeInfo) -> Refusal | None:
        for one in self._allocations:
            if one.get("nodeSelector") and not selector_matches(one["nodeSelector"], node):
                return _NOT_HERE
        if self.unallocated:
            found = self._plugin.allocate(self.unallocated, node, self._taken)
            if found is None:
                return _NOT_ALL
            self.found[node.name] = found
        return None


class _ClaimReservation:
    def __init__(
        self,
        plugin: DynamicResources,
        claims: Sequence[JsonObject],
        new: dict[str, JsonObject],
        pod: PodInfo,
    ) -> None:
        self._plugin = plugin
        self._claims = claims
        self._new = new
        self._pod = pod

    async def commit(self) -> None:
        """Write allocations, and that the pod uses the claims."""
        user = {"resource": "pods", "name": self._pod.pod["metadata"]["name"], "uid": self._pod.uid}
        for old in self._claims:
            claim: JsonObject = deep_copy(old)
            metadata, allocation = claim["metadata"], self._new.get(claim["metadata"]["uid"])
            if allocation is not None and _FINALIZER not in (metadata.get("finalizers") or ()):
                metadata["finalizers"] = [*(metadata.get("finalizers") or ()), _FINALIZER]
                claim = deep_copy(await self._plugin.client.update(RESOURCE_CLAIMS, claim))
            status = claim.setdefault("status", {})
            if allocation is not None:
                status["allocation"] = allocation
            users = status.get("reservedFor") or []
            if allocation is not None or all(one["uid"] != self._pod.uid for one in users):
                status["reservedFor"] = [*(one for one in users if one["uid"] != self._pod.uid), user]
                await self._plugin.client.update(RESOURCE_CLAIMS, claim, subresource="status")

    def undo(self) -> None:
        """Let go of devices that were not written; what was written stays the pod's, which is tried again."""
        for uid in self._new:
            self._plugin.assumed.pop(uid, None)


def _is_selected(device: Device, expression: str) -> bool:
    from k3py.scheduler.devices.selection import is_selected  # noqa: PLC0415 - the language is imported when met

    return is_selected(device, expression)
