"""Pods with an identity and volumes of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from k3py.api.columns import AGE, NAME, column, container_columns, value_at
from k3py.api.kind import Kind, ScalePaths, StoragePolicy, Subresource
from k3py.api.strategy import WorkloadStrategy

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject


class Strategy(WorkloadStrategy):
    """See the module."""

    empty_status: ClassVar[JsonObject] = {"replicas": 0, "availableReplicas": 0}


def _ready(obj: JsonObject) -> str:
    return f"{value_at(obj, 'status.readyReplicas', 0)}/{value_at(obj, 'spec.replicas', 0)}"


KIND: Final = Kind(
    group="apps",
    version="v1",
    kind="StatefulSet",
    plural="statefulsets",
    short_names=("sts",),
    categories=("all",),
    schema="io.k8s.api.apps.v1.StatefulSet",
    strategy=Strategy(),
    subresources=(
        Subresource(
            name="scale",
            verbs=(
                "get",
                "patch",
                "update",
            ),
            kind="Scale",
            group="autoscaling",
            version="v1",
        ),
        Subresource(
            name="status",
            verbs=(
                "get",
                "patch",
                "update",
            ),
        ),
    ),
    scale=ScalePaths(),
    columns=(NAME, column("Ready", _ready), AGE, *container_columns("spec.template")),
    storage=StoragePolicy(prefix="statefulsets"),
    storage_version_hash="H+vl74LkKdo=",
)
