"""A node takes only as many volumes of a CSI driver as its CSINode says.

Source: kubernetes/pkg/scheduler/framework/plugins/nodevolumelimits v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.scheduler.claims import Volumes, claims_of
from k3py.scheduler.interface import PodFilter, Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.jsontypes import JsonObject
    from k3py.scheduler.cache import SchedulerCache
    from k3py.scheduler.interface import ClusterEvent, Interest, PluginContext
    from k3py.scheduler.node_info import NodeInfo, PodInfo

Volume = tuple[str, str]  # driver, handle

_REFUSAL: Final = Refusal("node(s) exceed max volume count")


class NodeVolumeLimits:
    """See the module."""

    NAME = "NodeVolumeLimits"
    INTERESTS: frozenset[Interest] = frozenset(
        {
            ("csinodes", "add"),
            ("csinodes", "update"),
            ("pods", "delete"),
            ("persistentvolumeclaims", "add"),
            ("persistentvolumes", "add"),
        }
    )

    def __init__(self, context: PluginContext) -> None:
        self._volumes = Volumes(context)
        self._nodes = context.lister("csinodes")

    def volumes_of(self, pod: PodInfo) -> Iterable[Volume]:
        """Yield the CSI volumes of a pod; one that is yet to be made stands under its claim's name."""
        for name in claims_of(pod.pod):
            claim = self._volumes.claims.find(pod.namespace, name.name)
            if claim is None:
                continue
            volume = self._volumes.volume_of(claim)
            if volume is not None:
                source = volume["spec"].get("csi")
                if source:
                    yield source["driver"], source["volumeHandle"]
                continue
            storage_class = self._volumes.find_class(claim)
            if storage_class is not None:
                yield storage_class["provisioner"], f"{pod.namespace}/{name.name}"

    def limits_of(self, node_name: str) -> dict[str, int]:
        """Return how many volumes the node takes, by driver."""
        node = self._nodes.find("", node_name)
        drivers = () if node is None else node["spec"].get("drivers") or ()
        return {
            one["name"]: int(count)
            for one in drivers
            if (count := (one.get("allocatable") or {}).get("count")) is not None
        }

    def prepare(self, pod: PodInfo, cluster: SchedulerCache) -> PodFilter | Refusal | None:
        """Have nothing to do for pods without such volumes."""
        wanted = frozenset(self.volumes_of(pod))
        return _Limits(self, wanted) if wanted else None

    def may_help(self, pod: JsonObject, event: ClusterEvent) -> bool:
        """A pod with volumes that goes, or what is known of drivers and volumes, helps."""
        return event.resource != "pods" or any(True for _ in claims_of(event.old or {"spec": {}}))


class _Limits(PodFilter):
    __slots__ = ("_plugin", "_wanted")

    def __init__(self, plugin: NodeVolumeLimits, wanted: frozenset[Volume]) -> None:
        super().__init__()
        self._plugin = plugin
        self._wanted = wanted

    def check(self, node: NodeInfo) -> Refusal | None:
        limits = self._plugin.limits_of(node.name)
        if not any(driver in limits for driver, _ in self._wanted):
            return None
        used = {one for info in node.pods.values() for one in self._plugin.volumes_of(info)}
        new = self._wanted - used
        for driver, most in limits.items():
            more = sum(1 for one in new if one[0] == driver)
            if more and more + sum(1 for one in used if one[0] == driver) > most:
                return _REFUSAL
        return None
