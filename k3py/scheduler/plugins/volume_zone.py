"""A volume that carries zone or region labels is used in that zone or region.

Source: kubernetes/pkg/scheduler/framework/plugins/volumezone v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.scheduler.claims import Volumes, claims_of
from k3py.scheduler.interface import PodFilter, Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from k3py.jsontypes import JsonObject
    from k3py.scheduler.cache import SchedulerCache
    from k3py.scheduler.interface import ClusterEvent, Interest, PluginContext
    from k3py.scheduler.node_info import NodeInfo, PodInfo

_OTHER_NAME: Final = {
    "topology.kubernetes.io/zone": "failure-domain.beta.kubernetes.io/zone",
    "topology.kubernetes.io/region": "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
}
_REFUSAL: Final = Refusal("node(s) had no available volume zone", final=True)


class VolumeZone:
    """See the module."""

    NAME = "VolumeZone"
    INTERESTS: frozenset[Interest] = frozenset(
        {
            ("nodes", "add"),
            ("nodes", "update"),
            ("persistentvolumeclaims", "add"),
            ("persistentvolumeclaims", "update"),
            ("persistentvolumes", "add"),
            ("persistentvolumes", "update"),
            ("storageclasses", "add"),
        }
    )

    def __init__(self, context: PluginContext) -> None:
        self._volumes = Volumes(context)

    def prepare(self, pod: PodInfo, cluster: SchedulerCache) -> PodFilter | Refusal | None:
        """Collect the zones and regions of the pod's bound volumes."""
        wanted: list[tuple[str, frozenset[str]]] = []
        for name in claims_of(pod.pod):
            claim = self._volumes.claims.find(pod.namespace, name.name)
            volume = None if claim is None else self._volumes.volume_of(claim)
            labels = {} if volume is None else volume["metadata"].get("labels") or {}
            wanted += [(key, frozenset(labels[key].split("__"))) for key in _OTHER_NAME if key in labels]
        return _Zones(wanted) if wanted else None

    def may_help(self, pod: JsonObject, event: ClusterEvent) -> bool:
        """Changes of volumes and of nodes' labels help."""
        if event.resource != "nodes" or event.old is None or event.new is None:
            return True
        return bool(event.old["metadata"].get("labels") != event.new["metadata"].get("labels"))


class _Zones(PodFilter):
    __slots__ = ("_wanted",)

    def __init__(self, wanted: Sequence[tuple[str, frozenset[str]]]) -> None:
        super().__init__()
        self._wanted = wanted

    def check(self, node: NodeInfo) -> Refusal | None:
        labels = node.labels
        if not any(key in labels for key in _OTHER_NAME):
            return None  # zones mean nothing here
        for key, values in self._wanted:
            if _value(labels, key) not in values:
                return _REFUSAL
        return None


def _value(labels: Mapping[str, str], key: str) -> str | None:
    return labels.get(key, labels.get(_OTHER_NAME[key]))
