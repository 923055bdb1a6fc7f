"""KubeletConfiguration: what of it k3py honours, from a file, from parts in a folder, and from `--kubelet-arg name=value`.

    built-in values < config=FILE < config-dir=FOLDER/*.conf in the order of their names < name=value

Everything else is refused by name: an ignored setting is worse than none.

Source: pkg/kubelet/apis/config/v1beta1, cmd/kubelet/app/options v1.35.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from k3py.api.quantity import format_quantity, parse_quantity
from k3py.config.fields import Fields, load_raw_document
from k3py.config.kubelet_arguments import FLAG
from k3py.errors import ConfigError
from k3py.kubelet.cpus.cpu_set import CpuSet, parse_cpu_set
from k3py.kubelet.thresholds import CONDITIONS, DEFAULTS, TRANSITION_S, Amount, Threshold

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from k3py.config.kubelet_arguments import KubeletArguments
    from k3py.jsontypes import JsonObject, JsonValue

_VERSION: Final = "kubelet.config.k8s.io/v1beta1"

# Said for a kubelet that polls, limits its own client or has other parts; without effect here.
_WITHOUT_EFFECT: Final = (
    "syncFrequency",
    "fileCheckFrequency",
    "httpCheckFrequency",
    "nodeStatusUpdateFrequency",
    "nodeStatusReportFrequency",
    "nodeLeaseDurationSeconds",
    "kubeAPIQPS",
    "kubeAPIBurst",
    "eventRecordQPS",
    "eventBurst",
    "registryPullQPS",
    "registryBurst",
    "streamingConnectionIdleTimeout",
    "runtimeRequestTimeout",
    "volumeStatsAggPeriod",
    "logging",
    "containerLogMonitorInterval",
    "containerLogMaxWorkers",
    "cpuManagerReconcilePeriod",
)

_FLAGS: Final[Mapping[str, str]] = {
    "max-pods": "maxPods",
    "eviction-hard": "evictionHard",
    "eviction-soft": "evictionSoft",
    "eviction-soft-grace-period": "evictionSoftGracePeriod",
    "eviction-max-pod-grace-period": "evictionMaxPodGracePeriod",
    "eviction-minimum-reclaim": "evictionMinimumReclaim",
    "eviction-pressure-transition-period": "evictionPressureTransitionPeriod",
    "image-gc-high-threshold": "imageGCHighThresholdPercent",
    "image-gc-low-threshold": "imageGCLowThresholdPercent",
    "minimum-image-ttl-duration": "imageMinimumGCAge",
    "serialize-image-pulls": "serializeImagePulls",
    "container-log-max-size": "containerLogMaxSize",
    "container-log-max-files": "containerLogMaxFiles",
    "cpu-manager-policy": "cpuManagerPolicy",
    "reserved-cpus": "reservedSystemCPUs",
    "kube-reserved": "kubeReserved",
    "system-reserved": "systemReserved",
}
"""Flags of the kubelet by the field of KubeletConfiguration that they set."""

_NUMBERS: Final = (
    "maxPods",
    "evictionMaxPodGracePeriod",
    "imageGCHighThresholdPercent",
    "imageGCLowThresholdPercent",
    "containerLogMaxFiles",
)
_RESERVABLE: Final = ("cpu", "memory", "ephemeral-storage", "pid")
_MAPS: Final = {
    "evictionHard": "<",
    "evictionSoft": "<",
    "evictionSoftGracePeriod": "=",
    "evictionMinimumReclaim": "=",
    "kubeReserved": "=",
    "systemReserved": "=",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeletSettings:
    """Settings of KubeletConfiguration.

    thresholds: eviction thresholds; soft_grace_s: the most that a pod gets that goes for a soft one.
    reserved: what is kept from pods, by resource. static_cpus: containers of Guaranteed pods have whole CPUs alone; reserved_cpus:
    those that nobody has alone, empty = as many as are reserved. shutdown_grace_s: how long the machine's shutdown waits for pods, the last
    shutdown_critical_s of it for critical ones; 0 = not at all.
    """

    max_pods: int = 110
    thresholds: tuple[Threshold, ...] = DEFAULTS
    transition_s: float = TRANSITION_S
    soft_grace_s: int = 0
    image_high_percent: int = 85
    image_low_percent: int = 80
    image_least_age_s: float = 120.0
    serialize_image_pulls: bool = False
    log_size_bytes: int = 10 << 20
    log_files: int = 5
    reserved: Mapping[str, str] = field(default_factory=dict)
    static_cpus: bool = False
    reserved_cpus: CpuSet = frozenset()
    shutdown_grace_s: float = 0.0
    shutdown_critical_s: float = 0.0


def load_kubelet_settings(arguments: KubeletArguments) -> KubeletSettings:
    """Read files and flags; without any, return the built-in values. Blocking.

    Raises:
        ConfigError: something cannot be read or used; names it.
    """
    documents: list[tuple[str, JsonObject]] = []
    if arguments.config is not None:
        documents.append((f"{arguments.config}:", _load(arguments.config, f"{FLAG}=config")))
    if arguments.config_dir is not None:
        where = f"{FLAG}=config-dir"
        try:
            files = sorted(one for one in arguments.config_dir.iterdir() if one.suffix == ".conf")
        except OSError as error:
            raise ConfigError(f"{where}: '{arguments.config_dir}': {error.strerror}") from error
        documents += [(f"{one}:", _load(one, where)) for one in files]
    if arguments.flags:
        documents.append((f"{FLAG}:", _document_of(arguments.flags)))
    merged: JsonObject = {}
    where = f"{FLAG}:"
    for where, document in documents:
        # Each by itself first, so that a fault is told of the file that has it.
        _ = _read(Fields(document, where), KubeletSettings())
        merged = _merge(merged, document)
    return _read(Fields(merged, where), KubeletSettings(), whole_document=True)


def _load(file: Path, flag: str) -> JsonObject:
    fields = Fields(load_raw_document(file, flag), f"{file}:")
    fields.text("kind", default=None, allowed=("KubeletConfiguration",))
    fields.text("apiVersion", default=None, allowed=(_VERSION,))
    return fields.rest()


def _merge(old: JsonObject, new: JsonObject) -> JsonObject:
    merged = dict(old)
    for key, value in new.items():
        before = merged.get(key)
        # The thresholds of one place replace those of another, as a flag's do; other maps are merged.
        both = isinstance(value, dict) and isinstance(before, dict) and not key.startswith("eviction")
        merged[key] = _merge(dict(before or {}), value) if both else value
    return merged


def _document_of(flags: Mapping[str, str]) -> JsonObject:
    """Return flags as a KubeletConfiguration has them."""
    document: JsonObject = {}
    for name, text in flags.items():
        field_name = _FLAGS.get(name)
        if field_name is None:
            raise ConfigError(
                f"{FLAG}: {name!r}: k3py has no such argument of the kubelet; it has config, config-dir, {', '.join(sorted(_FLAGS))}"
            )
        document[field_name] = _value(name, field_name, text)
    return document


def _value(name: str, field_name: str, text: str) -> JsonValue:
    if field_name in _MAPS:
        separator = _MAPS[field_name]
        found = {}
        for pair in filter(None, text.split(",")):
            key, there, value = pair.partition(separator)
            if not there or not key or not value:
                raise ConfigError(f"{FLAG}: {name}: {pair!r}: must be NAME{separator}VALUE")
            found[key] = value
        return found
    if field_name in _NUMBERS:
        if not text.isdigit():
            raise ConfigError(f"{FLAG}: {name}: {text!r}: must be a whole number")
        return int(text)
    if field_name == "serializeImagePulls":
        if text not in ("true", "false"):
            raise ConfigError(f"{FLAG}: {name}: {text!r}: must be true or false")
        return text == "true"
    return text


def _read(fields: Fields, base: KubeletSettings, *, whole_document: bool = False) -> KubeletSettings:
    for name in _WITHOUT_EFFECT:
        _ = fields.raw(name)
    grace_s = fields.seconds("shutdownGracePeriod", default=base.shutdown_grace_s)
    critical_s = fields.seconds("shutdownGracePeriodCriticalPods", default=base.shutdown_critical_s)
    high = fields.number("imageGCHighThresholdPercent", default=base.image_high_percent)
    low = fields.number("imageGCLowThresholdPercent", default=base.image_low_percent)
    if whole_document and not low < high <= 100:
        raise fields.fault(
            "imageGCLowThresholdPercent",
            f"{low}: must be less than imageGCHighThresholdPercent ({high}, at most 100)",
        )
    if whole_document and critical_s > grace_s:
        raise fields.fault("shutdownGracePeriodCriticalPods", "must not be longer than shutdownGracePeriod")
    reserved, cpus = _read_reserved(fields), _read_cpus(fields)
    if cpus:
        reserved["cpu"] = str(len(cpus))
    policies = ("none", "static")
    static = fields.text("cpuManagerPolicy", default="none", allowed=policies) == "static"
    if whole_document and static and parse_quantity(reserved.get("cpu", "0")) <= 0:
        raise fields.fault(
            "cpuManagerPolicy",
            "'static': CPUs must be reserved: reservedSystemCPUs, or cpu of kubeReserved or systemReserved",
        )
    _ = fields.text("cgroupDriver", default="cgroupfs", allowed=("cgroupfs",))
    made = KubeletSettings(
        static_cpus=static,
        reserved_cpus=cpus,
        max_pods=fields.number("maxPods", default=base.max_pods, least=1),
        thresholds=_read_thresholds(fields, base, whole_document=whole_document),
        transition_s=fields.seconds("evictionPressureTransitionPeriod", default=base.transition_s),
        soft_grace_s=fields.number("evictionMaxPodGracePeriod", default=base.soft_grace_s),
        image_high_percent=high,
        image_low_percent=low,
        image_least_age_s=fields.seconds("imageMinimumGCAge", default=base.image_least_age_s),
        serialize_image_pulls=fields.flag("serializeImagePulls", default=base.serialize_image_pulls),
        log_size_bytes=_read_bytes(fields, "containerLogMaxSize", base.log_size_bytes),
        log_files=fields.number("containerLogMaxFiles", default=base.log_files, least=2),
        reserved=reserved,
        shutdown_grace_s=grace_s,
        shutdown_critical_s=critical_s,
    )
    fields.finish()
    return made


def _read_bytes(fields: Fields, name: str, default: int) -> int:
    text = fields.text(name)
    return int(parse_quantity(_quantity(fields, name, text))) if text else default


def _quantity(fields: Fields, name: str, text: JsonValue) -> str:
    try:
        amount = parse_quantity(str(text))
    except ValueError:
        amount = Decimal(-1)
    if amount < 0:
        raise fields.fault(name, f"{text!r}: must be a quantity such as 100Mi")
    return str(text)


def _read_reserved(fields: Fields) -> dict[str, str]:
    total: dict[str, str] = {}
    for name in ("kubeReserved", "systemReserved"):
        for key, value in _read_map(fields, name).items():
            if key not in _RESERVABLE:
                raise fields.fault(name, f"{key!r}: must be one of {', '.join(_RESERVABLE)}")
            amount = parse_quantity(_quantity(fields, f"{name}.{key}", value))
            total[key] = format_quantity(amount + parse_quantity(total.get(key, "0")))
    return total


def _read_cpus(fields: Fields) -> CpuSet:
    text = fields.text("reservedSystemCPUs")
    try:
        return parse_cpu_set(text)
    except ValueError as error:
        raise fields.fault("reservedSystemCPUs", f"{text!r}: must be a list of CPUs such as 0-1,4") from error


def _read_map(fields: Fields, name: str) -> dict[str, str]:
    value = fields.raw(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise fields.fault(name, "must be an object")
    return {key: str(one) for key, one in value.items()}


def _read_thresholds(fields: Fields, base: KubeletSettings, *, whole_document: bool) -> tuple[Threshold, ...]:
    given = fields.has("evictionHard")
    hard, soft = _read_map(fields, "evictionHard"), _read_map(fields, "evictionSoft")
    graces = Fields(
        dict(_read_map(fields, "evictionSoftGracePeriod")), fields.path("evictionSoftGracePeriod")
    )
    reclaims = _read_map(fields, "evictionMinimumReclaim")
    for name, found in (("evictionHard", hard), ("evictionSoft", soft), ("evictionMinimumReclaim", reclaims)):
        for signal, text in found.items():
            if signal not in CONDITIONS:
                raise fields.fault(name, f"{signal!r}: must be one of {', '.join(CONDITIONS)}")
            _check_amount(fields, f"{name}.{signal}", text)
    made = [
        Threshold(signal=signal, amount=Amount(text), reclaim=Amount(reclaims.get(signal, "0")))
        for signal, text in hard.items()
    ]
    for signal, text in soft.items():
        grace_s = graces.seconds(signal, default=-1.0)
        if grace_s < 0 and whole_document:
            raise fields.fault(
                "evictionSoft", f"{signal!r}: evictionSoftGracePeriod must have a grace period for it"
            )
        made.append(
            Threshold(
                signal=signal, amount=Amount(text), grace_s=grace_s, reclaim=Amount(reclaims.get(signal, "0"))
            )
        )
    if whole_document:
        graces.finish()
    return tuple(made) if given else (*base.thresholds, *made)


def _check_amount(fields: Fields, name: str, text: str) -> None:
    share = text.removesuffix("%")
    if share != text:
        try:
            is_share = 0 <= float(share) <= 100
        except ValueError:
            is_share = False
        if not is_share:
            raise fields.fault(name, f"{text!r}: must be a quantity such as 100Mi, or a share such as 10%")
        return
    _quantity(fields, name, text)
