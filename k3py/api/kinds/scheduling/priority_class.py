"""Priority classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, column
from k3py.api.fielderror import forbidden_field, invalid_value
from k3py.api.kind import BaseStrategy, Kind, StoragePolicy
from k3py.api.validation.scalar import check_known

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.api.kind import WriteContext
    from k3py.jsontypes import JsonObject


class PriorityClassStrategy(BaseStrategy):
    """Source: kubernetes/pkg/registry/scheduling/priorityclass/strategy.go v1.35."""

    def prepare_create(self, obj: JsonObject, context: WriteContext) -> None:
        """The generation is 1, for good."""
        super().prepare_create(obj, context)
        obj["metadata"]["generation"] = 1

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Names and values of the system's classes are reserved."""
        policy = obj.get("preemptionPolicy")
        errors = check_known(policy, "preemptionPolicy", _POLICIES) if policy is not None else []
        return errors + self._validate_value(obj)

    def _validate_value(self, obj: JsonObject) -> list[FieldError]:
        name = str(obj["metadata"].get("name", ""))
        value = obj.get("value", 0)
        if name.startswith("system-"):
            if _SYSTEM.get(name) != value:
                return [
                    forbidden_field(
                        "metadata.name",
                        "priority class names with 'system-' prefix are reserved for system use only",
                    )
                ]
        elif value > _HIGHEST:
            return [
                forbidden_field("value", f"maximum allowed value of a user defined priority is {_HIGHEST}")
            ]
        return []

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Value and policy stay."""
        errors: list[FieldError] = []
        if new.get("value", 0) != old.get("value", 0):
            errors.append(forbidden_field("value", "may not be changed in an update."))
        if new.get("preemptionPolicy") != old.get("preemptionPolicy"):
            errors.append(
                invalid_value("preemptionPolicy", new.get("preemptionPolicy"), "field is immutable")
            )
        return errors


_POLICIES: Final = ("Never", "PreemptLowerPriority")
_SYSTEM: Final = {"system-cluster-critical": 2000000000, "system-node-critical": 2000001000}
_HIGHEST: Final = 1000000000


KIND: Final = Kind(
    group="scheduling.k8s.io",
    version="v1",
    kind="PriorityClass",
    plural="priorityclasses",
    singular="priorityclass",
    list_kind="PriorityClassList",
    short_names=("pc",),
    namespaced=False,
    schema="io.k8s.api.scheduling.v1.PriorityClass",
    strategy=PriorityClassStrategy(),
    columns=(
        NAME,
        column("Value", lambda obj: obj.get("value", 0), kind="integer"),
        column("Global-Default", lambda obj: bool(obj.get("globalDefault")), kind="boolean"),
        AGE,
        column("PreemptionPolicy", lambda obj: obj.get("preemptionPolicy", "")),
    ),
    storage=StoragePolicy(prefix="priorityclasses"),
    storage_version_hash="1QwjyaZjj3Y=",
)
