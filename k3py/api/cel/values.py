"""Values of expressions: Python's own where they fit, and the few classes that they do not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from k3py.api.cel.errors import EvaluationFault, no_such_overload
from k3py.api.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    NULL,
    STRING,
    TIMESTAMP,
    TYPE,
    UINT,
    CelType,
    list_of,
    map_of,
    optional_of,
)  # fmt: skip

if TYPE_CHECKING:
    from k3py.jsontypes import JsonValue

INT_RANGE: Final = (-(1 << 63), (1 << 63) - 1)
UINT_RANGE: Final = (0, (1 << 64) - 1)
SECOND_NS: Final = 1_000_000_000
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class UInt(int):
    """An unsigned integer."""

    __slots__ = ()


class Duration(int):
    """Nanoseconds."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Optional:
    """A value that may be missing."""

    present: bool
    value: JsonValue = None


ABSENT: Final = Optional(present=False)


class SetList(list):  # type: ignore[type-arg] # JSON
    """A list of which the order does not count (x-kubernetes-list-type: set)."""

    __slots__ = ()


class MapList(list):  # type: ignore[type-arg] # JSON
    """A list of objects with keys, of which the order does not count (x-kubernetes-list-type: map)."""

    __slots__ = ("keys",)

    def __init__(self, values: list[JsonValue], keys: tuple[str, ...]) -> None:
        super().__init__(values)
        self.keys = keys

    def key_of(self, entry: JsonValue) -> tuple[str, ...]:
        """Return what identifies an entry."""
        return tuple(repr(entry.get(key)) for key in self.keys) if isinstance(entry, dict) else (repr(entry),)


def type_of(value: JsonValue) -> CelType:
    """Return the run-time type of a value; elements of lists and maps are dynamic."""
    if value is None:
        return NULL
    cls = type(value)
    known = _TYPES.get(cls)
    if known is not None:
        return known
    named = getattr(cls, "cel_type", None)
    if isinstance(named, CelType):
        return named
    if isinstance(value, list | tuple):
        return list_of(DYN)
    if isinstance(value, Optional):
        return optional_of(DYN)
    return DYN


_TYPES: Final[dict[type, CelType]] = {
    bool: BOOL, int: INT, UInt: UINT, float: DOUBLE, str: STRING, bytes: BYTES, Duration: DURATION, datetime: TIMESTAMP,
    CelType: TYPE, dict: map_of(DYN, DYN),
}  # fmt: skip


def checked_int(value: int) -> int:
    """Return an int, or fail when it has more than 64 bits."""
    if not INT_RANGE[0] <= value <= INT_RANGE[1]:
        raise EvaluationFault("integer overflow")
    return int(value)


def checked_uint(value: int) -> UInt:
    """Return a uint, or fail when it has more than 64 bits or a sign."""
    if not UINT_RANGE[0] <= value <= UINT_RANGE[1]:
        raise EvaluationFault("unsigned integer overflow")
    return UInt(value)


def checked_duration(value: int) -> Duration:
    """Return a duration, or fail when it is too long."""
    if not INT_RANGE[0] <= value <= INT_RANGE[1]:
        raise EvaluationFault("duration out of range")
    return Duration(value)


def is_number(value: JsonValue) -> bool:
    """Say whether a value is an int, uint or double."""
    return isinstance(value, int | float) and not isinstance(value, bool | Duration)


def is_equal(one: JsonValue, other: JsonValue) -> bool:
    """Compare values; of different types only numbers can be equal."""
    if is_number(one) and is_number(other):
        return bool(one == other)
    if isinstance(one, SetList | MapList) or isinstance(other, SetList | MapList):
        return _is_equal_regardless(one, other)
    if isinstance(one, list | tuple):
        return (
            isinstance(other, list | tuple)
            and len(one) == len(other)
            and all(is_equal(left, right) for left, right in zip(one, other, strict=True))
        )
    if isinstance(one, dict):
        return (
            isinstance(other, dict)
            and len(one) == len(other)
            and all(key in other and is_equal(value, other[key]) for key, value in one.items())
        )
    return type(one) is type(other) and bool(one == other)


def _is_equal_regardless(one: JsonValue, other: JsonValue) -> bool:
    if not isinstance(one, list | tuple) or not isinstance(other, list | tuple) or len(one) != len(other):
        return False
    left, right = (one, other) if isinstance(one, SetList | MapList) else (other, one)
    if isinstance(left, MapList):
        by_key = {left.key_of(entry): entry for entry in right}
        return all((key := left.key_of(entry)) in by_key and is_equal(entry, by_key[key]) for entry in left)
    return all(any(is_equal(entry, twin) for twin in right) for entry in left)


def compare(one: JsonValue, other: JsonValue) -> int:
    """Return -1, 0 or 1; 2 when there is no order (NaN).

    Raises:
        EvaluationFault: types without an order.
    """
    if is_number(one) and is_number(other):
        if math.isnan(one) or math.isnan(other):
            return 2
    elif type(one) is not type(other) or not isinstance(one, bool | str | bytes | Duration | datetime):
        ordered = getattr(one, "compare_to", None)
        if ordered is not None and type(one) is type(other):
            return int(ordered(other))
        raise no_such_overload()
    return int(one > other) - int(one < other)


def to_text(value: JsonValue) -> str:
    """Return a value as strings show it in messages."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def format_double(value: float) -> str:
    """Return a double as Go's %g with the fewest digits writes it."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value == 0:
        return "-0" if math.copysign(1.0, value) < 0 else "0"
    exponent = math.floor(math.log10(abs(value)))
    if exponent < -4 or exponent >= 21:
        mantissa, _, power = f"{value!r}".partition("e") if "e" in repr(value) else (repr(value), "", "")
        if not power:
            digits = f"{value:.17e}" if float(f"{value:.15e}") != value else f"{value:.15e}"
            mantissa, _, power = digits.partition("e")
            mantissa = mantissa.rstrip("0").rstrip(".")
        return f"{mantissa.removesuffix('.0')}e{int(power):+03d}"
    text = repr(value)
    return str(int(value)) if value.is_integer() else text
