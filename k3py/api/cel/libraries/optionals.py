"""Optional values; the syntax for them is the evaluator's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.cel.errors import EvaluationFault
from k3py.api.cel.overload import Overload, member
from k3py.api.cel.types import BOOL, INT, PARAM_A, PARAM_B, list_of, map_of, optional_of
from k3py.api.cel.values import ABSENT, Optional

if TYPE_CHECKING:
    from k3py.jsontypes import JsonValue

_ANY: Final = optional_of(PARAM_A)


def _value(one: Optional) -> JsonValue:
    if not one.present:
        raise EvaluationFault("optional.none() dereference")
    return one.value


def _of_non_zero(value: JsonValue) -> Optional:
    return Optional(present=True, value=value) if value or (isinstance(value, bool) and value) else ABSENT


OVERLOADS: Final = (
    Overload("optional.of", (PARAM_A,), _ANY, lambda value: Optional(present=True, value=value)),
    Overload("optional.none", (), _ANY, lambda: ABSENT),
    Overload("optional.ofNonZeroValue", (PARAM_A,), _ANY, _of_non_zero),
    member("hasValue", (_ANY,), BOOL, lambda one: one.present),
    member("value", (_ANY,), PARAM_A, _value),
    member("or", (_ANY, _ANY), _ANY, lambda one, other: one if one.present else other),
    member("orValue", (_ANY, PARAM_A), PARAM_A, lambda one, other: one.value if one.present else other),
    Overload(
        "_[?_]", (list_of(PARAM_A), INT), _ANY,
        lambda values, at: Optional(present=True, value=values[at]) if 0 <= at < len(values) else ABSENT,
    ),
    Overload(
        "_[?_]", (map_of(PARAM_A, PARAM_B), PARAM_A), optional_of(PARAM_B),
        lambda values, key: Optional(present=True, value=values[key]) if key in values else ABSENT,
    ),
)  # fmt: skip
