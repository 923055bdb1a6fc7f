"""The scheduler's view of nodes and their pods, with pods that are being bound already counted.

Source: kubernetes/pkg/scheduler/backend/cache v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.scheduler.node_info import NodeInfo, PodInfo

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.jsontypes import JsonObject


class SchedulerCache:
    """Nodes by name. A pod on a node that is not known (yet) is kept with it, and counts once the node appears."""

    def __init__(self) -> None:
        self._nodes: dict[str, NodeInfo] = {}
        self._placed: dict[str, str] = {}  # pod uid → node name

    def put_node(self, node: JsonObject) -> None:
        """Add or update a node."""
        self._nodes.setdefault(node["metadata"]["name"], NodeInfo()).set_node(node)

    def remove_node(self, name: str) -> None:
        """Forget a node; its pods stay until they are deleted."""
        info = self._nodes.get(name)
        if info is None:
            return
        info.node = None
        if not info.pods:
            del self._nodes[name]

    def put_pod(self, pod: JsonObject, node_name: str) -> None:
        """Count a pod on a node, whether bound or only assumed to be; replaces its older state."""
        self.remove_pod(pod["metadata"]["uid"])
        self._nodes.setdefault(node_name, NodeInfo()).add(PodInfo(pod))
        self._placed[pod["metadata"]["uid"]] = node_name

    def remove_pod(self, uid: str) -> None:
        """Stop counting a pod."""
        name = self._placed.pop(uid, None)
        info = self._nodes.get(name) if name is not None else None
        if name is None or info is None:
            return
        info.remove(uid)
        if info.node is None and not info.pods:
            del self._nodes[name]

    def is_placed(self, uid: str) -> bool:
        """Say whether the pod counts on some node."""
        return uid in self._placed

    def nodes(self) -> Iterable[NodeInfo]:
        """Return the known nodes."""
        return [one for one in self._nodes.values() if one.node is not None]
