"""How many pods may be missing at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from k3py.api.columns import AGE, NAME, column, field_column, value_at
from k3py.api.fielderror import invalid_value
from k3py.api.kind import Kind, StoragePolicy, Subresource
from k3py.api.strategy import WorkloadStrategy
from k3py.api.validation.scalar import check_known
from k3py.api.validation.selector import validate_selector
from k3py.api.validation.workload import check_at_most_all, check_counts, check_share

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject


class PodDisruptionBudgetStrategy(WorkloadStrategy):
    """See the module."""

    unconditional_update = False
    empty_status: ClassVar[JsonObject] = {
        "disruptionsAllowed": 0,
        "currentHealthy": 0,
        "desiredHealthy": 0,
        "expectedPods": 0,
    }

    def validate_name(self, name: str) -> list[str]:
        """Upstream does not check it."""
        return []

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """One of two ways to say how many pods must stay."""
        spec = obj.get("spec") or {}
        errors: list[FieldError] = []
        if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
            detail = "minAvailable and maxUnavailable cannot be both set"
            errors.append(invalid_value("spec", spec, detail))
        for field in ("minAvailable", "maxUnavailable"):
            if spec.get(field) is not None:
                path = f"spec.{field}"
                errors += check_share(spec[field], path) + check_at_most_all(spec[field], path)
        if spec.get("selector") is not None:
            errors += validate_selector(spec["selector"], "spec.selector")
        if spec.get("unhealthyPodEvictionPolicy") is not None:
            policy = spec["unhealthyPodEvictionPolicy"]
            errors += check_known(policy, "spec.unhealthyPodEvictionPolicy", _POLICIES)
        return errors

    def validate_status_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Counts are not negative."""
        return check_counts(new.get("status") or {}, "status", self.empty_status)


_POLICIES: Final = ("AlwaysAllow", "IfHealthyBudget")


KIND: Final = Kind(
    group="policy",
    version="v1",
    kind="PodDisruptionBudget",
    plural="poddisruptionbudgets",
    short_names=("pdb",),
    schema="io.k8s.api.policy.v1.PodDisruptionBudget",
    strategy=PodDisruptionBudgetStrategy(),
    subresources=(
        Subresource(
            name="status",
            verbs=(
                "get",
                "patch",
                "update",
            ),
        ),
    ),
    columns=(
        NAME,
        column("Min Available", lambda obj: str(value_at(obj, "spec.minAvailable", "N/A"))),
        column("Max Unavailable", lambda obj: str(value_at(obj, "spec.maxUnavailable", "N/A"))),
        field_column("Allowed Disruptions", "status.disruptionsAllowed", 0, kind="integer"),
        AGE,
    ),
    storage=StoragePolicy(prefix="poddisruptionbudgets"),
    storage_version_hash="EVWiDmWqyJw=",
)
