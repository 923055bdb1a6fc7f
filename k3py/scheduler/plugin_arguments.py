"""Arguments of plugins in a profile (pluginConfig). Source: k8s.io/kube-scheduler/config/v1/types_pluginargs.go v0.35."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from k3py.scheduler.plugins.node_resources_fit import FitArguments
from k3py.scheduler.preemption.candidates import PreemptionArguments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from k3py.config.fields import Fields
    from k3py.jsontypes import JsonObject
    from k3py.scheduler.plugins.node_resources_fit import Strategy

_STRATEGIES: Final = ("LeastAllocated", "MostAllocated", "RequestedToCapacityRatio")


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginArguments:
    """Defaults are upstream's.

    Attributes:
        added_affinity: node affinity that holds for every pod of the profile.
        spread_constraints: defaults for pods without own ones; None = the system's.
        bind_timeout_s: how long volumes may take.
    """

    fit: FitArguments = field(default_factory=FitArguments)
    balanced: tuple[str, ...] = ("cpu", "memory")
    added_affinity: JsonObject | None = None
    spread_constraints: tuple[JsonObject, ...] | None = None
    hard_affinity_weight: int = 1
    ignore_preferred_of_others: bool = False
    bind_timeout_s: float = 600.0
    preemption: PreemptionArguments = field(default_factory=PreemptionArguments)


def read_plugin_arguments(entry: Fields, known: PluginArguments) -> PluginArguments:
    """Return `known` with one entry of pluginConfig. Raises ConfigError."""
    name = entry.text("name", default=None, allowed=tuple(_READERS))
    args = entry.object("args", required=True)
    entry.finish()
    if args is None:
        return known
    kind = args.text("kind", default=f"{name}Args", allowed=(f"{name}Args",))
    _ = args.text(
        "apiVersion", default="kubescheduler.config.k8s.io/v1", allowed=("kubescheduler.config.k8s.io/v1",)
    )
    changed = _READERS[kind.removesuffix("Args")](args, known)
    args.finish()
    return changed


def _read_fit(args: Fields, known: PluginArguments) -> PluginArguments:
    fit = FitArguments(
        ignored=frozenset(args.texts("ignoredResources")),
        ignored_groups=frozenset(args.texts("ignoredResourceGroups")),
    )
    strategy = args.object("scoringStrategy")
    if strategy is not None:
        kind = strategy.text("type", default="LeastAllocated", allowed=_STRATEGIES)
        resources = tuple(_read_weight(one) for one in strategy.objects("resources"))
        fit = dataclasses.replace(fit, strategy=cast("Strategy", kind), resources=resources or fit.resources)
        ratio = strategy.object("requestedToCapacityRatio")
        if ratio is not None:
            fit = dataclasses.replace(fit, shape=_read_shape(ratio))
        if kind == "RequestedToCapacityRatio" and not fit.shape:
            raise strategy.fault("requestedToCapacityRatio", "must have a shape")
        strategy.finish()
    return dataclasses.replace(known, fit=fit)


def _read_weight(one: Fields) -> tuple[str, int]:
    name, weight = one.text("name", default=None), one.number("weight", default=1, least=1)
    if weight > 100:
        raise one.fault("weight", "must be 100 or less")
    one.finish()
    return name, weight


def _read_shape(ratio: Fields) -> tuple[tuple[int, int], ...]:
    points: list[tuple[int, int]] = []
    for one in ratio.objects("shape"):
        point = one.number("utilization"), one.number("score")
        if point[0] > 100 or point[1] > 10:
            raise one.fault("utilization and score", "must be at most 100 and 10")
        if points and points[-1][0] >= point[0]:
            raise one.fault("utilization", "must be greater than in the point before")
        one.finish()
        points.append(point)
    ratio.finish()
    return tuple(points)


def _read_balanced(args: Fields, known: PluginArguments) -> PluginArguments:
    names = tuple(_read_weight(one)[0] for one in args.objects("resources"))
    return dataclasses.replace(known, balanced=names or known.balanced)


def _read_affinity(args: Fields, known: PluginArguments) -> PluginArguments:
    added = args.raw("addedAffinity")
    if added is not None and not isinstance(added, dict):
        raise args.fault("addedAffinity", "must be an object")
    return dataclasses.replace(known, added_affinity=added)


def _read_spread(args: Fields, known: PluginArguments) -> PluginArguments:
    kind = args.text("defaultingType", default="System", allowed=("System", "List"))
    constraints: list[JsonObject] = []
    for one in args.objects("defaultConstraints"):
        constraints.append(
            {
                "topologyKey": one.text("topologyKey", default=None),
                "maxSkew": one.number("maxSkew", least=1),
                "whenUnsatisfiable": one.text(
                    "whenUnsatisfiable", default=None, allowed=("DoNotSchedule", "ScheduleAnyway")
                ),
            }
        )
        one.finish()
    if kind == "System" and constraints:
        raise args.fault("defaultConstraints", 'must be empty where defaultingType is "System"')
    return dataclasses.replace(known, spread_constraints=None if kind == "System" else tuple(constraints))


def _read_inter_pod_affinity(args: Fields, known: PluginArguments) -> PluginArguments:
    weight = args.number("hardPodAffinityWeight", default=1)
    if weight > 100:
        raise args.fault("hardPodAffinityWeight", "must be 100 or less")
    ignore = args.flag("ignorePreferredTermsOfExistingPods")
    return dataclasses.replace(known, hard_affinity_weight=weight, ignore_preferred_of_others=ignore)


def _read_volume_binding(args: Fields, known: PluginArguments) -> PluginArguments:
    return dataclasses.replace(known, bind_timeout_s=float(args.number("bindTimeoutSeconds", default=600)))


def _read_preemption(args: Fields, known: PluginArguments) -> PluginArguments:
    percentage = args.number("minCandidateNodesPercentage", default=10)
    absolute = args.number("minCandidateNodesAbsolute", default=100)
    if percentage > 100:
        raise args.fault("minCandidateNodesPercentage", "must be 100 or less")
    if not percentage and not absolute:
        raise args.fault("minCandidateNodesAbsolute", "must be greater than 0 where the percentage is 0")
    return dataclasses.replace(known, preemption=PreemptionArguments(percentage, absolute))


_READERS: Final[Mapping[str, Callable[[Fields, PluginArguments], PluginArguments]]] = {
    "NodeResourcesFit": _read_fit,
    "NodeResourcesBalancedAllocation": _read_balanced,
    "NodeAffinity": _read_affinity,
    "PodTopologySpread": _read_spread,
    "InterPodAffinity": _read_inter_pod_affinity,
    "VolumeBinding": _read_volume_binding,
    "DefaultPreemption": _read_preemption,
}
