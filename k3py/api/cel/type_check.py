"""Checks a policy's expressions against the types of what it is about; it only warns, since the types may change.

Source: k8s.io/apiserver/pkg/admission/plugin/policy/validating/typechecking.go v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.cel.admission import Environment
from k3py.api.cel.errors import CompilationFault
from k3py.api.cel.types import DYNAMIC

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from k3py.api.cel.types import Declaration
    from k3py.jsontypes import JsonObject


def find_type_warnings(
    spec: JsonObject, objects: Sequence[tuple[str, Declaration]], params: Declaration = DYNAMIC
) -> list[JsonObject]:
    """Return expressionWarnings for a policy's spec; `objects`: (kind as shown, its type). Warnings are in the order of fields."""
    environments = [(shown, _environment(spec, one, params)) for shown, one in objects]
    warnings: list[JsonObject] = []
    for index, one in enumerate(spec.get("validations") or ()):
        for field, compiler in (
            ("expression", Environment.compile_validation),
            ("messageExpression", Environment.compile_message),
        ):
            text = (one.get(field) or "").strip()
            faults = _find_faults(text, compiler, environments) if text else []
            if faults:
                place = f"spec.validations[{index}].{field}"
                warnings.append({"fieldRef": place, "warning": "\n".join(faults)})
    return warnings


def _environment(spec: JsonObject, objects: Declaration, params: Declaration) -> Environment:
    environment = Environment(has_params=spec.get("paramKind") is not None, objects=objects, params=params)
    for one in spec.get("variables") or ():
        try:
            _ = environment.add_variable(one["name"], one["expression"])
        except CompilationFault:
            environment.assume_variable(one["name"])  # its faults are not those of who uses it
    return environment


def _find_faults(
    text: str,
    compiler: Callable[[Environment, str], object],
    environments: Sequence[tuple[str, Environment]],
) -> list[str]:
    faults = []
    for shown, environment in environments:
        try:
            _ = compiler(environment, text)
        except CompilationFault as fault:
            faults.append(f"{shown}: {fault}")
    return faults
