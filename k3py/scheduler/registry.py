"""The table of plugins and their weights in the default profile, in upstream's order (data: scheduler.tsv)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3py.scheduler.plugins.balanced_allocation import BalancedAllocation
from k3py.scheduler.plugins.default_binder import DefaultBinder
from k3py.scheduler.plugins.node_affinity import NodeAffinity
from k3py.scheduler.plugins.node_name import NodeName
from k3py.scheduler.plugins.node_ports import NodePorts
from k3py.scheduler.plugins.node_resources_fit import NodeResourcesFit
from k3py.scheduler.plugins.node_unschedulable import NodeUnschedulable
from k3py.scheduler.plugins.scheduling_gates import SchedulingGates
from k3py.scheduler.plugins.taint_toleration import TaintToleration

if TYPE_CHECKING:
    from k3py.scheduler.interface import (
        BindPlugin,
        FilterPlugin,
        PreEnqueuePlugin,
        PreFilterPlugin,
        ScorePlugin,
    )

DEFAULT_SCHEDULER = "default-scheduler"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Plugins by extension point; `score` with weights."""

    name: str
    pre_enqueue: tuple[PreEnqueuePlugin, ...]
    pre_filter: tuple[PreFilterPlugin, ...]
    filter: tuple[FilterPlugin, ...]
    score: tuple[tuple[ScorePlugin, int], ...]
    bind: BindPlugin


def default_profile() -> Profile:
    """Return the profile of `default-scheduler`."""
    ports, fit, affinity, taints = NodePorts(), NodeResourcesFit(), NodeAffinity(), TaintToleration()
    return Profile(
        name=DEFAULT_SCHEDULER,
        pre_enqueue=(SchedulingGates(),),
        pre_filter=(ports, fit),
        filter=(NodeUnschedulable(), NodeName(), taints, affinity, ports, fit),
        score=((taints, 3), (affinity, 2), (fit, 1), (BalancedAllocation(), 1)),
        bind=DefaultBinder(),
    )
