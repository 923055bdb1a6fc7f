"""Watches nodes: taints those that are not ready or cordoned, and calls a node unknown whose lease is not renewed.

Evictions by taint come with the taint-eviction controller. One deadline a node instead of a monitor that looks at all of them.
Source: kubernetes/pkg/controller/nodelifecycle v1.35 (grace 50 s; taints by condition).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.resource import LEASES, NODES, PODS
from k3py.api.timestamps import format_time
from k3py.controllers.interface import Watch
from k3py.controllers.pod import find_condition
from k3py.util import clock
from k3py.util.metrics import Counter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject

GRACE_S: Final = 50.0
STARTUP_GRACE_S: Final = 60.0
LEASE_NAMESPACE: Final = "kube-node-lease"
_PREFIX: Final = "node.kubernetes.io/"
_PRESSURES: Final = ("MemoryPressure", "DiskPressure", "PIDPressure")
_BY_CONDITION: Final = {
    ("MemoryPressure", "True"): ("memory-pressure", "NoSchedule"),
    ("DiskPressure", "True"): ("disk-pressure", "NoSchedule"),
    ("PIDPressure", "True"): ("pid-pressure", "NoSchedule"),
    ("NetworkUnavailable", "True"): ("network-unavailable", "NoSchedule"),
}
_OWN_KEYS: Final = frozenset(
    f"{_PREFIX}{name}"
    for name in (
        "not-ready",
        "unreachable",
        "memory-pressure",
        "disk-pressure",
        "pid-pressure",
        "network-unavailable",
        "unschedulable",
    )
)


def plan_taints(node: JsonObject, stamp: str) -> list[JsonObject]:
    """Return the taints that a node shall have: those of others as they are, ours by its conditions and spec.unschedulable."""
    wanted: list[tuple[str, str]] = []
    if (node.get("spec") or {}).get("unschedulable"):
        wanted.append(("unschedulable", "NoSchedule"))
    ready = find_condition(node, "Ready")
    if ready is None or ready["status"] != "True":
        name = "unreachable" if ready is not None and ready["status"] == "Unknown" else "not-ready"
        wanted += [(name, "NoSchedule"), (name, "NoExecute")]
    for (kind, value), taint in _BY_CONDITION.items():
        condition = find_condition(node, kind)
        if condition is not None and condition["status"] == value:
            wanted.append(taint)
    old = (node.get("spec") or {}).get("taints") or []
    known = {(one["key"], one["effect"]): one for one in old}
    taints = [one for one in old if one["key"] not in _OWN_KEYS]
    for name, effect in wanted:
        key = f"{_PREFIX}{name}"
        fresh = {"key": key, "effect": effect, **({"timeAdded": stamp} if effect == "NoExecute" else {})}
        taints.append(known.get((key, effect), fresh))
    return taints


def plan_unknown(node: JsonObject, stamp: str) -> list[JsonObject]:
    """Return the conditions of a node that was not heard of in time: Ready and the pressures become Unknown."""
    conditions = {one["type"]: one for one in (node.get("status") or {}).get("conditions") or ()}
    for kind in ("Ready", *_PRESSURES):
        old = conditions.get(kind)
        if old is None:
            conditions[kind] = {
                "type": kind,
                "status": "Unknown",
                "reason": "NodeStatusNeverUpdated",
                "message": "Kubelet never posted node status.",
                "lastHeartbeatTime": node["metadata"]["creationTimestamp"],
                "lastTransitionTime": stamp,
            }
        elif old["status"] != "Unknown":
            conditions[kind] = {
                **old,
                "status": "Unknown",
                "reason": "NodeStatusUnknown",
                "message": "Kubelet stopped posting node status.",
                "lastTransitionTime": stamp,
            }
    return list(conditions.values())


def _evicts(taints: Sequence[JsonObject]) -> bool:
    return any(one["key"] in _OWN_KEYS and one["effect"] == "NoExecute" for one in taints)


def _zone_of(node: JsonObject) -> str:
    """Return region and zone as metrics name them; "" where a node has neither."""
    labels = node["metadata"].get("labels") or {}
    region, zone = (labels.get(f"topology.kubernetes.io/{one}", "") for one in ("region", "zone"))
    return f"{region}:\x00:{zone}" if region or zone else ""


class NodeLifecycleController:
    """See the module. Times are this process's own: a node with a wrong clock is as good as any other."""

    name = "node-lifecycle-controller"
    workers = 4

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._recorder = context.recorder
        nodes = context.informers.informer(NODES)
        leases = context.informers.informer(LEASES, namespace=LEASE_NAMESPACE)
        pods = context.informers.informer(PODS)
        self._nodes, self._pods = nodes.lister, pods.lister
        self._heard_s: dict[str, float] = {}
        self._evictions = Counter(
            "node_collector_evictions_total", "Nodes whose pods were told to go, by zone.", ("zone",)
        )
        context.metrics.add(self._evictions)
        self._registered: dict[str, str] = {}
        self.watches = (Watch(nodes, self._keys_of_node), Watch(leases, self._keys_of_lease))

    def _keys_of_node(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        if new is None:
            gone = (old or {"metadata": {"name": ""}})["metadata"]["name"]
            self._heard_s.pop(gone, None)
            self._registered.pop(gone, None)
            return ()
        name = new["metadata"]["name"]
        self._heard_s.setdefault(name, clock.monotonic_s() + STARTUP_GRACE_S - GRACE_S)
        beats = [
            {
                one["type"]: one.get("lastHeartbeatTime")
                for one in (obj.get("status") or {}).get("conditions") or ()
            }
            for obj in (old, new)
            if obj is not None
        ]
        if len(beats) == 2 and beats[0].get("Ready") != beats[1].get("Ready"):
            self._heard_s[name] = clock.monotonic_s()
        return (name,)

    def _keys_of_lease(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        if new is None:
            return ()
        name = new["metadata"]["name"]
        self._heard_s[name] = clock.monotonic_s()
        node = self._nodes.find("", name)
        ready = find_condition(node, "Ready") if node is not None else None
        return (name,) if ready is None or ready["status"] == "Unknown" else ()

    async def reconcile(self, key: str) -> float | None:
        """Judge node `key` and come back when its grace ends."""
        node = self._nodes.find("", key)
        if node is None:
            return None
        uid = str(node["metadata"].get("uid", ""))
        if self._registered.get(key) != uid:
            self._registered[key] = uid
            message = f"Node {key} event: Registered Node {key} in Controller"
            self._recorder.event(node, "Normal", "RegisteredNode", message)
        silent_s = clock.monotonic_s() - self._heard_s.get(key, clock.monotonic_s())
        stamp = format_time(clock.now())
        if silent_s >= GRACE_S:
            node = await self._call_unknown(node, stamp)
        taints = plan_taints(node, stamp)
        if taints != ((node.get("spec") or {}).get("taints") or []):
            spec = {**(node.get("spec") or {}), "taints": taints}
            if not taints:
                del spec["taints"]
            await self._client.update(NODES, {**node, "spec": spec})
            if _evicts(taints) and not _evicts((node.get("spec") or {}).get("taints") or ()):
                self._evictions.add(_zone_of(node))
        return max(1.0, GRACE_S - silent_s) if silent_s < GRACE_S else None

    async def _call_unknown(self, node: JsonObject, stamp: str) -> JsonObject:
        old: Sequence[JsonObject] = (node.get("status") or {}).get("conditions") or []
        conditions = plan_unknown(node, stamp)
        if conditions == old:
            return node
        status = {**(node.get("status") or {}), "conditions": conditions}
        node = await self._client.update(NODES, {**node, "status": status}, subresource="status")
        self._recorder.event(
            node, "Normal", "NodeNotReady", f"Node {node['metadata']['name']} status is now: NodeNotReady"
        )
        for pod in self._pods.list():
            if (pod.get("spec") or {}).get("nodeName") == node["metadata"]["name"]:
                await self._mark_not_ready(pod, stamp)
        return node

    async def _mark_not_ready(self, pod: JsonObject, stamp: str) -> None:
        ready = find_condition(pod, "Ready")
        if ready is None or ready["status"] != "True":
            return
        conditions = [
            {**one, "status": "False", "lastTransitionTime": stamp} if one["type"] == "Ready" else one
            for one in pod["status"]["conditions"]
        ]
        changed = {**pod, "status": {**pod["status"], "conditions": conditions}}
        await self._client.update(PODS, changed, subresource="status")


def build(context: ControllerContext) -> NodeLifecycleController:
    """Make the controller."""
    return NodeLifecycleController(context)
