"""A disk that only one node, and a claim that only one pod, may use at a time.

Source: kubernetes/pkg/scheduler/framework/plugins/volumerestrictions v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from k3py.scheduler.claims import Volumes, claims_of
from k3py.scheduler.interface import PodFilter, Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.jsontypes import JsonObject
    from k3py.scheduler.cache import SchedulerCache
    from k3py.scheduler.interface import ClusterEvent, Interest, PluginContext
    from k3py.scheduler.node_info import NodeInfo, PodInfo

_DISK_TAKEN: Final = Refusal("node(s) had no available disk")
_CLAIM_TAKEN: Final = Refusal(
    "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"
)
_DISKS: Final = ("gcePersistentDisk", "awsElasticBlockStore", "iscsi", "rbd")


class VolumeRestrictions:
    """See the module."""

    NAME = "VolumeRestrictions"
    INTERESTS: frozenset[Interest] = frozenset(
        {
            ("pods", "delete"),
            ("nodes", "add"),
            ("persistentvolumeclaims", "add"),
            ("persistentvolumeclaims", "update"),
        }
    )

    def __init__(self, context: PluginContext) -> None:
        self._claims = Volumes(context).claims

    def prepare(self, pod: PodInfo, cluster: SchedulerCache) -> PodFilter | Refusal | None:
        """Have nothing to do for pods without such disks and without claims for a single pod."""
        disks = [one for one in pod.pod["spec"].get("volumes") or () if any(kind in one for kind in _DISKS)]
        single = []
        for name in claims_of(pod.pod):
            claim = self._claims.find(pod.namespace, name.name)
            if claim is None:
                return Refusal(f'persistentvolumeclaim "{name.name}" not found', final=True)
            if "ReadWriteOncePod" in (claim["spec"].get("accessModes") or ()):
                single.append(name.name)
        if not disks and not single:
            return None
        users = sum(1 for one in single if cluster.claim_users(pod.namespace, one))
        return _Taken(pod.namespace, disks, single, users)

    def may_help(self, pod: JsonObject, event: ClusterEvent) -> bool:
        """A pod that goes and used the same helps; a claim of the pod that comes or changes; any new node."""
        mine = {one.name for one in claims_of(pod)}
        namespace = pod["metadata"]["namespace"]
        if event.resource == "persistentvolumeclaims":
            metadata = (event.new or {"metadata": {}})["metadata"]
            return metadata.get("namespace") == namespace and metadata.get("name") in mine
        if event.old is None:
            return True
        same_namespace = event.old["metadata"]["namespace"] == namespace
        if same_namespace and any(one.name in mine for one in claims_of(event.old)):
            return True
        return any(
            _clash(one, other)
            for one in pod["spec"].get("volumes") or ()
            for other in event.old["spec"].get("volumes") or ()
        )


class _Taken(PodFilter):
    __slots__ = ("_disks", "_namespace", "_single", "_users")

    def __init__(
        self, namespace: str, disks: Sequence[JsonObject], single: Sequence[str], users: int
    ) -> None:
        super().__init__()
        self._namespace = namespace
        self._disks = disks
        self._single = single
        self._users = users

    def copy(self) -> Self:
        return type(self)(self._namespace, self._disks, self._single, self._users)

    def count(self, other: PodInfo, node: NodeInfo, sign: int) -> None:
        if self._single and other.namespace == self._namespace:
            self._users += sign * sum(1 for one in claims_of(other.pod) if one.name in self._single)

    def check(self, node: NodeInfo) -> Refusal | None:
        if self._disks:
            for info in node.pods.values():
                for other in info.pod["spec"].get("volumes") or ():
                    if any(_clash(one, other) for one in self._disks):
                        return _DISK_TAKEN
        return _CLAIM_TAKEN if self._users > 0 else None


def _clash(one: JsonObject, other: JsonObject) -> bool:
    """Say whether two volumes are the same disk, and not both read it only (where the disk allows that)."""
    for kind in _DISKS:
        mine, theirs = one.get(kind), other.get(kind)
        if not mine or not theirs:
            continue
        read_only = bool(mine.get("readOnly") and theirs.get("readOnly"))
        match kind:
            case "gcePersistentDisk":
                return mine["pdName"] == theirs["pdName"] and not read_only
            case "awsElasticBlockStore":
                return bool(mine["volumeID"] == theirs["volumeID"])
            case "iscsi":
                return mine["iqn"] == theirs["iqn"] and not read_only
        shared = set(mine["monitors"]) & set(theirs["monitors"])
        pools = (mine.get("pool", "rbd"), mine["image"]), (theirs.get("pool", "rbd"), theirs["image"])
        return bool(shared) and pools[0] == pools[1] and not read_only
    return False
