"""Overloads of functions, and what calling them costs: one formula for the estimate (sizes as ranges) and for the real call.

Source: github.com/google/cel-go/checker/cost.go, k8s.io/apiserver/pkg/cel/library/cost.go v0.35.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from k3py.api.cel.types import UNBOUNDED

if TYPE_CHECKING:
    from k3py.api.cel.types import CelType

Size = tuple[int, int]  # least, most
Cost = Callable[[Sequence[Size]], tuple[Size, Size | None]]  # sizes of arguments → cost, size of the result

UNKNOWN: Final[Size] = (0, UNBOUNDED)
ONE: Final[Size] = (1, 1)
TRAVERSAL: Final = 0.1
REGEX: Final = 0.25


def add(one: Size, other: Size) -> Size:
    """Add ranges, staying within 64 bits."""
    return min(one[0] + other[0], UNBOUNDED), min(one[1] + other[1], UNBOUNDED)


def multiply(one: Size, other: Size) -> Size:
    """Multiply ranges, staying within 64 bits."""
    return min(one[0] * other[0], UNBOUNDED), min(one[1] * other[1], UNBOUNDED)


def scale(one: Size, factor: float) -> Size:
    """Multiply by a factor, rounding up."""
    return _scaled(one[0], factor), _scaled(one[1], factor)


def _scaled(value: int, factor: float) -> int:
    return UNBOUNDED if value >= UNBOUNDED else math.ceil(value * factor)


def union(one: Size, other: Size) -> Size:
    """Return the range that holds both."""
    return min(one[0], other[0]), max(one[1], other[1])


def constant(_sizes: Sequence[Size]) -> tuple[Size, Size | None]:
    """One step, whatever the arguments."""
    return ONE, None


def traversal(at: int = 0, *, keeps_size: bool = False, factor: float = TRAVERSAL) -> Cost:
    """Return the cost of reading one argument from end to end; `keeps_size`: the result is as long."""

    def cost(sizes: Sequence[Size]) -> tuple[Size, Size | None]:
        return scale(sizes[at], factor), sizes[at] if keeps_size else None

    return cost


def matching(sizes: Sequence[Size]) -> tuple[Size, Size | None]:
    """Match a text with a regular expression."""
    return multiply(scale(add(sizes[0], ONE), TRAVERSAL), scale(sizes[1], REGEX)), (0, sizes[0][1])


def searching(sizes: Sequence[Size]) -> tuple[Size, Size | None]:
    """Look for a text in another one."""
    return multiply(scale(sizes[0], TRAVERSAL), scale(sizes[1], TRAVERSAL)), None


def comparing(sizes: Sequence[Size]) -> tuple[Size, Size | None]:
    """Compare two values: as far as the shorter one reaches."""
    most = min(sizes[0][1], sizes[1][1])
    return scale((1 if most else 0, most), TRAVERSAL), None


def joining(sizes: Sequence[Size]) -> tuple[Size, Size | None]:
    """Append a text to another one."""
    result = add(sizes[0], sizes[1])
    return scale(result, TRAVERSAL), result


def appending(sizes: Sequence[Size]) -> tuple[Size, Size | None]:
    """Append a list to another one."""
    return ONE, add(sizes[0], sizes[1])


def crossing(sizes: Sequence[Size]) -> tuple[Size, Size | None]:
    """Compare each of one list with each of another one."""
    return multiply(sizes[0], sizes[1]), None


@dataclass(frozen=True, slots=True, eq=False)
class Overload:
    """One signature of a function.

    params: the target first if it is a member. function(*args) raises EvaluationFault.
    """

    name: str
    params: tuple[CelType, ...]
    result: CelType
    function: Callable[..., Any]
    member: bool = False
    cost: Cost = constant


def member(
    name: str,
    params: tuple[CelType, ...],
    result: CelType,
    function: Callable[..., Any],
    cost: Cost = constant,
) -> Overload:
    """Return the overload of a member function."""
    return Overload(name, params, result, function, member=True, cost=cost)
