"""Holds pods with scheduling gates back. Source: kubernetes/pkg/scheduler/framework/plugins/schedulinggates v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.scheduler.interface import Refusal

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject


class SchedulingGates:
    """See the module."""

    NAME = "SchedulingGates"

    def pre_enqueue(self, pod: JsonObject) -> Refusal | None:
        """Refuse while spec.schedulingGates is not empty."""
        gates = [one["name"] for one in pod["spec"].get("schedulingGates") or ()]
        if not gates:
            return None
        return Refusal(f"waiting for scheduling gates: [{' '.join(gates)}]", final=True)
