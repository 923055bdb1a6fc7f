"""Volumes must be usable on the node; for claims that wait for their first pod, the scheduler chooses them together with the node.

Source: kubernetes/pkg/scheduler/framework/plugins/volumebinding v1.35.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.api.node_affinity import term_matches
from k3py.api.object import deep_copy
from k3py.api.quantity import parse_quantity
from k3py.api.resource import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from k3py.api.selectors import selector_from_object
from k3py.api.volume_matching import class_of, find_mismatch, is_for
from k3py.scheduler.claims import Volumes, claims_of, is_bound
from k3py.scheduler.interface import BindingRefusedError, PodFilter, Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from k3py.jsontypes import JsonObject
    from k3py.scheduler.cache import SchedulerCache
    from k3py.scheduler.interface import ClusterEvent, Interest, PluginContext, Reservation
    from k3py.scheduler.node_info import NodeInfo, PodInfo

BIND_TIMEOUT_S: Final = 600.0
_SELECTED_NODE: Final = "volume.kubernetes.io/selected-node"
_BOUND_BY_CONTROLLER: Final = "pv.kubernetes.io/bound-by-controller"
_NO_PROVISIONER: Final = "kubernetes.io/no-provisioner"
_UNBOUND: Final = "pod has unbound immediate PersistentVolumeClaims"
_ELSEWHERE: Final = "node(s) didn't match PersistentVolume's node affinity"
_NO_VOLUME: Final = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"
_NOTHING_FREE: Final = "node(s) didn't find available persistent volumes to bind"
_NO_SPACE: Final = "node(s) did not have enough free storage"


@dataclass(frozen=True, slots=True)
class Choice:
    """What a node would mean for the pod's claims: which volume each gets, and which are made there."""

    bindings: tuple[tuple[JsonObject, JsonObject], ...]  # (claim, volume)
    provisioned: tuple[JsonObject, ...]


class VolumeBinding:
    """See the module.

    Args:
        context: clients and informers.
        timeout_s: args.bindTimeoutSeconds: how long a chosen volume may take to be bound or made.
    """

    NAME = "VolumeBinding"
    INTERESTS: frozenset[Interest] = frozenset(
        {
            ("nodes", "add"),
            ("nodes", "update"),
            ("persistentvolumeclaims", "add"),
            ("persistentvolumeclaims", "update"),
            ("persistentvolumes", "add"),
            ("persistentvolumes", "update"),
            ("storageclasses", "add"),
            ("storageclasses", "update"),
            ("csinodes", "add"),
            ("csinodes", "update"),
            ("csidrivers", "update"),
            ("csistoragecapacities", "add"),
            ("csistoragecapacities", "update"),
        }
    )

    def __init__(self, context: PluginContext, timeout_s: float = BIND_TIMEOUT_S) -> None:
        self.known = Volumes(context)
        self.client = context.client
        self.timeout_s = timeout_s
        self.taken: set[str] = set()  # names of volumes that are chosen but not written yet
        self._drivers = context.lister("csidrivers")
        self._capacities = context.lister("csistoragecapacities")
        self._waiters: set[asyncio.Event] = set()
        context.informers.informer(PERSISTENT_VOLUME_CLAIMS).add_handler(self._on_claim)

    def _on_claim(self, old: JsonObject | None, new: JsonObject | None) -> None:
        for one in self._waiters:
            one.set()

    def prepare(self, pod: PodInfo, cluster: SchedulerCache) -> PodFilter | Refusal | None:
        """Sort the pod's claims into bound ones and those that get their volume with the node."""
        names = tuple(claims_of(pod.pod))
        if not names:
            return None
        for name in names:
            fault = self.known.find_fault(pod.pod, name)
            if fault:
                return Refusal(fault, final=True)
        bound: list[JsonObject | None] = []
        delayed: list[JsonObject] = []
        for name in dict.fromkeys(names):
            claim = self.known.claims.find(pod.namespace, name.name)
            if claim is None:
                continue
            if is_bound(claim):
                bound.append(self.known.volume_of(claim))
            elif self.known.is_delayed(claim) and not claim["spec"].get("volumeName"):
                delayed.append(claim)
            else:
                return Refusal(_UNBOUND, final=True)
        delayed.sort(key=size_of)
        return _NodeVolumes(self, bound, delayed)

    def free_volumes_for(self, claim: JsonObject) -> list[JsonObject]:
        """Return the volumes that the claim may get: one that is kept for it, else free ones, small ones first."""
        free = []
        text = claim["spec"].get("selector")
        selector = selector_from_object(text) if text else None
        for volume in self.known.volumes.list():
            spec, metadata = volume["spec"], volume["metadata"]
            if class_of(volume) != class_of(claim) or "deletionTimestamp" in metadata:
                continue
            if metadata["name"] in self.taken or find_mismatch(volume, claim):
                continue
            if is_for(volume, claim):
                return [volume]
            if spec.get("claimRef") or (volume.get("status") or {}).get("phase") != "Available":
                continue
            if selector is None or selector.matches(metadata.get("labels") or {}):
                free.append(volume)
        return sorted(free, key=lambda one: (capacity_of(one), one["metadata"]["name"]))

    def find_provisioning_fault(self, claim: JsonObject, node: NodeInfo) -> str:
        """Return why no volume can be made for the claim on the node, "" when one can."""
        storage_class = self.known.find_class(claim)
        if storage_class is None or storage_class.get("provisioner", "") in ("", _NO_PROVISIONER):
            return _NOTHING_FREE
        terms = storage_class.get("allowedTopologies") or ()
        if terms and not any(_topology_matches(one, node) for one in terms):
            return _NOTHING_FREE
        driver = self._drivers.find("", storage_class["provisioner"])
        if driver is None or not driver["spec"].get("storageCapacity"):
            return ""
        wanted, name = size_of(claim), storage_class["metadata"]["name"]
        for one in self._capacities.list():
            if one["storageClassName"] != name or not _has_room(one, wanted):
                continue
            if selector_from_object(one.get("nodeTopology")).matches(node.labels):
                return ""
        return _NO_SPACE

    def may_help(self, pod: JsonObject, event: ClusterEvent) -> bool:
        """The pod's own claims, volumes and classes of any kind, and nodes that change their labels help."""
        new = event.new
        if new is None:
            return False
        if event.resource == "persistentvolumeclaims":
            mine = {one.name for one in claims_of(pod)}
            return (
                new["metadata"]["namespace"] == pod["metadata"]["namespace"]
                and new["metadata"]["name"] in mine
            )
        if event.resource == "nodes" and event.old is not None:
            return bool(event.old["metadata"].get("labels") != new["metadata"].get("labels"))
        return True

    def reserve(self, prepared: PodFilter, pod: PodInfo, node: NodeInfo) -> Reservation | Refusal | None:
        """Keep the chosen volumes from other pods until they are bound."""
        choice = prepared.choices.get(node.name) if isinstance(prepared, _NodeVolumes) else None
        if choice is None:
            return None
        self.taken.update(volume["metadata"]["name"] for _, volume in choice.bindings)
        return _VolumeReservation(self, choice, node.name)

    async def wait_for_claims(self) -> None:
        """Return after the next change of any claim."""
        changed = asyncio.Event()
        self._waiters.add(changed)
        try:
            await changed.wait()
        finally:
            self._waiters.discard(changed)


class _NodeVolumes(PodFilter):
    __slots__ = ("_bound", "_candidates", "_delayed", "_plugin", "choices")

    def __init__(
        self, plugin: VolumeBinding, bound: Sequence[JsonObject | None], delayed: Sequence[JsonObject]
    ) -> None:
        super().__init__()
        self._plugin = plugin
        self._bound = bound
        self._delayed = delayed
        self._candidates = [plugin.free_volumes_for(one) for one in delayed]
        self.choices: dict[str, Choice] = {}

    def check(self, node: NodeInfo) -> Refusal | None:
        reasons = []
        if any(one is None for one in self._bound):
            reasons.append(_NO_VOLUME)
        elif any(one is not None and not is_usable_on(one, node) for one in self._bound):
            reasons.append(_ELSEWHERE)
        if self._delayed:
            fault = self._choose(node)
            if fault:
                reasons.append(fault)
        return Refusal(", ".join(reasons), final=True) if reasons else None

    def _choose(self, node: NodeInfo) -> str:
        bindings: list[tuple[JsonObject, JsonObject]] = []
        provisioned: list[JsonObject] = []
        used: set[str] = set()
        for claim, candidates in zip(self._delayed, self._candidates, strict=True):
            selected = (claim["metadata"].get("annotations") or {}).get(_SELECTED_NODE)
            if selected:
                if selected != node.name:
                    return _NOTHING_FREE
                provisioned.append(claim)
                continue
            for volume in candidates:
                if volume["metadata"]["name"] not in used and is_usable_on(volume, node):
                    bindings.append((claim, volume))
                    used.add(volume["metadata"]["name"])
                    break
            else:
                fault = self._plugin.find_provisioning_fault(claim, node)
                if fault:
                    return fault
                provisioned.append(claim)
        self.choices[node.name] = Choice(tuple(bindings), tuple(provisioned))
        return ""


class _VolumeReservation:
    def __init__(self, plugin: VolumeBinding, choice: Choice, node_name: str) -> None:
        self._plugin = plugin
        self._choice = choice
        self._node_name = node_name

    async def commit(self) -> None:
        """Write the choice down and wait until every claim has its volume."""
        client = self._plugin.client
        for claim, volume in self._choice.bindings:
            await client.update(PERSISTENT_VOLUMES, _claimed(volume, claim))
        for claim in self._choice.provisioned:
            changed = deep_copy(claim)
            annotations = changed["metadata"].setdefault("annotations", {})
            if annotations.get(_SELECTED_NODE) != self._node_name:
                annotations[_SELECTED_NODE] = self._node_name
                await client.update(PERSISTENT_VOLUME_CLAIMS, changed)
        try:
            async with asyncio.timeout(self._plugin.timeout_s):
                while not self._is_done():
                    await self._plugin.wait_for_claims()
        except TimeoutError as error:
            raise BindingRefusedError("binding volumes: timed out waiting for the condition") from error
        self.undo()  # the volumes themselves tell now whose they are

    def undo(self) -> None:
        """Let go of the volumes."""
        self._plugin.taken -= {volume["metadata"]["name"] for _, volume in self._choice.bindings}

    def _is_done(self) -> bool:
        claims = [claim for claim, _ in self._choice.bindings] + list(self._choice.provisioned)
        done = True
        for old in claims:
            namespace, name = old["metadata"]["namespace"], old["metadata"]["name"]
            claim = self._plugin.known.claims.find(namespace, name)
            if claim is None or claim["metadata"]["uid"] != old["metadata"]["uid"]:
                raise BindingRefusedError(f'binding volumes: persistentvolumeclaim "{name}" not found')
            if is_bound(claim):
                continue
            done = False
            if old in self._choice.provisioned and self._was_given_up(old, claim):
                raise BindingRefusedError(f'binding volumes: provisioning failed for PVC "{name}"')
        return done

    def _was_given_up(self, old: JsonObject, claim: JsonObject) -> bool:
        """Say whether the provisioner took the node from the claim: another one shall be tried."""
        annotations = claim["metadata"].get("annotations") or {}
        written = claim["metadata"]["resourceVersion"] != old["metadata"]["resourceVersion"]
        return bool(written and annotations.get(_SELECTED_NODE, "") != self._node_name)


def _claimed(volume: JsonObject, claim: JsonObject) -> JsonObject:
    metadata = claim["metadata"]
    changed: JsonObject = deep_copy(volume)
    changed["spec"]["claimRef"] = {
        "kind": "PersistentVolumeClaim",
        "apiVersion": "v1",
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "resourceVersion": metadata["resourceVersion"],
    }
    if not is_for(volume, claim):
        changed["metadata"].setdefault("annotations", {})[_BOUND_BY_CONTROLLER] = "yes"
    return changed


def size_of(claim: JsonObject) -> Decimal:
    """Return the storage that a claim asks for."""
    return parse_quantity(((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage", "0"))


def capacity_of(volume: JsonObject) -> Decimal:
    """Return the storage that a volume has."""
    return parse_quantity((volume["spec"].get("capacity") or {}).get("storage", "0"))


def is_usable_on(volume: JsonObject, node: NodeInfo) -> bool:
    """Say whether the volume's node affinity selects the node."""
    required = (volume["spec"].get("nodeAffinity") or {}).get("required")
    if not required:
        return True
    return any(term_matches(one, node.node) for one in required.get("nodeSelectorTerms") or ())


def _topology_matches(term: JsonObject, node: NodeInfo) -> bool:
    return all(
        node.labels.get(one["key"]) in one["values"] for one in term.get("matchLabelExpressions") or ()
    )


def _has_room(capacity: JsonObject, wanted: Decimal) -> bool:
    text = capacity.get("maximumVolumeSize") or capacity.get("capacity")
    return text is not None and parse_quantity(text) >= wanted
