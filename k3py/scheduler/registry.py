"""Makes the plugins of a profile; which there are, and their weights, says `k3py.scheduler.configuration`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3py.scheduler.plugins.balanced_allocation import BalancedAllocation
from k3py.scheduler.plugins.default_binder import DefaultBinder
from k3py.scheduler.plugins.dynamic_resources import DynamicResources
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
    from k3py.scheduler.configuration import ProfileSettings
    from k3py.scheduler.interface import (
        BindPlugin,
        FilterPlugin,
        PluginContext,
        PreEnqueuePlugin,
        ReservePlugin,
        ScorePlugin,
    )
    from k3py.scheduler.preemption.candidates import PreemptionArguments


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Plugins by extension point; `score` with weights.

    Attributes:
        name: spec.schedulerName of its pods.
        percentage: percentageOfNodesToScore, 0 = adaptive.
        preemption: how less important pods make room; None: they never do.
    """

    name: str
    pre_enqueue: tuple[PreEnqueuePlugin, ...]
    filter: tuple[FilterPlugin, ...]
    score: tuple[tuple[ScorePlugin, int], ...]
    reserve: tuple[ReservePlugin, ...] = ()
    bind: BindPlugin
    percentage: int = 0
    preemption: PreemptionArguments | None = None


def build_profile(context: PluginContext, settings: ProfileSettings) -> Profile:
    """Make the plugins of a profile."""
    arguments = settings.arguments
    constraints = arguments.spread_constraints
    taints, affinity = TaintToleration(), NodeAffinity(arguments.added_affinity)
    fit, volumes = NodeResourcesFit(arguments.fit), VolumeBinding(context, arguments.bind_timeout_s)
    neighbours = InterPodAffinity(
        context, arguments.hard_affinity_weight, ignore_others=arguments.ignore_preferred_of_others
    )
    spread = (
        PodTopologySpread(context)
        if constraints is None
        else PodTopologySpread(context, constraints, system_defaults=False)
    )
    devices = DynamicResources(context)
    holders: tuple[PreEnqueuePlugin, ...] = (SchedulingGates(), devices)
    reservers: tuple[ReservePlugin, ...] = (volumes, devices)
    filters: tuple[FilterPlugin, ...] = (
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
        devices,
    )
    scores: tuple[ScorePlugin, ...] = (
        taints,
        affinity,
        fit,
        spread,
        neighbours,
        BalancedAllocation(arguments.balanced),
        ImageLocality(),
    )
    order = {name: index for index, name in enumerate(settings.plugins)}
    return Profile(
        name=settings.name,
        pre_enqueue=tuple(one for one in holders if settings.runs("preEnqueue", one.NAME)),
        filter=tuple(
            sorted(
                (one for one in filters if settings.runs("filter", one.NAME)), key=lambda one: order[one.NAME]
            )
        ),
        score=tuple((one, settings.plugins[one.NAME]) for one in scores if settings.runs("score", one.NAME)),
        reserve=tuple(one for one in reservers if settings.runs("reserve", one.NAME)),
        bind=DefaultBinder(),
        percentage=settings.percentage,
        preemption=arguments.preemption if settings.runs("postFilter", "DefaultPreemption") else None,
    )
