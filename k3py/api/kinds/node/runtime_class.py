"""Runtime classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, column
from k3py.api.fielderror import invalid_value
from k3py.api.kind import BaseStrategy, Kind, StoragePolicy
from k3py.api.names import find_label_faults
from k3py.api.validation.affinity import validate_tolerations
from k3py.api.validation.resources import validate_resources
from k3py.api.validation.scalar import check_text
from k3py.api.validation.selector import validate_labels

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject


class RuntimeClassStrategy(BaseStrategy):
    """Source: kubernetes/pkg/registry/node/runtimeclass/strategy.go v1.35."""

    create_on_update = True
    unconditional_update = False

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check handler, overhead and where its pods may run."""
        errors = check_text(obj.get("handler", ""), "handler", find_label_faults)
        overhead, scheduling = obj.get("overhead") or {}, obj.get("scheduling") or {}
        if overhead:
            errors += validate_resources({"limits": overhead.get("podFixed") or {}}, "overhead")
        errors += validate_labels(scheduling.get("nodeSelector"), "scheduling.nodeSelector")
        return errors + validate_tolerations(scheduling.get("tolerations") or (), "scheduling.tolerations")

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """The handler stays."""
        if new.get("handler") != old.get("handler"):
            return [invalid_value("handler", new.get("handler"), "field is immutable")]
        return []


KIND: Final = Kind(
    group="node.k8s.io",
    version="v1",
    kind="RuntimeClass",
    plural="runtimeclasses",
    singular="runtimeclass",
    list_kind="RuntimeClassList",
    namespaced=False,
    schema="io.k8s.api.node.v1.RuntimeClass",
    strategy=RuntimeClassStrategy(),
    columns=(NAME, column("Handler", lambda obj: obj.get("handler", "")), AGE),
    storage=StoragePolicy(prefix="runtimeclasses"),
    storage_version_hash="WQTu1GL3T2Q=",
)
