"""Checks the rules of a CustomResourceDefinition's schema: they compile, fit their place, and cannot cost too much.

Source: k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation/{validation,cel_validation}.go v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.cel.declarations import declare
from k3py.api.cel.errors import CompilationFault
from k3py.api.cel.field_path import parse_field_path
from k3py.api.cel.rules import compile_message, compile_rule
from k3py.api.cel.types import MOST_REQUEST_BYTES, UNBOUNDED
from k3py.api.fielderror import FieldError, forbidden_field, invalid_value, not_supported, required
from k3py.api.structural.rules import RULES, has_rules

if TYPE_CHECKING:
    from collections.abc import Iterator

    from k3py.api.cel.types import Declaration
    from k3py.jsontypes import JsonObject

RULE_LIMIT: Final = 10_000_000
TOTAL_LIMIT: Final = 100_000_000
_REASONS: Final = (
    "FieldValueDuplicate",
    "FieldValueForbidden",
    "FieldValueInvalid",
    "FieldValueRequired",
)


def validate_rules(schema: JsonObject, path: str) -> list[FieldError]:
    """Check all rules of a version's schema."""
    if not has_rules(schema):
        return []
    check = _Check()
    check.walk(schema, path, cardinality=1, uncorrelated="", is_root=True)
    if check.total > TOTAL_LIMIT:
        check.errors.append(
            forbidden_field(
                path,
                "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds budget by "
                f"factor of {_factor(check.total, TOTAL_LIMIT)} (try simplifying the rule, or adding maxItems, "
                "maxProperties, and maxLength where arrays, maps, and strings are declared)",
            )
        )
    return check.errors


class _Check:
    """errors, and the cost of all rules together."""

    def __init__(self) -> None:
        self.errors: list[FieldError] = []
        self.total = 0

    def walk(
        self,
        schema: JsonObject,
        path: str,
        *,
        cardinality: int | None,
        uncorrelated: str,
        is_root: bool = False,
    ) -> None:
        """Check the rules of a schema and below.

        cardinality: how often its value can be there, None = unknown. uncorrelated: path of the list whose entries have no old self.
        """
        if schema.get(RULES):
            self._check_rules(schema, path, cardinality, uncorrelated, is_root=is_root)
        for place, one, most, correlates in _inner(schema):
            self.walk(
                one,
                path + place,
                cardinality=None
                if cardinality is None or most is None
                else min(cardinality * most, UNBOUNDED),
                uncorrelated=uncorrelated or ("" if correlates else path),
            )

    def _check_rules(
        self, schema: JsonObject, path: str, cardinality: int | None, uncorrelated: str, *, is_root: bool
    ) -> None:
        is_resource = is_root or bool(schema.get("x-kubernetes-embedded-resource"))
        declaration = declare(schema, is_resource=is_resource)
        if declaration is None:
            self.errors.append(
                FieldError(f"{path}.{RULES}", "InternalError", "rules need a schema with a type")
            )
            return
        if cardinality is None:
            cardinality = MOST_REQUEST_BYTES // (declaration.least_bytes + 1)
        for index, rule in enumerate(schema[RULES]):
            place = f"{path}.{RULES}[{index}]"
            self.errors += _check_parts(rule, schema, place)
            self._check_program(rule, declaration, place, cardinality, uncorrelated)

    def _check_program(
        self, rule: JsonObject, declaration: Declaration, place: str, cardinality: int, uncorrelated: str
    ) -> None:
        uses_old = False
        if rule.get("rule", "").strip():
            try:
                program = compile_rule(rule, declaration)
            except CompilationFault as fault:
                self.errors.append(
                    invalid_value(f"{place}.rule", rule["rule"], f"compilation failed: {fault}")
                )
            else:
                uses_old = "oldSelf" in program.used
                self._add_cost(program.cost[1], cardinality, f"{place}.rule", "rule")
                if uses_old and uncorrelated:
                    text = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {uncorrelated}"
                    self.errors.append(invalid_value(f"{place}.rule", rule["rule"], text))
        if rule.get("optionalOldSelf") is not None and not uses_old:
            text = "option optionalOldSelf may not be set if oldSelf is not used in rule"
            self.errors.append(invalid_value(f"{place}.optionalOldSelf", rule["optionalOldSelf"], text))
        if (rule.get("messageExpression") or "").strip():
            try:
                message = compile_message(rule, declaration)
            except CompilationFault as fault:
                text = f"messageExpression compilation failed: {fault}"
                self.errors.append(
                    invalid_value(f"{place}.messageExpression", rule["messageExpression"], text)
                )
            else:
                self._add_cost(
                    message.cost[1], cardinality, f"{place}.messageExpression", "messageExpression"
                )

    def _add_cost(self, cost: int, cardinality: int, path: str, what: str) -> None:
        total = min(cost * cardinality, UNBOUNDED)
        self.total = min(self.total + total, UNBOUNDED)
        if total > RULE_LIMIT:
            self.errors.append(
                forbidden_field(
                    path,
                    f"estimated {what} cost exceeds budget by factor of {_factor(total, RULE_LIMIT)} (try simplifying "
                    "the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are "
                    "declared)",
                )
            )


def _factor(cost: int, limit: int) -> str:
    factor = cost / limit
    return "more than 100x" if factor > 100 else f"{factor:.1f}x"


def _inner(schema: JsonObject) -> Iterator[tuple[str, JsonObject, int | None, bool]]:
    """Yield schemas below: path, schema, how often it can be there in one value, whether old values can be found."""
    granular = schema.get("x-kubernetes-map-type") != "atomic"
    for key, one in (schema.get("properties") or {}).items():
        yield f".properties[{key}]", one, 1, granular
    if isinstance(one := schema.get("additionalProperties"), dict):
        yield ".additionalProperties", one, schema.get("maxProperties"), granular
    if isinstance(one := schema.get("items"), dict):
        yield ".items", one, schema.get("maxItems"), schema.get("x-kubernetes-list-type") == "map"


def _check_parts(rule: JsonObject, schema: JsonObject, place: str) -> list[FieldError]:
    errors: list[FieldError] = []
    text, message, expression = (rule.get(key) or "" for key in ("rule", "message", "messageExpression"))
    if not text.strip():
        errors.append(required(f"{place}.rule", "rule is not specified"))
    if message and not message.strip():
        errors.append(invalid_value(f"{place}.message", message, "message must be non-empty if specified"))
    elif "\n" in message.strip():
        errors.append(invalid_value(f"{place}.message", message, "message must not contain line breaks"))
    elif "\n" in text.strip() and not message.strip():
        errors.append(required(f"{place}.message", "message must be specified if rule contains line breaks"))
    if expression and not expression.strip():
        errors.append(
            required(f"{place}.messageExpression", "messageExpression must be non-empty if specified")
        )
    reason = rule.get("reason")
    if reason is not None and reason not in _REASONS:
        errors.append(not_supported(f"{place}.reason", reason, _REASONS))
    field = rule.get("fieldPath") or ""
    if field:
        try:
            parse_field_path(field, schema)
        except CompilationFault as fault:
            errors.append(invalid_value(f"{place}.fieldPath", field, str(fault)))
    return errors
