"""Lists as sets. Source: cel-go ext/sets.go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.cel.overload import Overload, crossing
from k3py.api.cel.types import BOOL, PARAM_A, list_of
from k3py.api.cel.values import is_equal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.jsontypes import JsonValue

_ANY: Final = list_of(PARAM_A)


def _contains(values: Sequence[JsonValue], parts: Sequence[JsonValue]) -> bool:
    return all(any(is_equal(part, one) for one in values) for part in parts)


def _intersects(values: Sequence[JsonValue], others: Sequence[JsonValue]) -> bool:
    return any(is_equal(one, other) for one in values for other in others)


def _is_equivalent(values: Sequence[JsonValue], others: Sequence[JsonValue]) -> bool:
    return _contains(values, others) and _contains(others, values)


OVERLOADS: Final = (
    Overload("sets.contains", (_ANY, _ANY), BOOL, _contains, cost=crossing),
    Overload("sets.intersects", (_ANY, _ANY), BOOL, _intersects, cost=crossing),
    Overload("sets.equivalent", (_ANY, _ANY), BOOL, _is_equivalent, cost=crossing),
)
