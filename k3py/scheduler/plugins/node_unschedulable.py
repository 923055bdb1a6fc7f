"""Keeps pods off cordoned nodes. Source: kubernetes/pkg/scheduler/framework/plugins/nodeunschedulable v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.taints import tolerates_any
from k3py.scheduler.interface import Refusal

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject
    from k3py.scheduler.interface import ClusterEvent, CycleState
    from k3py.scheduler.node_info import NodeInfo

_TAINT: Final = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


class NodeUnschedulable:
    """See the module."""

    NAME = "NodeUnschedulable"

    def filter(self, state: CycleState, pod: JsonObject, node: NodeInfo) -> Refusal | None:
        """Refuse nodes with spec.unschedulable unless the pod tolerates that."""
        spec = (node.node or {}).get("spec") or {}
        if not spec.get("unschedulable") or tolerates_any(pod, _TAINT):
            return None
        return Refusal("node(s) were unschedulable", final=True)

    def may_help(self, pod: JsonObject, event: ClusterEvent) -> bool:
        """A node that comes or is not cordoned any more helps."""
        return (
            event.resource == "node"
            and event.new is not None
            and not (event.new.get("spec") or {}).get("unschedulable")
        )
