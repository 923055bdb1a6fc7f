"""How many requests of a priority level may run at once, and how the others wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, NONE, column, field_column, value_at
from k3py.api.kind import Kind, StoragePolicy, Subresource
from k3py.api.strategy import GenerationStrategy
from k3py.api.validation.flow_control import validate_flow_status, validate_priority_level

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject, JsonValue


class PriorityLevelConfigurationStrategy(GenerationStrategy):
    """Source: kubernetes/pkg/registry/flowcontrol/prioritylevelconfiguration/strategy.go v1.35."""

    status_keeps = ("labels", "annotations", "finalizers", "ownerReferences")

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check limits, and that those that every server has stay as they are."""
        return validate_priority_level(obj)

    def validate_status_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Each condition once."""
        return validate_flow_status(new)


def _shares(obj: JsonObject) -> JsonValue:
    exempt = value_at(obj, "spec.exempt.nominalConcurrencyShares", NONE)
    return value_at(obj, "spec.limited.nominalConcurrencyShares", exempt)


_QUEUING: Final = "spec.limited.limitResponse.queuing"

KIND: Final = Kind(
    group="flowcontrol.apiserver.k8s.io",
    version="v1",
    kind="PriorityLevelConfiguration",
    plural="prioritylevelconfigurations",
    namespaced=False,
    schema="io.k8s.api.flowcontrol.v1.PriorityLevelConfiguration",
    strategy=PriorityLevelConfigurationStrategy(),
    subresources=(Subresource(name="status", verbs=("get", "patch", "update")),),
    columns=(
        NAME,
        field_column("Type", "spec.type"),
        column("NominalConcurrencyShares", _shares),
        field_column("Queues", f"{_QUEUING}.queues", NONE),
        field_column("HandSize", f"{_QUEUING}.handSize", NONE),
        field_column("QueueLengthLimit", f"{_QUEUING}.queueLengthLimit", NONE),
        AGE,
    ),
    storage=StoragePolicy(prefix="prioritylevelconfigurations"),
    storage_version_hash="Kir5PVfvNeI=",
)
