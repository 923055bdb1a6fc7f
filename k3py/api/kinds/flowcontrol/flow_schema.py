"""Which requests belong to which priority level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, NONE, column, field_column, value_at
from k3py.api.kind import Kind, StoragePolicy, Subresource
from k3py.api.strategy import GenerationStrategy
from k3py.api.validation.flow_control import validate_flow_schema, validate_flow_status

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject


class FlowSchemaStrategy(GenerationStrategy):
    """Source: kubernetes/pkg/registry/flowcontrol/flowschema/strategy.go v1.35."""

    status_keeps = ("labels", "annotations", "finalizers", "ownerReferences")

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check what it matches, and that those that every server has stay as they are."""
        return validate_flow_schema(obj)

    def validate_status_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Each condition once."""
        return validate_flow_status(new)


def _dangling(obj: JsonObject) -> str:
    for condition in value_at(obj, "status.conditions", ()):
        if condition.get("type") == "Dangling":
            return str(condition.get("status", ""))
    return "?"


KIND: Final = Kind(
    group="flowcontrol.apiserver.k8s.io",
    version="v1",
    kind="FlowSchema",
    plural="flowschemas",
    namespaced=False,
    schema="io.k8s.api.flowcontrol.v1.FlowSchema",
    strategy=FlowSchemaStrategy(),
    subresources=(Subresource(name="status", verbs=("get", "patch", "update")),),
    columns=(
        NAME,
        field_column("PriorityLevel", "spec.priorityLevelConfiguration.name"),
        field_column("MatchingPrecedence", "spec.matchingPrecedence", 0),
        field_column("DistinguisherMethod", "spec.distinguisherMethod.type", NONE),
        AGE,
        column("MissingPL", _dangling),
    ),
    storage=StoragePolicy(prefix="flowschemas"),
    storage_version_hash="GJVAJZSZBIw=",
)
