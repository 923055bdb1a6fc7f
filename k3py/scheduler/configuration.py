"""KubeSchedulerConfiguration: profiles with their plugins, weights and arguments, backoff, extenders.

Source: kubernetes/pkg/scheduler/apis/config/{v1,validation} v1.35; k8s.io/kube-scheduler/config/v1 v0.35.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from k3py.config.fields import Fields, load_document
from k3py.errors import ConfigError
from k3py.scheduler.extender import ExtenderSettings
from k3py.scheduler.plugin_arguments import PluginArguments, read_plugin_arguments
from k3py.scheduler.queue import INITIAL_BACKOFF_S, MAX_BACKOFF_S

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


_FLAG: Final = "--kube-scheduler-arg=config"
_VERSIONS: Final = ("kubescheduler.config.k8s.io/v1",)
DEFAULT_SCHEDULER: Final = "default-scheduler"

# In upstream's order; the number is the weight of those that score.
DEFAULT_PLUGINS: Final[Mapping[str, int]] = {
    "SchedulingGates": 0,
    "PrioritySort": 0,
    "NodeUnschedulable": 0,
    "NodeName": 0,
    "TaintToleration": 3,
    "NodeAffinity": 2,
    "NodePorts": 0,
    "NodeResourcesFit": 1,
    "VolumeRestrictions": 0,
    "NodeVolumeLimits": 0,
    "VolumeBinding": 0,
    "VolumeZone": 0,
    "PodTopologySpread": 2,
    "InterPodAffinity": 2,
    "DynamicResources": 0,
    "DefaultPreemption": 0,
    "NodeResourcesBalancedAllocation": 1,
    "ImageLocality": 1,
    "DefaultBinder": 0,
}
# What k3py does at each point of upstream's; PreFilter and Filter are one, so are PreScore and Score.
POINTS: Final[Mapping[str, str]] = {
    "preEnqueue": "preEnqueue",
    "queueSort": "queueSort",
    "preFilter": "filter",
    "filter": "filter",
    "postFilter": "postFilter",
    "preScore": "score",
    "score": "score",
    "reserve": "reserve",
    "permit": "permit",
    "preBind": "reserve",
    "bind": "bind",
    "postBind": "postBind",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileSettings:
    """One profile.

    Attributes:
        plugins: names → weight, in order; of the whole profile.
        disabled: (point, name) that does not run there though the plugin is on.
        percentage: percentageOfNodesToScore, 0 = adaptive.
    """

    name: str = DEFAULT_SCHEDULER
    plugins: Mapping[str, int] = field(default_factory=lambda: dict(DEFAULT_PLUGINS))
    disabled: frozenset[tuple[str, str]] = frozenset()
    percentage: int = 0
    arguments: PluginArguments = field(default_factory=PluginArguments)

    def runs(self, point: str, plugin: str) -> bool:
        """Say whether a plugin runs at a point."""
        return plugin in self.plugins and (point, plugin) not in self.disabled


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerSettings:
    """The whole configuration."""

    profiles: tuple[ProfileSettings, ...] = (ProfileSettings(),)
    extenders: tuple[ExtenderSettings, ...] = ()
    initial_backoff_s: float = INITIAL_BACKOFF_S
    max_backoff_s: float = MAX_BACKOFF_S


def load_scheduler_settings(file: Path | None) -> SchedulerSettings:
    """Read a file; without one, return the defaults. Blocking.

    Raises:
        ConfigError: it cannot be read or used; names the field.
    """
    if file is None:
        return SchedulerSettings()
    document = load_document(file, _FLAG, "KubeSchedulerConfiguration", _VERSIONS)
    # One process has no other to elect, no client to limit and no threads to share: said for kube-scheduler, without effect here.
    for name in ("leaderElection", "clientConnection"):
        _ = document.raw(name)
    _ = document.number("parallelism", default=16, least=1)
    for name in ("enableProfiling", "enableContentionProfiling", "delayCacheUntilActive"):
        _ = document.flag(name)
    percentage = _read_percentage(document)
    initial_s = document.number("podInitialBackoffSeconds", default=int(INITIAL_BACKOFF_S), least=1)
    max_s = document.number("podMaxBackoffSeconds", default=int(MAX_BACKOFF_S), least=1)
    if max_s < initial_s:
        raise document.fault(
            "podMaxBackoffSeconds", "must be as great as podInitialBackoffSeconds, or greater"
        )
    profiles = tuple(_read_profile(one, percentage) for one in document.objects("profiles")) or (
        ProfileSettings(percentage=percentage),
    )
    names = [one.name for one in profiles]
    if len(set(names)) != len(names):
        raise document.fault("profiles", "must have different schedulerNames")
    extenders = tuple(_read_extender(one, file.parent) for one in document.objects("extenders"))
    if sum(1 for one in extenders if one.bind_verb) > 1:
        raise document.fault("extenders", "only one can have a bindVerb")
    document.finish()
    unseen = frozenset[str]().union(*(one.unseen for one in extenders))
    return SchedulerSettings(
        profiles=tuple(_without(one, unseen) for one in profiles),
        extenders=extenders,
        initial_backoff_s=float(initial_s),
        max_backoff_s=float(max_s),
    )


def _without(profile: ProfileSettings, resources: frozenset[str]) -> ProfileSettings:
    """Let NodeResourcesFit not count resources that an extender counts."""
    fit = profile.arguments.fit
    fit = dataclasses.replace(fit, ignored=fit.ignored | resources)
    return dataclasses.replace(profile, arguments=dataclasses.replace(profile.arguments, fit=fit))


def _read_extender(fields: Fields, folder: Path) -> ExtenderSettings:
    prefix = fields.text("urlPrefix", default=None)
    https = fields.flag("enableHTTPS")
    if not prefix.startswith(("http://", "https://")):
        raise fields.fault("urlPrefix", f"{prefix!r}: must be http://… or https://…")
    if https:
        prefix = "https://" + prefix.partition("://")[2]
    managed, unseen = set(), set()
    for one in fields.objects("managedResources"):
        name = one.text("name", default=None)
        managed.add(name)
        if one.flag("ignoredByScheduler"):
            unseen.add(name)
        one.finish()
    tls = fields.object("tlsConfig") or Fields({}, fields.path("tlsConfig"))
    files = {name: tls.text(name) for name in ("caFile", "certFile", "keyFile")}
    paths = {name: folder / text if text else None for name, text in files.items()}
    if (paths["certFile"] is None) != (paths["keyFile"] is None):
        raise tls.fault("certFile and keyFile", "must be given together")
    insecure = tls.flag("insecure")
    tls.finish()
    weight = fields.number("weight", default=1)
    prioritize = fields.text("prioritizeVerb")
    if prioritize and not weight:
        raise fields.fault("weight", "must be greater than 0 where there is a prioritizeVerb")
    settings = ExtenderSettings(
        url_prefix=prefix,
        filter_verb=fields.text("filterVerb"),
        prioritize_verb=prioritize,
        preempt_verb=fields.text("preemptVerb"),
        bind_verb=fields.text("bindVerb"),
        weight=weight,
        timeout_s=fields.seconds("httpTimeout", default=5.0) or 5.0,
        knows_nodes=fields.flag("nodeCacheCapable"),
        managed=frozenset(managed),
        unseen=frozenset(unseen),
        ignorable=fields.flag("ignorable"),
        ca_file=paths["caFile"],
        certificate=paths["certFile"],
        key=paths["keyFile"],
        insecure=insecure,
    )
    fields.finish()
    return settings


def _read_percentage(fields: Fields, default: int = 0) -> int:
    value = fields.number("percentageOfNodesToScore", default=default)
    if value > 100:
        raise fields.fault("percentageOfNodesToScore", "must be 100 or less")
    return value


def _read_profile(fields: Fields, percentage: int) -> ProfileSettings:
    name = fields.text("schedulerName", default=DEFAULT_SCHEDULER)
    percentage = _read_percentage(fields, percentage)
    plugins, disabled = dict(DEFAULT_PLUGINS), frozenset[tuple[str, str]]()
    sets = fields.object("plugins")
    if sets is not None:
        plugins, disabled = _read_plugins(sets)
    arguments = PluginArguments()
    for entry in fields.objects("pluginConfig"):
        arguments = read_plugin_arguments(entry, arguments)
    fields.finish()
    return ProfileSettings(
        name=name, plugins=plugins, disabled=disabled, percentage=percentage, arguments=arguments
    )


def _read_plugins(sets: Fields) -> tuple[dict[str, int], frozenset[tuple[str, str]]]:
    """Apply `multiPoint` to the defaults, then what single points say."""
    plugins = dict(DEFAULT_PLUGINS)
    off, on = _read_set(sets, "multiPoint")
    for one in (*plugins,) if "*" in off else off:
        plugins.pop(one, None)
    for one, weight in on.items():
        plugins.pop(one, None)
        plugins[one] = weight or DEFAULT_PLUGINS[one]
    disabled: set[tuple[str, str]] = set()
    only: dict[str, set[str]] = {}  # plugins that are on at single points alone
    for name, point in POINTS.items():
        off, on = _read_set(sets, name)
        disabled |= {(point, one) for one in ((*plugins,) if "*" in off else off)}
        for one, weight in on.items():
            disabled.discard((point, one))
            if one not in plugins or one in only:
                only.setdefault(one, set()).add(point)
                plugins.setdefault(one, DEFAULT_PLUGINS[one])
            if weight and point == "score":
                plugins[one] = weight
    for one, points in only.items():
        disabled |= {(point, one) for point in POINTS.values() if point not in points}
    sets.finish()
    for needed in ("PrioritySort", "DefaultBinder"):
        point = "queueSort" if needed == "PrioritySort" else "bind"
        if needed not in plugins or (point, needed) in disabled:
            raise ConfigError(
                f"{sets.path(point)}: {needed}: is the only one there is and cannot be disabled"
            )
    return plugins, frozenset(disabled)


def _read_set(sets: Fields, point: str) -> tuple[frozenset[str], dict[str, int]]:
    fields = sets.object(point)
    if fields is None:
        return frozenset(), {}
    known = (*DEFAULT_PLUGINS,)
    off = set()
    for entry in fields.objects("disabled"):
        off.add(entry.text("name", default=None, allowed=(*known, "*")))
        _ = entry.number("weight", default=0)
        entry.finish()
    on = {}
    for entry in fields.objects("enabled"):
        name = entry.text("name", default=None, allowed=known)
        on[name] = entry.number("weight", default=0)
        entry.finish()
    fields.finish()
    return frozenset(off), on
