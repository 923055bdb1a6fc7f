"""HorizontalPodAutoscalers in both versions: the records, of which v2 is the one that is stored."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from k3py.api.kind import Kind, StoragePolicy, Subresource
from k3py.api.kinds.autoscaling.horizontal_pod_autoscaler.columns import autoscaler_columns
from k3py.api.kinds.autoscaling.horizontal_pod_autoscaler.conversion import to_v1, to_v2
from k3py.api.kinds.autoscaling.horizontal_pod_autoscaler.strategy import (
    AutoscalerStrategy,
    V1AutoscalerStrategy,
)

KIND: Final = Kind(
    group="autoscaling",
    version="v2",
    kind="HorizontalPodAutoscaler",
    plural="horizontalpodautoscalers",
    short_names=("hpa",),
    categories=("all",),
    schema="io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
    strategy=AutoscalerStrategy(),
    subresources=(Subresource(name="status", verbs=("get", "patch", "update")),),
    columns=autoscaler_columns(),
    storage=StoragePolicy(prefix="horizontalpodautoscalers"),
    storage_version_hash="qwQve8ut294=",
)

V1_KIND: Final = replace(
    KIND,
    version="v1",
    schema="io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler",
    strategy=V1AutoscalerStrategy(AutoscalerStrategy()),
    columns=autoscaler_columns(to_v2),
    storage_version=KIND.api_version,
    to_storage=to_v2,
    from_storage=to_v1,
)
