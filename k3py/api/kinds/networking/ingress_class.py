"""Which controller serves an Ingress."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, NONE, column, field_column, value_at
from k3py.api.fielderror import invalid_value
from k3py.api.kind import BaseStrategy, Kind, StoragePolicy
from k3py.api.validation.ingress import validate_ingress_class
from k3py.api.validation.scalar import IMMUTABLE

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject


class IngressClassStrategy(BaseStrategy):
    """See the module."""

    has_generation = True

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check controller and parameters."""
        return validate_ingress_class(obj.get("spec") or {})

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """The controller stays."""
        controller = (new.get("spec") or {}).get("controller")
        errors = self.validate(new)
        if controller != (old.get("spec") or {}).get("controller"):
            errors.append(invalid_value("spec.controller", controller, IMMUTABLE))
        return errors


def _parameters(obj: JsonObject) -> str:
    found = value_at(obj, "spec.parameters")
    if not found:
        return NONE
    kind = (
        f"{found.get('kind', '')}.{found['apiGroup']}"
        if found.get("apiGroup") is not None
        else found.get("kind", "")
    )
    return f"{kind}/{found.get('name', '')}"


KIND: Final = Kind(
    group="networking.k8s.io",
    version="v1",
    kind="IngressClass",
    plural="ingressclasses",
    namespaced=False,
    schema="io.k8s.api.networking.v1.IngressClass",
    strategy=IngressClassStrategy(),
    columns=(NAME, field_column("Controller", "spec.controller"), column("Parameters", _parameters), AGE),
    storage=StoragePolicy(prefix="ingressclasses"),
    storage_version_hash="l/iqIbDgFyQ=",
)
