"""Deployments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, CONTAINERS, IMAGES, NAME, SELECTOR, column
from k3py.api.fielderror import forbidden_field, invalid_value, not_supported, required
from k3py.api.kind import Kind, ScalePaths, StoragePolicy, Subresource
from k3py.api.strategy import WorkloadStrategy
from k3py.api.validation.workload import (
    check_at_most_all,
    check_collisions,
    check_counts,
    check_replica_counts,
    check_selector_kept,
    check_share,
    is_zero,
    validate_workload,
)

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.api.kind import WriteContext
    from k3py.jsontypes import JsonObject


class DeploymentStrategy(WorkloadStrategy):
    """Source: kubernetes/pkg/registry/apps/deployment/strategy.go v1.35."""

    status_keeps = ("labels",)

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Selector and template belong together; numbers are not negative."""
        spec = obj.get("spec") or {}
        errors = check_counts(spec, "spec", _NUMBERS)
        errors += validate_workload(spec, what="deployment")
        errors += _validate_strategy(spec.get("strategy") or {}, "spec.strategy")
        deadline, ready = spec.get("progressDeadlineSeconds"), spec.get("minReadySeconds", 0)
        if deadline is not None and deadline <= ready:
            detail = "must be greater than minReadySeconds"
            errors.append(invalid_value("spec.progressDeadlineSeconds", deadline, detail))
        return errors

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """The selector stays."""
        return self.validate(new) + check_selector_kept(new, old)

    def validate_status_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Counts are not negative, and fit together."""
        status = new.get("status") or {}
        errors = check_counts(status, "status", _STATUS_NUMBERS)
        errors += check_replica_counts(status, ("updatedReplicas", "readyReplicas", "availableReplicas"))
        return errors + check_collisions(status, old.get("status") or {})

    def prepare_update(self, new: JsonObject, old: JsonObject, context: WriteContext) -> None:
        """A change of annotations raises the generation, too."""
        super().prepare_update(new, old, context)
        before = old["metadata"].get("generation", 0)
        same = new["metadata"].get("annotations") == old["metadata"].get("annotations")
        if new["metadata"]["generation"] == before and not same:
            new["metadata"]["generation"] = before + 1


_NUMBERS: Final = ("replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds")
_STATUS_NUMBERS: Final = (
    "observedGeneration",
    "replicas",
    "updatedReplicas",
    "readyReplicas",
    "availableReplicas",
    "unavailableReplicas",
    "terminatingReplicas",
)


def _validate_strategy(strategy: JsonObject, path: str) -> list[FieldError]:
    kind, rolling, where = strategy.get("type", ""), strategy.get("rollingUpdate"), f"{path}.rollingUpdate"
    if kind == "Recreate":
        detail = "may not be specified when strategy `type` is 'Recreate'"
        return [forbidden_field(where, detail)] if rolling is not None else []
    if kind != "RollingUpdate":
        return [not_supported(path, kind, ("Recreate", "RollingUpdate"))]
    if rolling is None:
        return [required(where, "this should be defaulted and never be nil")]
    unavailable, surge = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
    errors = check_share(unavailable, f"{where}.maxUnavailable") + check_share(surge, f"{where}.maxSurge")
    if is_zero(unavailable) and is_zero(surge):
        detail = "may not be 0 when `maxSurge` is 0"
        errors.append(invalid_value(f"{where}.maxUnavailable", unavailable, detail))
    return errors + check_at_most_all(unavailable, f"{where}.maxUnavailable")


def _counts(obj: JsonObject, field: str) -> int:
    return int((obj.get("status") or {}).get(field, 0))


KIND: Final = Kind(
    group="apps",
    version="v1",
    kind="Deployment",
    plural="deployments",
    singular="deployment",
    list_kind="DeploymentList",
    short_names=("deploy",),
    categories=("all",),
    schema="io.k8s.api.apps.v1.Deployment",
    subresources=(
        Subresource(
            name="scale", verbs=("get", "patch", "update"), kind="Scale", group="autoscaling", version="v1"
        ),
        Subresource(name="status", verbs=("get", "patch", "update")),
    ),
    scale=ScalePaths(),
    strategy=DeploymentStrategy(),
    columns=(
        NAME,
        column(
            "Ready",
            lambda obj: f"{_counts(obj, 'readyReplicas')}/{(obj.get('spec') or {}).get('replicas', 0)}",
        ),
        column("Up-to-date", lambda obj: _counts(obj, "updatedReplicas")),
        column("Available", lambda obj: _counts(obj, "availableReplicas")),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ),
    storage=StoragePolicy(prefix="deployments"),
    storage_version_hash="8aSe+NMegvE=",
)
