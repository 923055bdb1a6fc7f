"""Keeps a number of pods, the old form of ReplicaSet."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from k3py.api.columns import AGE, NAME, field, format_labels, pod_template_columns, value_at
from k3py.api.kind import Kind, ScalePaths, StoragePolicy, Subresource
from k3py.api.strategy import WorkloadStrategy

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject


class Strategy(WorkloadStrategy):
    """See the module."""

    default_propagation = "Orphan"
    empty_status: ClassVar[JsonObject] = {"replicas": 0}


def _selector(obj: JsonObject) -> str:
    return format_labels(value_at(obj, "spec.selector"))


KIND: Final = Kind(
    version="v1",
    kind="ReplicationController",
    plural="replicationcontrollers",
    short_names=("rc",),
    categories=("all",),
    schema="io.k8s.api.core.v1.ReplicationController",
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
    columns=(
        NAME,
        field("Desired", "spec.replicas", 0, kind="integer"),
        field("Current", "status.replicas", 0, kind="integer"),
        field("Ready", "status.readyReplicas", 0, kind="integer"),
        AGE,
        *pod_template_columns("spec.template", _selector),
    ),
    selectable_fields={"status.replicas": lambda obj: str(value_at(obj, "status.replicas", 0))},
    storage=StoragePolicy(prefix="controllers"),
    storage_version_hash="Jond2If31h0=",
)
