"""x-kubernetes-validations of a schema, run over objects: compiled at first use, with transition rules and ratcheting.

Source: k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/{compilation,validation}.go v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.cel.declarations import declare
from k3py.api.cel.errors import CompilationFault, CostExceeded, EvaluationFault
from k3py.api.cel.field_path import parse_field_path
from k3py.api.cel.program import compile_expression
from k3py.api.cel.types import BOOL, STRING, Declaration, optional_of
from k3py.api.cel.values import ABSENT, Optional
from k3py.api.fielderror import FieldError
from k3py.api.structural.numbers import is_equal
from k3py.api.structural.rules import RULES, has_rules
from k3py.api.structural.values import key_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3py.api.cel.program import Program
    from k3py.jsontypes import JsonObject, JsonValue

BUDGET: Final = 10_000_000
CALL_LIMIT: Final = 1_000_000
_MOST_MESSAGE: Final = 5 * 1024
_NONE: Final = object()
_NO_PATH: Final = "<nil>"


def compile_rule(rule: JsonObject, declaration: Declaration) -> Program:
    """Compile the rule itself. Raises CompilationFault."""
    return compile_expression(rule.get("rule", ""), variables_of(rule, declaration), result=BOOL)


def compile_message(rule: JsonObject, declaration: Declaration) -> Program:
    """Compile the messageExpression. Raises CompilationFault."""
    return compile_expression(rule["messageExpression"], variables_of(rule, declaration), result=STRING)


def variables_of(rule: JsonObject, declaration: Declaration) -> dict[str, Declaration]:
    """Return what a rule may refer to."""
    old = declaration
    if rule.get("optionalOldSelf"):
        old = Declaration(
            optional_of(declaration.type),
            fields=declaration.fields,
            names=declaration.names,
            element=declaration,
        )
    return {"self": declaration, "oldSelf": old}


class _Rule:
    """One compiled rule."""

    __slots__ = ("field", "message", "optional_old", "program", "reason", "text", "uses_old", "words")

    def __init__(self, rule: JsonObject, declaration: Declaration) -> None:
        self.text: str = rule.get("rule", "").strip()
        self.program = compile_rule(rule, declaration)
        self.uses_old = "oldSelf" in self.program.used
        self.optional_old = bool(rule.get("optionalOldSelf"))
        self.reason: str = rule.get("reason") or "FieldValueInvalid"
        self.words: str = (rule.get("message") or "").strip() or f"failed rule: {self.text}"
        self.message = compile_message(rule, declaration) if rule.get("messageExpression") else None
        self.field = parse_field_path(rule["fieldPath"]) if rule.get("fieldPath") else ""


class RuleSet:
    """The rules of a schema and of all below; `is_root`: it is a resource's schema."""

    def __init__(self, schema: JsonObject, *, is_root: bool) -> None:
        self._node = _compile(schema, is_root=is_root)

    def run(self, value: JsonValue, old: JsonValue | None) -> list[FieldError]:
        """Return what the rules find wrong with a value; `old` None: it is new."""
        if self._node is None:
            return []
        run = _Run()
        self._node.check(run, value, _NONE if old is None else old, "")
        return run.errors


class _Run:
    """One object's errors and what is left of its budget."""

    __slots__ = ("budget", "errors")

    def __init__(self) -> None:
        self.budget = BUDGET
        self.errors: list[FieldError] = []


def _compile(schema: JsonObject, *, is_root: bool = False) -> _Node | None:
    if not has_rules(schema):
        return None
    return _Node(schema, is_root=is_root or bool(schema.get("x-kubernetes-embedded-resource")))


class _Node:
    """A schema with rules at it or below it."""

    def __init__(self, schema: JsonObject, *, is_root: bool) -> None:
        self._kind: str = schema.get("type") or ""
        self._convert: Callable[[JsonValue], JsonValue] | None = None
        self._rules: list[_Rule] = []
        self._fault = ""
        if schema.get(RULES):
            self._compile_rules(schema, is_root=is_root)
        properties = schema.get("properties") or {}
        self._properties = {
            key: node for key, one in properties.items() if (node := _compile(one)) is not None
        }
        additional = schema.get("additionalProperties")
        self._rest = _compile(additional) if isinstance(additional, dict) else None
        self._known = frozenset(properties)
        self._granular = schema.get("x-kubernetes-map-type") != "atomic"
        items = schema.get("items")
        self._items = _compile(items) if isinstance(items, dict) else None
        keyed = schema.get("x-kubernetes-list-type") == "map"
        self._keys = tuple(schema.get("x-kubernetes-list-map-keys") or ()) if keyed else ()

    def _compile_rules(self, schema: JsonObject, *, is_root: bool) -> None:
        declaration = declare(schema, is_resource=is_root)
        if declaration is None:
            self._fault = "rules need a type"
            return
        self._convert = declaration.convert
        try:
            self._rules = [_Rule(one, declaration) for one in schema[RULES]]
        except CompilationFault as fault:
            self._fault = f"rule compile error: {fault}"

    def check(self, run: _Run, value: JsonValue, old: JsonValue, path: str) -> None:
        """Run the rules here, then those below; `old` is _NONE when nothing corresponds."""
        if value is None or run.budget < 0:
            return
        if self._fault:
            run.errors.append(FieldError(path or _NO_PATH, "InternalError", self._fault))
        if self._rules:
            self._run_rules(run, value, old, path)
        if isinstance(value, dict):
            self._check_object(run, value, old if isinstance(old, dict) else {}, path)
        elif isinstance(value, list) and self._items is not None:
            twins = {}
            if self._keys and isinstance(old, list):
                twins = {key_of(one, self._keys): one for one in old}
            for index, entry in enumerate(value):
                twin = twins.get(key_of(entry, self._keys), _NONE) if twins else _NONE
                self._items.check(run, entry, twin, f"{path}[{index}]")

    def _check_object(self, run: _Run, value: JsonObject, old: JsonObject, path: str) -> None:
        former = old if self._granular else {}
        for key, node in self._properties.items():
            if key in value:
                node.check(run, value[key], former.get(key, _NONE), f"{path}.{key}" if path else key)
        if self._rest is not None:
            for key, one in value.items():
                if key not in self._known:
                    self._rest.check(run, one, former.get(key, _NONE), f"{path}[{key}]")

    def _run_rules(self, run: _Run, value: JsonValue, old: JsonValue, path: str) -> None:
        is_new = old is _NONE or old is None
        unchanged = not is_new and is_equal(value, old)
        place = path or _NO_PATH
        try:
            convert = self._convert
            current, former = value, None if is_new else old
            if convert is not None:
                current, former = convert(value), None if is_new else convert(old)
        except EvaluationFault as fault:
            run.errors.append(FieldError(place, "FieldValueInvalid", str(fault), self._kind))
            return
        for rule in self._rules:
            if rule.optional_old:
                previous: JsonValue = ABSENT if is_new else Optional(present=True, value=former)
            elif rule.uses_old and is_new:
                continue
            else:
                previous = former
            error = self._run_rule(run, rule, {"self": current, "oldSelf": previous}, path)
            if error is not None and (rule.uses_old or not unchanged):
                run.errors.append(error)
            if run.budget < 0:
                return

    def _run_rule(
        self, run: _Run, rule: _Rule, variables: dict[str, JsonValue], path: str
    ) -> FieldError | None:
        place = path or _NO_PATH
        try:
            passed, cost = rule.program.run(variables, limit=min(CALL_LIMIT, run.budget))
        except CostExceeded as fault:
            run.budget = -1
            text = f"'{fault}': no further validation rules will be run due to call cost exceeds limit for rule: {rule.text}"
            return FieldError(place, "FieldValueInvalid", text, self._kind)
        except EvaluationFault as fault:
            if str(fault).startswith("no such overload"):
                text = (
                    f"'{fault}': call arguments did not match a supported operator, function or macro signature "
                    f"for rule: {rule.text}"
                )
            else:
                text = f"{fault} evaluating rule: {rule.text}"
            return FieldError(place, "FieldValueInvalid", text, self._kind)
        run.budget -= cost
        if run.budget < 0:
            text = (
                "validation failed due to running out of cost budget, no further validation rules will be run"
            )
            return FieldError(place, "FieldValueInvalid", text, self._kind)
        if passed is True:
            return None
        detail = self._message(run, rule, variables)
        where = path + rule.field if path else rule.field.removeprefix(".") or _NO_PATH
        return FieldError(where, rule.reason, detail)

    @staticmethod
    def _message(run: _Run, rule: _Rule, variables: dict[str, JsonValue]) -> str:
        if rule.message is None:
            return rule.words
        try:
            text, cost = rule.message.run(variables, limit=min(CALL_LIMIT, max(run.budget, 0)))
        except (EvaluationFault, CostExceeded):
            return rule.words
        run.budget -= cost
        if not isinstance(text, str) or not text.strip() or "\n" in text.strip() or len(text) > _MOST_MESSAGE:
            return rule.words
        return text.strip()
