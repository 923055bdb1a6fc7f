"""Rules, as expressions, about what may be written.

Source: kubernetes/pkg/registry/admissionregistration/validatingadmissionpolicy v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, UNSET, column, value_at
from k3py.api.fielderror import required
from k3py.api.kind import Kind, StoragePolicy, Subresource
from k3py.api.strategy import StatusStrategy

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject


class ValidatingAdmissionPolicyStrategy(StatusStrategy):
    """See the module."""

    has_generation = True
    unconditional_update = False

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check the rules and that their expressions compile."""
        return _validate(obj, None)

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Check a changed spec."""
        return _validate(new, old)

    def validate_status_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Check what is warned of."""
        warnings = value_at(new, "status.typeChecking.expressionWarnings", ())
        return [
            required(f"status.typeChecking.expressionWarnings[{index}].{key}")
            for index, one in enumerate(warnings)
            for key in ("warning", "fieldRef")
            if not one.get(key)
        ]


def _validate(obj: JsonObject, old: JsonObject | None) -> list[FieldError]:
    from k3py.api.validation.admission_policy import validate_policy  # noqa: PLC0415 - brings the expression language

    return validate_policy(obj, old)


def _param_kind(obj: JsonObject) -> str:
    found = value_at(obj, "spec.paramKind")
    return f"{found.get('apiVersion', '')}/{found.get('kind', '')}" if found is not None else UNSET


KIND: Final = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    kind="ValidatingAdmissionPolicy",
    plural="validatingadmissionpolicies",
    categories=("api-extensions",),
    namespaced=False,
    schema="io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicy",
    strategy=ValidatingAdmissionPolicyStrategy(),
    subresources=(Subresource(name="status", verbs=("get", "patch", "update")),),
    columns=(
        NAME,
        column("Validations", lambda obj: len(value_at(obj, "spec.validations", ())), kind="integer"),
        column("ParamKind", _param_kind),
        AGE,
    ),
    storage=StoragePolicy(prefix="validatingadmissionpolicies"),
    storage_version_hash="6OxvlMmQ6is=",
)
