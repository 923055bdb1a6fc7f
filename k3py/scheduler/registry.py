"""The table of plugins and their weights in the default profile, in upstream's order (data: scheduler.tsv)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3py.scheduler.plugins.balanced_allocation import BalancedAllocation
from k3py.scheduler.plugins.default_binder import DefaultBinder
from k3py.scheduler.plugins.image_locality import ImageLocality
from k3py.scheduler.plugins.inter_pod_affinity import InterPodAffinity
from k3py.scheduler.plugins.node_affinity import NodeAffinity
from k3py.scheduler.plugins.node_name import NodeName
from k3py.scheduler.plugins.node_ports import NodePorts
from k3py.scheduler.plugins.node_resources_fit import NodeResourcesFit
from k3py.scheduler.plugins.node_unschedulable import NodeUnschedulable
from k3py.scheduler.plugins.node_volume_limits import NodeVolumeLimits
from k3py.scheduler.plugins.pod_topology_spread import PodTopologySpread
from k3py.scheduler.plugins.scheduling_gates import SchedulingGates
from k3py.scheduler.plugins.taint_toleration import TaintToleration
from k3py.scheduler.plugins.volume_binding import VolumeBinding
from k3py.scheduler.plugins.volume_restrictions import VolumeRestrictions
from k3py.scheduler.plugins.volume_zone import VolumeZone

if TYPE_CHECKING:
    from k3py.scheduler.interface import (
        BindPlugin,
        FilterPlugin,
        PluginContext,
        PreEnqueuePlugin,
        ReservePlugin,
        ScorePlugin,
    )

DEFAULT_SCHEDULER = "default-scheduler"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Plugins by extension point; `score` with weights.

    Attributes:
        name: spec.schedulerName of its pods.
        percentage: percentageOfNodesToScore, 0 = adaptive.
        preempts: less important pods make room.
    """

    name: str
    pre_enqueue: tuple[PreEnqueuePlugin, ...]
    filter: tuple[FilterPlugin, ...]
    score: tuple[tuple[ScorePlugin, int], ...]
    reserve: tuple[ReservePlugin, ...] = ()
    bind: BindPlugin
    percentage: int = 0
    preempts: bool = True


def default_profile(context: PluginContext) -> Profile:
    """Return the profile of `default-scheduler`."""
    taints, affinity, fit = TaintToleration(), NodeAffinity(), NodeResourcesFit()
    spread, neighbours, volumes = (
        PodTopologySpread(context),
        InterPodAffinity(context),
        VolumeBinding(context),
    )
    return Profile(
        name=DEFAULT_SCHEDULER,
        pre_enqueue=(SchedulingGates(),),
        filter=(
            NodeUnschedulable(),
            NodeName(),
            taints,
            affinity,
            NodePorts(),
            fit,
            VolumeRestrictions(context),
            NodeVolumeLimits(context),
            volumes,
            VolumeZone(context),
            spread,
            neighbours,
        ),
        score=(
            (taints, 3),
            (affinity, 2),
            (fit, 1),
            (spread, 2),
            (neighbours, 2),
            (BalancedAllocation(), 1),
            (ImageLocality(), 1),
        ),
        reserve=(volumes,),
        bind=DefaultBinder(),
    )
