"""Where a policy is in force, with which parameters, and what follows from a violation.

Source: kubernetes/pkg/registry/admissionregistration/validatingadmissionpolicybinding v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, UNSET, column, field_column, value_at
from k3py.api.kind import BaseStrategy, Kind, StoragePolicy
from k3py.api.validation.admission_binding import validate_binding

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject


class ValidatingAdmissionPolicyBindingStrategy(BaseStrategy):
    """See the module."""

    has_generation = True
    unconditional_update = False

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check the spec."""
        return validate_binding(obj.get("spec") or {})


def _param_ref(obj: JsonObject) -> str:
    found = value_at(obj, "spec.paramRef")
    if found is None:
        return UNSET
    namespace, name = found.get("namespace") or "", found.get("name") or ""
    return f"{namespace}/{name}" if namespace else str(name)


KIND: Final = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    kind="ValidatingAdmissionPolicyBinding",
    plural="validatingadmissionpolicybindings",
    categories=("api-extensions",),
    namespaced=False,
    schema="io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicyBinding",
    strategy=ValidatingAdmissionPolicyBindingStrategy(),
    columns=(
        NAME,
        field_column("PolicyName", "spec.policyName"),
        column("ParamRef", _param_ref),
        AGE,
    ),
    storage=StoragePolicy(prefix="validatingadmissionpolicybindings"),
    storage_version_hash="v9715VZqakg=",
)
