"""The kinds of metrics.k8s.io/v1beta1; nothing of them is stored. Source: k8s.io/metrics/pkg/apis/metrics/v1beta1 v0.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import NAME, column
from k3py.api.kind import Kind, StoragePolicy
from k3py.api.quantity import format_quantity, parse_quantity

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject

GROUP: Final = "metrics.k8s.io"
_VERSION: Final = "v1beta1"
_VERBS: Final = ("get", "list")


def _cpu(obj: JsonObject) -> str:
    return _total(obj, "cpu")


def _memory(obj: JsonObject) -> str:
    return _total(obj, "memory")


def _total(obj: JsonObject, resource: str) -> str:
    usages = [obj["usage"]] if "usage" in obj else [one["usage"] for one in obj.get("containers") or ()]
    total = sum((parse_quantity(one[resource]) for one in usages), parse_quantity("0"))
    return format_quantity(total, "BinarySI" if resource == "memory" else "DecimalSI")


_COLUMNS: Final = (
    NAME,
    column("cpu", _cpu),
    column("memory", _memory),
    column("window", lambda obj: obj.get("window", "")),
)

NODE_METRICS: Final = Kind(
    group=GROUP,
    version=_VERSION,
    kind="NodeMetrics",
    plural="nodes",
    singular="nodemetrics",
    namespaced=False,
    verbs=_VERBS,
    schema="io.k8s.metrics.pkg.apis.metrics.v1beta1.NodeMetrics",
    columns=_COLUMNS,
    storage=StoragePolicy(prefix=f"{GROUP}/nodes", durability="volatile"),
)
POD_METRICS: Final = Kind(
    group=GROUP,
    version=_VERSION,
    kind="PodMetrics",
    plural="pods",
    singular="podmetrics",
    verbs=_VERBS,
    schema="io.k8s.metrics.pkg.apis.metrics.v1beta1.PodMetrics",
    columns=_COLUMNS,
    storage=StoragePolicy(prefix=f"{GROUP}/pods", durability="volatile"),
)
