"""Keeps a number of pods, the old form of ReplicaSet."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from k3py.api.columns import AGE, NAME, field_column, format_labels, pod_template_columns, value_at
from k3py.api.fielderror import required
from k3py.api.kind import Kind, ScalePaths, StoragePolicy, Subresource
from k3py.api.strategy import WorkloadStrategy
from k3py.api.validation.workload import (
    check_counts,
    check_replica_counts,
    labels_of_template,
    validate_template,
)

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject


class ReplicationControllerStrategy(WorkloadStrategy):
    """See the module."""

    default_propagation = "Orphan"
    empty_status: ClassVar[JsonObject] = {"replicas": 0}

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """The selector is a map of labels; numbers are not negative."""
        spec = obj.get("spec") or {}
        errors = check_counts(spec, "spec", ("replicas", "minReadySeconds"))
        selector = spec.get("selector") or {}
        if not selector:
            errors.append(required("spec.selector"))
        if spec.get("template") is None:
            return [*errors, required("spec.template")]
        labels = labels_of_template(spec)
        matches = all(labels.get(key) == value for key, value in selector.items())
        return errors + validate_template(spec, matches=matches)

    def validate_status_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Counts are not negative, and fit together."""
        status = new.get("status") or {}
        numbers = (*_PARTS, "replicas", "observedGeneration")
        return check_counts(status, "status", numbers) + check_replica_counts(status, _PARTS)


_PARTS: Final = ("fullyLabeledReplicas", "readyReplicas", "availableReplicas")


def _selector(obj: JsonObject) -> str:
    return format_labels(value_at(obj, "spec.selector"))


KIND: Final = Kind(
    version="v1",
    kind="ReplicationController",
    plural="replicationcontrollers",
    short_names=("rc",),
    categories=("all",),
    schema="io.k8s.api.core.v1.ReplicationController",
    strategy=ReplicationControllerStrategy(),
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
        field_column("Desired", "spec.replicas", 0, kind="integer"),
        field_column("Current", "status.replicas", 0, kind="integer"),
        field_column("Ready", "status.readyReplicas", 0, kind="integer"),
        AGE,
        *pod_template_columns("spec.template", _selector),
    ),
    selectable_fields={"status.replicas": lambda obj: str(value_at(obj, "status.replicas", 0))},
    storage=StoragePolicy(prefix="controllers"),
    storage_version_hash="Jond2If31h0=",
)
