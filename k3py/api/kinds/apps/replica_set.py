"""ReplicaSets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, CONTAINERS, IMAGES, NAME, SELECTOR, column
from k3py.api.fielderror import invalid_value
from k3py.api.kind import BaseStrategy, Kind, ScalePaths, StoragePolicy, Subresource
from k3py.api.validation.workload import validate_counts, validate_workload

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject


class ReplicaSetStrategy(BaseStrategy):
    """Source: kubernetes/pkg/registry/apps/replicaset/strategy.go v1.35."""

    has_status = True
    has_generation = True

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Selector and template belong together; numbers are not negative."""
        return validate_workload(obj)

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """The selector stays."""
        errors = self.validate(new)
        if (new.get("spec") or {}).get("selector") != (old.get("spec") or {}).get("selector"):
            selector = (new.get("spec") or {}).get("selector")
            errors.append(invalid_value("spec.selector", selector, "field is immutable"))
        return errors

    def validate_status_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Counts are not negative."""
        return validate_counts(new.get("status") or {}, "status")


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
