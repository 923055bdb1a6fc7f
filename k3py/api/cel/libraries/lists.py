"""Lists: Kubernetes' own functions and cel-go's extension. Source: k8s.io/apiserver/pkg/cel/library/lists.go v0.35, cel-go ext/lists.go."""

from __future__ import annotations

import itertools
from functools import cmp_to_key
from typing import TYPE_CHECKING, Final

from k3py.api.cel.errors import EvaluationFault, no_such_overload
from k3py.api.cel.overload import ONE, UNKNOWN, Overload, Size, member, multiply, traversal
from k3py.api.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    PARAM_A,
    STRING,
    TIMESTAMP,
    UINT,
    list_of,
)  # fmt: skip
from k3py.api.cel.values import Duration, checked_duration, checked_int, checked_uint, compare, is_equal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.jsontypes import JsonValue

_ANY: Final = list_of(PARAM_A)
_ORDERED: Final = (INT, UINT, DOUBLE, BOOL, DURATION, TIMESTAMP, STRING, BYTES)


def _is_sorted(values: Sequence[JsonValue]) -> bool:
    return all(compare(one, other) <= 0 for one, other in itertools.pairwise(values))


def _sum_ints(values: Sequence[int]) -> int:
    return checked_int(sum(values))


def _least(values: Sequence[JsonValue]) -> JsonValue:
    if not values:
        raise EvaluationFault("min called on empty list")
    return min(values, key=cmp_to_key(compare))


def _most(values: Sequence[JsonValue]) -> JsonValue:
    if not values:
        raise EvaluationFault("max called on empty list")
    return max(values, key=cmp_to_key(compare))


def _index_of(values: Sequence[JsonValue], wanted: JsonValue) -> int:
    return next((at for at, one in enumerate(values) if is_equal(one, wanted)), -1)


def _last_index_of(values: Sequence[JsonValue], wanted: JsonValue) -> int:
    return next((at for at in range(len(values) - 1, -1, -1) if is_equal(values[at], wanted)), -1)


def _distinct(values: Sequence[JsonValue]) -> list[JsonValue]:
    found: list[JsonValue] = []
    for one in values:
        if not any(is_equal(one, known) for known in found):
            found.append(one)
    return found


def _flatten(values: Sequence[JsonValue], depth: int = 1) -> list[JsonValue]:
    if depth < 0:
        raise EvaluationFault("level must be non-negative")
    found: list[JsonValue] = []
    for one in values:
        if depth and isinstance(one, list | tuple):
            found += _flatten(one, depth - 1)
        else:
            found.append(one)
    return found


def _slice(values: Sequence[JsonValue], start: int, end: int) -> list[JsonValue]:
    if start < 0 or end < 0 or start > end or end > len(values):
        raise EvaluationFault(f"cannot slice({start}, {end}), list is length {len(values)}")
    return list(values[start:end])


def _sort(values: Sequence[JsonValue]) -> list[JsonValue]:
    if len({type(one) for one in values}) > 1:
        raise no_such_overload()
    return sorted(values, key=cmp_to_key(compare))


def _range(count: int) -> list[int]:
    return list(range(count))


def _cost_find(sizes: Sequence[Size]) -> tuple[Size, Size | None]:
    # how long the entries of the list are is not known
    return multiply(sizes[0], (0, UNKNOWN[1]) if sizes[1] != ONE else ONE), None


def _cost_pairs(sizes: Sequence[Size]) -> tuple[Size, Size | None]:
    return multiply(sizes[0], sizes[0]), (0, sizes[0][1])


_EACH: Final = traversal(factor=1)


def _make() -> tuple[Overload, ...]:
    made: list[Overload] = []
    for one in _ORDERED:
        made += [
            member("isSorted", (list_of(one),), BOOL, _is_sorted, _EACH),
            member("min", (list_of(one),), one, _least, _EACH),
            member("max", (list_of(one),), one, _most, _EACH),
            member("sort", (list_of(one),), list_of(one), _sort, _cost_pairs),
        ]
    made += [
        member("sum", (list_of(INT),), INT, _sum_ints, _EACH),
        member("sum", (list_of(UINT),), UINT, lambda values: checked_uint(sum(values)), _EACH),
        member("sum", (list_of(DOUBLE),), DOUBLE, lambda values: float(sum(values)), _EACH),
        member(
            "sum", (list_of(DURATION),), DURATION, lambda values: checked_duration(sum(int(Duration(one)) for one in values)), _EACH
        ),
        member("indexOf", (_ANY, PARAM_A), INT, _index_of, _cost_find),
        member("lastIndexOf", (_ANY, PARAM_A), INT, _last_index_of, _cost_find),
        member("distinct", (_ANY,), _ANY, _distinct, _cost_pairs),
        member("flatten", (list_of(DYN),), list_of(DYN), _flatten, _EACH),
        member("flatten", (list_of(DYN), INT), list_of(DYN), _flatten, _EACH),
        member("slice", (_ANY, INT, INT), _ANY, _slice, _EACH),
        Overload("lists.range", (INT,), list_of(INT), _range),
        member("reverse", (_ANY,), _ANY, lambda values: list(reversed(values)), _EACH),
    ]  # fmt: skip
    return tuple(made)


OVERLOADS: Final = _make()
