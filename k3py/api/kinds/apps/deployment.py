"""Deployments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, CONTAINERS, IMAGES, NAME, SELECTOR, column
from k3py.api.fielderror import forbidden_field, invalid_value, not_supported
from k3py.api.kind import BaseStrategy, Kind, ScalePaths, StoragePolicy, Subresource
from k3py.api.validation.workload import is_zero, validate_counts, validate_share, validate_workload

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.api.kind import WriteContext
    from k3py.jsontypes import JsonObject


class DeploymentStrategy(BaseStrategy):
    """Source: kubernetes/pkg/registry/apps/deployment/strategy.go v1.35."""

    has_status = True
    has_generation = True

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Selector and template belong together; numbers are not negative."""
        return [*validate_workload(obj), *_validate_strategy(obj.get("spec") or {})]

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

    def prepare_update(self, new: JsonObject, old: JsonObject, context: WriteContext) -> None:
        """A change of annotations raises the generation, too."""
        super().prepare_update(new, old, context)
        before = old["metadata"].get("generation", 0)
        same = new["metadata"].get("annotations") == old["metadata"].get("annotations")
        if new["metadata"]["generation"] == before and not same:
            new["metadata"]["generation"] = before + 1


def _validate_strategy(spec: JsonObject) -> list[FieldError]:
    errors: list[FieldError] = []
    strategy = spec.get("strategy") or {}
    kind = strategy.get("type", "RollingUpdate")
    if kind not in ("Recreate", "RollingUpdate"):
        return [not_supported("spec.strategy.type", kind, ("Recreate", "RollingUpdate"))]
    rolling = strategy.get("rollingUpdate")
    if kind == "Recreate":
        if rolling is not None:
            detail = "may not be specified when strategy `type` is 'Recreate'"
            errors.append(forbidden_field("spec.strategy.rollingUpdate", detail))
        return errors
    for field in ("maxUnavailable", "maxSurge"):
        errors += validate_share((rolling or {}).get(field, "25%"), f"spec.strategy.rollingUpdate.{field}")
    if not errors and all(
        is_zero((rolling or {}).get(field, "25%")) for field in ("maxUnavailable", "maxSurge")
    ):
        value = (rolling or {}).get("maxUnavailable")
        errors.append(
            invalid_value(
                "spec.strategy.rollingUpdate.maxUnavailable", value, "may not be 0 when `maxSurge` is 0"
            )
        )
    deadline, ready = spec.get("progressDeadlineSeconds", 600), spec.get("minReadySeconds", 0)
    if deadline <= ready:
        errors.append(
            invalid_value("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")
        )
    return errors


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
