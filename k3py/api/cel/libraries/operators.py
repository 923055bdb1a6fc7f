"""Operators and size(). The logical ones, conditionals and optional syntax are the evaluator's own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from k3py.api.cel.errors import EvaluationFault
from k3py.api.cel.libraries.times import add_time, subtract_times
from k3py.api.cel.overload import (
    Overload,
    Size,
    appending,
    comparing,
    constant,
    joining,
    member,
    scale,
)  # fmt: skip
from k3py.api.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    INT,
    NUMBERS,
    PARAM_A,
    PARAM_B,
    STRING,
    TIMESTAMP,
    UINT,
    list_of,
    map_of,
)  # fmt: skip
from k3py.api.cel.values import (
    MapList,
    SetList,
    checked_duration,
    checked_int,
    checked_uint,
    compare,
    is_equal,
)  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from k3py.jsontypes import JsonValue

_ORDERED: Final = (BOOL, INT, UINT, DOUBLE, STRING, BYTES, TIMESTAMP, DURATION)


def _order(test: Callable[[int], bool]) -> Callable[[JsonValue, JsonValue], bool]:
    return lambda one, other: test(compare(one, other))


_ORDER: Final = {
    "_<_": _order(lambda sign: sign == -1),
    "_<=_": _order(lambda sign: sign in (-1, 0)),
    "_>_": _order(lambda sign: sign == 1),
    "_>=_": _order(lambda sign: sign in (0, 1)),
}


def _divide(one: int, other: int) -> int:
    if other == 0:
        raise EvaluationFault("division by zero")
    quotient = abs(one) // abs(other)
    return checked_int(quotient if (one < 0) is (other < 0) else -quotient)


def _remainder(one: int, other: int) -> int:
    if other == 0:
        raise EvaluationFault("modulus by zero")
    return checked_int(one - other * _divide(one, other))


def _divide_doubles(one: float, other: float) -> float:
    if other == 0:
        if one == 0 or math.isnan(one):
            return math.nan
        return math.copysign(math.inf, one) * math.copysign(1.0, other)
    return one / other


def _unsigned(function: Callable[[int, int], int]) -> Callable[[int, int], int]:
    return lambda one, other: checked_uint(function(int(one), int(other)))


def _add_lists(one: list[JsonValue], other: list[JsonValue]) -> list[JsonValue]:
    """Source: k8s.io/apiserver/pkg/cel/common/values.go: sets take what they have not, maps replace by key."""
    if isinstance(one, SetList):
        return SetList([*one, *(entry for entry in other if not any(is_equal(entry, own) for own in one))])
    if isinstance(one, MapList):
        merged = {one.key_of(entry): entry for entry in one}
        merged.update((one.key_of(entry), entry) for entry in other)
        return MapList(list(merged.values()), one.keys)
    return [*one, *other]


def _is_in_list(value: JsonValue, values: Sequence[JsonValue]) -> bool:
    return any(is_equal(value, one) for one in values)


def _look_up_list(values: Sequence[JsonValue], index: JsonValue) -> JsonValue:
    if isinstance(index, float) and index.is_integer():
        index = int(index)
    if not 0 <= index < len(values):
        raise EvaluationFault(f"index out of bounds: {index}")
    return values[index]


def _look_up_map(values: dict[str, JsonValue], key: JsonValue) -> JsonValue:
    if key not in values:
        raise EvaluationFault(f"no such key: {key}")
    return values[key]


def _cost_in_list(sizes: Sequence[Size]) -> tuple[Size, Size | None]:
    return scale(sizes[1], 1), None


def _size(value: JsonValue) -> int:
    return len(value)


def _make() -> tuple[Overload, ...]:
    made: list[Overload] = []
    for name, function in _ORDER.items():
        made += [Overload(name, (one, one), BOOL, function, cost=comparing) for one in _ORDERED]
        made += [
            Overload(name, (one, other), BOOL, function, cost=comparing)
            for one in NUMBERS
            for other in NUMBERS
            if one is not other
        ]
    made += [
        Overload("_==_", (PARAM_A, PARAM_A), BOOL, is_equal, cost=comparing),
        Overload(
            "_!=_", (PARAM_A, PARAM_A), BOOL, lambda one, other: not is_equal(one, other), cost=comparing
        ),
        Overload("_+_", (INT, INT), INT, lambda one, other: checked_int(one + other)),
        Overload("_+_", (UINT, UINT), UINT, lambda one, other: checked_uint(one + other)),
        Overload("_+_", (DOUBLE, DOUBLE), DOUBLE, lambda one, other: one + other),
        Overload("_+_", (STRING, STRING), STRING, lambda one, other: one + other, cost=joining),
        Overload("_+_", (BYTES, BYTES), BYTES, lambda one, other: one + other, cost=joining),
        Overload("_+_", (list_of(PARAM_A), list_of(PARAM_A)), list_of(PARAM_A), _add_lists, cost=appending),
        Overload("_+_", (TIMESTAMP, DURATION), TIMESTAMP, add_time),
        Overload("_+_", (DURATION, TIMESTAMP), TIMESTAMP, lambda one, other: add_time(other, one)),
        Overload(
            "_+_", (DURATION, DURATION), DURATION, lambda one, other: checked_duration(int(one) + int(other))
        ),
        Overload("_-_", (INT, INT), INT, lambda one, other: checked_int(one - other)),
        Overload("_-_", (UINT, UINT), UINT, lambda one, other: checked_uint(int(one) - int(other))),
        Overload("_-_", (DOUBLE, DOUBLE), DOUBLE, lambda one, other: one - other),
        Overload("_-_", (TIMESTAMP, TIMESTAMP), DURATION, subtract_times),
        Overload("_-_", (TIMESTAMP, DURATION), TIMESTAMP, lambda one, other: add_time(one, -int(other))),
        Overload(
            "_-_", (DURATION, DURATION), DURATION, lambda one, other: checked_duration(int(one) - int(other))
        ),
        Overload("_*_", (INT, INT), INT, lambda one, other: checked_int(one * other)),
        Overload("_*_", (UINT, UINT), UINT, lambda one, other: checked_uint(int(one) * int(other))),
        Overload("_*_", (DOUBLE, DOUBLE), DOUBLE, lambda one, other: one * other),
        Overload("_/_", (INT, INT), INT, _divide),
        Overload("_/_", (UINT, UINT), UINT, _unsigned(_divide)),
        Overload("_/_", (DOUBLE, DOUBLE), DOUBLE, _divide_doubles),
        Overload("_%_", (INT, INT), INT, _remainder),
        Overload("_%_", (UINT, UINT), UINT, _unsigned(_remainder)),
        Overload("-_", (INT,), INT, lambda one: checked_int(-one)),
        Overload("-_", (DOUBLE,), DOUBLE, lambda one: -one),
        Overload("!_", (BOOL,), BOOL, lambda one: not one),
        Overload("@in", (PARAM_A, list_of(PARAM_A)), BOOL, _is_in_list, cost=_cost_in_list),
        Overload("@in", (PARAM_A, map_of(PARAM_A, PARAM_B)), BOOL, lambda key, values: key in values),
        Overload("_[_]", (list_of(PARAM_A), INT), PARAM_A, _look_up_list),
        Overload("_[_]", (map_of(PARAM_A, PARAM_B), PARAM_A), PARAM_B, _look_up_map),
    ]
    for one in (STRING, BYTES, list_of(PARAM_A), map_of(PARAM_A, PARAM_B)):
        made += [Overload("size", (one,), INT, _size), member("size", (one,), INT, _size, constant)]
    return tuple(made)


OVERLOADS: Final = _make()
