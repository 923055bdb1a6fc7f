"""Label and field selectors: parsing, matching, and the LabelSelector object of specs.

Source: k8s.io/apimachinery/pkg/labels and pkg/fields v0.35. Selectors are immutable and hashable.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.api.names import find_label_value_faults, find_qualified_name_faults

if TYPE_CHECKING:
    from collections.abc import Mapping

    from k3py.jsontypes import JsonObject

_TOKEN: Final = re.compile(r"\s*(!=|==|=|!|\(|\)|,|<|>|[^\s!=(),<>]+)")
# What is no identifier; "" stands for the end.
_MARKS: Final = ("", "!=", "==", "=", "!", "(", ")", ",", "<", ">")


class SelectorError(ValueError):
    """A selector that cannot be parsed; the text names what is wrong."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One term; operator is "in", "notin", "exists", "!", "gt" or "lt"."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Say whether `labels` satisfy the term; "notin" is also satisfied by a missing key."""
        value = labels.get(self.key)
        match self.operator:
            case "in":
                return value is not None and value in self.values
            case "notin":
                return value is None or value not in self.values
            case "exists":
                return value is not None
            case "!":
                return value is None
        if value is None or not value.lstrip("-").isdigit():
            return False
        bound = int(self.values[0])
        return int(value) > bound if self.operator == "gt" else int(value) < bound

    def __str__(self) -> str:
        match self.operator:
            case "exists":
                return self.key
            case "!":
                return f"!{self.key}"
            case "in" if len(self.values) == 1:
                return f"{self.key}={self.values[0]}"
            case "notin" if len(self.values) == 1:
                return f"{self.key}!={self.values[0]}"
            case "gt" | "lt":
                return f"{self.key}{'>' if self.operator == 'gt' else '<'}{self.values[0]}"
        return f"{self.key} {self.operator} ({','.join(sorted(self.values))})"


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """A conjunction of requirements; without any it matches everything."""

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Say whether an object with these labels is selected."""
        return not self.nothing and all(one.matches(labels) for one in self.requirements)

    def __str__(self) -> str:
        return ",".join(str(one) for one in self.requirements)


@dataclass(frozen=True, slots=True)
class FieldTerm:
    """One comparison of a field selector."""

    field: str
    value: str
    equal: bool = True


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """A conjunction of comparisons."""

    terms: tuple[FieldTerm, ...] = ()

    def matches(self, fields: Mapping[str, str]) -> bool:
        """Say whether an object with these field values is selected; an unknown field counts as ""."""
        return all((fields.get(term.field, "") == term.value) is term.equal for term in self.terms)

    def find_exact(self, field: str) -> str | None:
        """Return the value that `field` must have, if the selector pins it."""
        return next((term.value for term in self.terms if term.field == field and term.equal), None)

    def __str__(self) -> str:
        return ",".join(f"{t.field}{'=' if t.equal else '!='}{_escape(t.value)}" for t in self.terms)


EVERYTHING: Final = LabelSelector()
NOTHING: Final = LabelSelector(nothing=True)


def parse_label_selector(text: str) -> LabelSelector:
    """Parse `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1`.

    Raises:
        SelectorError: the text is not a selector.
    """
    tokens = _tokenize(text)
    requirements: list[Requirement] = []
    at = 0
    while at < len(tokens):
        if tokens[at] in _MARKS and tokens[at] != "!":
            raise SelectorError(f"found '{tokens[at]}', expected: !, identifier, or 'end of string'")
        try:
            requirement, at = _parse_requirement(tokens, at)
        except SelectorError as error:
            raise SelectorError(f"unable to parse requirement: {error}") from error
        requirements.append(requirement)
        if at < len(tokens):
            if tokens[at] != ",":
                raise SelectorError(f"found '{tokens[at]}', expected: ',' or 'end of string'")
            at += 1
            if _at(tokens, at) in _MARKS and _at(tokens, at) != "!":
                raise SelectorError(f"found '{_at(tokens, at)}', expected: identifier after ','")
    return LabelSelector(tuple(sorted(requirements, key=lambda one: one.key)))


def _tokenize(text: str) -> list[str]:
    tokens, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise SelectorError(f"unable to parse requirement: found '{text[at:]}'")
        tokens.append(match.group(1))
        at = match.end()
    return tokens


def _parse_requirement(tokens: list[str], at: int) -> tuple[Requirement, int]:
    if tokens[at] == "!":
        key = tokens[at + 1] if at + 1 < len(tokens) else ""
        return _checked(key, "!", ()), at + 2
    key = tokens[at]
    at += 1
    operator = tokens[at] if at < len(tokens) else ","
    if operator == ",":
        return _checked(key, "exists", ()), at
    if operator in ("=", "==", "!=", "<", ">"):
        at += 1
        value = ""
        if at < len(tokens) and tokens[at] != ",":
            value = tokens[at]
            at += 1
        name = {"!=": "notin", "<": "lt", ">": "gt"}.get(operator, "in")
        return _checked(key, name, (value,)), at
    if operator in ("in", "notin"):
        values, at = _parse_values(tokens, at + 1)
        return _checked(key, operator, values), at
    raise SelectorError(f"found '{operator}', expected: in, notin, =, ==, !=, gt, lt")


def _parse_values(tokens: list[str], at: int) -> tuple[tuple[str, ...], int]:
    """Parse `(a,b)` at `at`; an empty place between commas or brackets is the empty value."""
    if (found := _at(tokens, at)) != "(":
        raise SelectorError(f"found '{found}' expected: '('")
    at += 1
    if (found := _at(tokens, at)) == ")":
        return ("",), at + 1
    if found in _MARKS and found != ",":
        raise SelectorError(f"found '{found}', expected: ',', ')' or identifier")
    values: list[str] = []
    while True:
        value = ""
        if _at(tokens, at) not in (",", ")"):
            value = _at(tokens, at)
            if value in _MARKS:
                raise SelectorError(f"found '{value}', expected: ',', or identifier")
            at += 1
        values.append(value)
        end = _at(tokens, at)
        at += 1
        if end == ")":
            return tuple(dict.fromkeys(values)), at
        if end != ",":
            raise SelectorError(f"found '{end}', expected: ',' or ')'")


def _at(tokens: list[str], at: int) -> str:
    return tokens[at] if at < len(tokens) else ""


def _checked(key: str, operator: str, values: tuple[str, ...]) -> Requirement:
    if faults := find_qualified_name_faults(key):
        raise SelectorError(f'<nil>: Invalid value: "{key}": {"; ".join(faults)}')
    if operator in ("gt", "lt"):
        if not values[0].lstrip("-").isdigit():
            raise SelectorError(f'values[0]: Invalid value: "{values[0]}": must be an integer')
        return Requirement(key, operator, values)
    for value in values:
        if faults := find_label_value_faults(value):
            raise SelectorError(f'values[0][{key}]: Invalid value: "{value}": {"; ".join(faults)}')
    return Requirement(key, operator, values)


def parse_field_selector(text: str) -> FieldSelector:
    r"""Parse `a=b,c==d,e!=f`; a backslash escapes comma, equals sign and backslash in values.

    Raises:
        SelectorError: the text is not a field selector.
    """
    terms = []
    for part in re.split(r"(?<!\\),", text):
        if not part:
            continue
        match = re.match(r"((?:\\.|[^=!\\])*)(!=|==|=)(.*)\Z", part, re.DOTALL)
        if match is None:
            raise SelectorError(f"invalid selector: '{text}'; can't understand '{part}'")
        field, operator, value = match.groups()
        if re.search(r"(?<!\\)=", value):
            raise SelectorError(f"invalid field selector: unescaped '=' in '{value}'")
        terms.append(FieldTerm(field.strip(), re.sub(r"\\(.)", r"\1", value), operator != "!="))
    return FieldSelector(tuple(terms))


def selector_from_object(selector: JsonObject | None) -> LabelSelector:
    """Turn a LabelSelector object (matchLabels, matchExpressions) into a selector; None selects nothing, {} everything.

    Raises:
        SelectorError: unknown operator.
    """
    if selector is None:
        return NOTHING
    terms = [Requirement(k, "in", (v,)) for k, v in (selector.get("matchLabels") or {}).items()]
    for expression in selector.get("matchExpressions") or ():
        operator = _OPERATORS.get(expression.get("operator", ""))
        if operator is None:
            raise SelectorError(f'"{expression.get("operator", "")}" is not a valid label selector operator')
        terms.append(Requirement(expression["key"], operator, tuple(expression.get("values") or ())))
    return LabelSelector(tuple(sorted(terms, key=lambda one: one.key)))


_OPERATORS: Final = {
    "In": "in",
    "NotIn": "notin",
    "Exists": "exists",
    "DoesNotExist": "!",
    "Gt": "gt",
    "Lt": "lt",
}


def selector_from_map(labels: Mapping[str, str]) -> LabelSelector:
    """Select objects that carry all of `labels` (Services, ReplicationControllers)."""
    return LabelSelector(tuple(Requirement(k, "in", (v,)) for k, v in sorted(labels.items())))


def _escape(value: str) -> str:
    return re.sub(r"([\\,=])", r"\\\1", value)
