"""The scheduler's view of nodes and their pods, with pods that are being bound already counted.

Pods that selectors cannot tell apart are counted together, by node: a cycle that asks "how many pods like these are where" looks at a
handful of groups and not at every pod. Source: kubernetes/pkg/scheduler/backend/cache v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.scheduler.claims import claims_of
from k3py.scheduler.node_info import NodeInfo, PodInfo

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from k3py.jsontypes import JsonObject


class PodGroup:
    """Pods that are alike: one of them and how many are on which node."""

    __slots__ = ("counts", "sample")

    def __init__(self, sample: PodInfo) -> None:
        self.sample = sample
        self.counts: dict[str, int] = {}


class SchedulerCache:
    """Nodes by name. A pod on a node that is not known (yet) is kept with it, and counts once the node appears."""

    def __init__(self) -> None:
        self._nodes: dict[str, NodeInfo] = {}
        self._known: list[NodeInfo] | None = None
        self._domains: dict[
            str, frozenset[str]
        ] = {}  # by topology key; forgotten when a node's labels change
        self._placed: dict[str, str] = {}  # pod uid → node name
        self._groups: dict[str, dict[Hashable, PodGroup]] = {}  # by namespace
        self._affine: dict[Hashable, PodGroup] = {}
        self._claim_users: dict[tuple[str, str], set[str]] = {}
        self._image_nodes: dict[str, int] = {}
        self._nominated: dict[str, dict[str, PodInfo]] = {}  # node name → uid →
        self._nominated_node: dict[str, str] = {}

    def put_node(self, node: JsonObject) -> None:
        """Add or update a node."""
        name = node["metadata"]["name"]
        info = self._nodes.get(name)
        if info is None:
            info = self._nodes[name] = NodeInfo()
        if not info.name:
            self._known = None
        self._count_images(info, -1)
        if (node["metadata"].get("labels") or {}) != info.labels:
            self._domains.clear()
        info.set_node(node)
        self._count_images(info, 1)

    def refresh_node(self, node: JsonObject) -> None:
        """Take a node object that differs in nothing that counts."""
        info = self._nodes.get(node["metadata"]["name"])
        if info is not None:
            info.node = node

    def remove_node(self, name: str) -> None:
        """Forget a node; its pods stay until they are deleted."""
        info = self._nodes.get(name)
        if info is None:
            return
        self._count_images(info, -1)
        info.unset_node()
        self._domains.clear()
        info.images = {}
        self._known = None
        if not info.pods:
            del self._nodes[name]

    def put_pod(self, info: PodInfo, node_name: str) -> None:
        """Count a pod on a node, whether bound or only assumed to be; replaces its older state."""
        self.remove_pod(info.uid)
        node = self._nodes.get(node_name)
        if node is None:
            node = self._nodes[node_name] = NodeInfo()
        node.add(info)
        self._placed[info.uid] = node_name
        self._group(info, node_name, 1)

    def refresh_pod(self, pod: JsonObject) -> None:
        """Take a pod that differs in nothing that counts."""
        uid = pod["metadata"]["uid"]
        node = self._nodes.get(self._placed.get(uid, ""))
        if node is not None:
            node.pods[uid].pod = pod

    def remove_pod(self, uid: str) -> None:
        """Stop counting a pod."""
        name = self._placed.pop(uid, None)
        node = self._nodes.get(name) if name is not None else None
        info = None if node is None else node.remove(uid)
        if name is None or node is None or info is None:
            return
        self._group(info, name, -1)
        if not node.name and not node.pods:
            del self._nodes[name]

    def _group(self, info: PodInfo, node_name: str, sign: int) -> None:
        groups = self._groups.setdefault(info.namespace, {})
        _count(groups, info.group, info, node_name, sign)
        if not groups:
            del self._groups[info.namespace]
        if info.affinity_group is not None:
            _count(self._affine, info.affinity_group, info, node_name, sign)
        for claim in claims_of(info.pod):
            users = self._claim_users.setdefault((info.namespace, claim.name), set())
            (users.add if sign > 0 else users.discard)(info.uid)
            if not users:
                del self._claim_users[(info.namespace, claim.name)]

    def _count_images(self, info: NodeInfo, sign: int) -> None:
        for image in info.images:
            left = self._image_nodes.get(image, 0) + sign
            if left:
                self._image_nodes[image] = left
            else:
                del self._image_nodes[image]

    def nominate(self, info: PodInfo, node_name: str) -> None:
        """Note that a waiting pod shall get room on a node; "" = none any more."""
        old = self._nominated_node.pop(info.uid, "")
        if old:
            del self._nominated[old][info.uid]
            if not self._nominated[old]:
                del self._nominated[old]
        if node_name:
            self._nominated.setdefault(node_name, {})[info.uid] = info
            self._nominated_node[info.uid] = node_name

    def nominated_on(self, node_name: str) -> Iterable[PodInfo]:
        """Return the waiting pods that shall get room on a node."""
        found = self._nominated.get(node_name)
        return () if found is None else found.values()

    def nominated_node(self, uid: str) -> str:
        """Return the node on which a waiting pod shall get room, "" = none."""
        return self._nominated_node.get(uid, "")

    @property
    def has_nominated(self) -> bool:
        """Say whether any pod shall get room somewhere."""
        return bool(self._nominated)

    def is_placed(self, uid: str) -> bool:
        """Say whether the pod counts on some node."""
        return uid in self._placed

    def node_of(self, uid: str) -> str:
        """Return on which node the pod counts, "" = on none."""
        return self._placed.get(uid, "")

    def nodes(self) -> Sequence[NodeInfo]:
        """Return the known nodes, always in the same order while none comes or goes."""
        if self._known is None:
            self._known = [one for one in self._nodes.values() if one.name]
        return self._known

    def domains(self, key: str) -> frozenset[str]:
        """Return the values that a label has on known nodes."""
        found = self._domains.get(key)
        if found is None:
            found = frozenset(node.labels[key] for node in self.nodes() if key in node.labels)
            self._domains[key] = found
        return found

    def find(self, name: str) -> NodeInfo | None:
        """Return a known node."""
        info = self._nodes.get(name)
        return info if info is not None and info.name else None

    def groups_in(self, namespace: str) -> Iterable[PodGroup]:
        """Return the groups of pods of a namespace."""
        return self._groups.get(namespace, {}).values()

    def namespaces(self) -> Iterable[str]:
        """Return the namespaces of placed pods."""
        return self._groups

    def affine_groups(self) -> Iterable[PodGroup]:
        """Return groups of pods with pod affinity or anti-affinity."""
        return self._affine.values()

    def claim_users(self, namespace: str, claim: str) -> int:
        """Return how many placed pods use a claim."""
        return len(self._claim_users.get((namespace, claim), ()))

    @property
    def image_nodes(self) -> Mapping[str, int]:
        """How many nodes have an image, by each of its names."""
        return self._image_nodes


def _count(groups: dict[Hashable, PodGroup], key: Hashable, info: PodInfo, node_name: str, sign: int) -> None:
    group = groups.get(key)
    if group is None:
        group = groups[key] = PodGroup(info)
    left = group.counts.get(node_name, 0) + sign
    if left > 0:
        group.counts[node_name] = left
        return
    group.counts.pop(node_name, None)
    if not group.counts:
        del groups[key]
