"""Matches spec.nodeName. Source: kubernetes/pkg/scheduler/framework/plugins/nodename v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.scheduler.interface import Refusal

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject
    from k3py.scheduler.interface import ClusterEvent, CycleState
    from k3py.scheduler.node_info import NodeInfo


class NodeName:
    """See the module."""

    NAME = "NodeName"

    def filter(self, state: CycleState, pod: JsonObject, node: NodeInfo) -> Refusal | None:
        """Refuse nodes of another name than the pod asks for."""
        wanted = pod["spec"].get("nodeName", "")
        if wanted and wanted != node.name:
            return Refusal("node(s) didn't match the requested node name", final=True)
        return None

    def may_help(self, pod: JsonObject, event: ClusterEvent) -> bool:
        """A new node helps."""
        return event.resource == "node" and event.kind == "add"
