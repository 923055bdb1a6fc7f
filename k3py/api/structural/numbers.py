"""Numbers and equality of JSON values as Go's unstructured objects have them.

Source: k8s.io/apimachinery/pkg/util/json (integers that fit 64 bits are int64, everything else float64) v0.35.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from k3py.errors import K3pyError

if TYPE_CHECKING:
    from k3py.jsontypes import JsonValue

# The encoder ends at 254 levels, and managedFields are a few levels deeper than the object.
DEEPEST: Final = 200
_INT64: Final = 1 << 63
_UINT64: Final = 1 << 64


class TooDeep(K3pyError):
    """A document nested more deeply than objects may be."""


def copy_canonical(value: JsonValue, depth: int = 0) -> JsonValue:
    """Return a deep copy in which whole floats are ints and ints beyond 64 bits have lost what a float cannot hold.

    Raises:
        TooDeep: it is nested too deeply to be stored.
    """
    if depth > DEEPEST:
        raise TooDeep("exceeded max depth")
    if isinstance(value, dict):
        return {key: copy_canonical(one, depth + 1) for key, one in value.items()}
    if isinstance(value, list):
        return [copy_canonical(one, depth + 1) for one in value]
    if type(value) is float:
        return _whole(value)
    if type(value) is int and not -_INT64 <= value < _INT64:
        return _whole(float(value))
    return value


def _whole(value: float) -> float | int:
    if not value.is_integer() or abs(value) >= 1e21:
        return value
    shortest = int(Decimal(repr(value)))
    return shortest if -_INT64 <= shortest < _UINT64 else value


def is_equal(one: JsonValue, other: JsonValue) -> bool:
    """Compare JSON values; unlike in Python, true is not 1."""
    if isinstance(one, dict):
        return (
            isinstance(other, dict)
            and len(one) == len(other)
            and all(key in other and is_equal(value, other[key]) for key, value in one.items())
        )
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(is_equal, one, other))
    return (type(one) is bool) is (type(other) is bool) and bool(one == other)


def type_name(value: JsonValue) -> str:
    """Return the JSON type as errors name it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer" if -_INT64 <= value < _INT64 else "number"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "object" if isinstance(value, dict) else "array"
