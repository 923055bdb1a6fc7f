"""ReplicaSets."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from k3py.api.columns import AGE, CONTAINERS, IMAGES, NAME, SELECTOR, column
from k3py.api.kind import Kind, ScalePaths, StoragePolicy, Subresource
from k3py.api.strategy import WorkloadStrategy
from k3py.api.validation.workload import (
    check_counts,
    check_replica_counts,
    check_selector_kept,
    validate_workload,
)

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject


class ReplicaSetStrategy(WorkloadStrategy):
    """Source: kubernetes/pkg/registry/apps/replicaset/strategy.go v1.35."""

    empty_status: ClassVar[JsonObject] = {"replicas": 0}

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Selector and template belong together; numbers are not negative."""
        spec = obj.get("spec") or {}
        errors = check_counts(spec, "spec", ("replicas", "minReadySeconds"))
        return errors + validate_workload(spec, what="replicaset")

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """The selector stays."""
        return self.validate(new) + check_selector_kept(new, old)

    def validate_status_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Counts are not negative, and fit together."""
        status = new.get("status") or {}
        numbers = (*_PARTS, "replicas", "observedGeneration", "terminatingReplicas")
        return check_counts(status, "status", numbers) + check_replica_counts(status, _PARTS)


_PARTS: Final = ("fullyLabeledReplicas", "readyReplicas", "availableReplicas")


def _counts(obj: JsonObject, field: str) -> int:
    return int((obj.get("status") or {}).get(field, 0))


KIND: Final = Kind(
    group="apps",
    version="v1",
    kind="ReplicaSet",
    plural="replicasets",
    singular="replicaset",
    list_kind="ReplicaSetList",
    short_names=("rs",),
    categories=("all",),
    schema="io.k8s.api.apps.v1.ReplicaSet",
    subresources=(
        Subresource(
            name="scale", verbs=("get", "patch", "update"), kind="Scale", group="autoscaling", version="v1"
        ),
        Subresource(name="status", verbs=("get", "patch", "update")),
    ),
    scale=ScalePaths(),
    strategy=ReplicaSetStrategy(),
    columns=(
        NAME,
        column("Desired", lambda obj: (obj.get("spec") or {}).get("replicas", 0), kind="integer"),
        column("Current", lambda obj: _counts(obj, "replicas"), kind="integer"),
        column("Ready", lambda obj: _counts(obj, "readyReplicas"), kind="integer"),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ),
    storage=StoragePolicy(prefix="replicasets"),
    storage_version_hash="P1RzHs8/mWQ=",
)
