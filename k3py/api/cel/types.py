"""Static types of expressions, and what is known of the size of their values.

A `CelType` is what the checker compares; a `Declaration` is a type with sizes and fields, made from a schema.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from k3py.jsontypes import JsonValue

# A request is never larger, so nothing in it is.
MOST_REQUEST_BYTES: Final = 3 * 1024 * 1024
UNBOUNDED: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class CelType:
    """A type: "int", "list" with one parameter, "map" with two, …; names of one capital letter are type parameters."""

    name: str
    params: tuple[CelType, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.params))})" if self.params else self.name


DYN: Final = CelType("dyn")
BOOL: Final = CelType("bool")
INT: Final = CelType("int")
UINT: Final = CelType("uint")
DOUBLE: Final = CelType("double")
STRING: Final = CelType("string")
BYTES: Final = CelType("bytes")
NULL: Final = CelType("null_type")
TYPE: Final = CelType("type")
TIMESTAMP: Final = CelType("google.protobuf.Timestamp")
DURATION: Final = CelType("google.protobuf.Duration")
URL: Final = CelType("kubernetes.URL")
IP: Final = CelType("net.IP")
CIDR: Final = CelType("net.CIDR")
QUANTITY: Final = CelType("kubernetes.Quantity")
SEMVER: Final = CelType("kubernetes.Semver")
FORMAT: Final = CelType("kubernetes.NamedFormat")
AUTHORIZER: Final = CelType("kubernetes.authorization.Authorizer")
PATH_CHECK: Final = CelType("kubernetes.authorization.PathCheck")
GROUP_CHECK: Final = CelType("kubernetes.authorization.GroupCheck")
RESOURCE_CHECK: Final = CelType("kubernetes.authorization.ResourceCheck")
DECISION: Final = CelType("kubernetes.authorization.Decision")
PARAM_A: Final = CelType("A")
PARAM_B: Final = CelType("B")
SCALARS: Final = frozenset((BOOL, INT, UINT, DOUBLE, TIMESTAMP, DURATION, NULL))
NUMBERS: Final = (INT, UINT, DOUBLE)


def list_of(element: CelType) -> CelType:
    """Return list(element)."""
    return CelType("list", (element,))


def map_of(key: CelType, value: CelType) -> CelType:
    """Return map(key, value)."""
    return CelType("map", (key, value))


def optional_of(value: CelType) -> CelType:
    """Return optional_type(value)."""
    return CelType("optional_type", (value,))


@dataclass(slots=True, eq=False)
class Declaration:
    """A type with what a schema says of its values.

    Attributes:
        type: for the checker; objects have types of their own, named after where they stand.
        most: most elements, entries, characters or bytes.
        least_bytes: of the value in JSON.
        element, key: of lists and maps.
        fields: of objects, by name in expressions; `names` gives the name in the document.
        convert: from JSON to CEL's value, None = it is one already.
    """

    type: CelType
    most: int = UNBOUNDED
    least_bytes: int = 1
    element: Declaration | None = None
    key: Declaration | None = None
    fields: Mapping[str, Declaration] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    convert: Callable[[JsonValue], JsonValue] | None = None


DYNAMIC: Final = Declaration(DYN)


def is_dynamic(one: CelType) -> bool:
    """Say whether a type is only known at run time."""
    return one.name == "dyn"


def unify(expected: CelType, actual: CelType, bound: dict[str, CelType]) -> bool:
    """Say whether a value of `actual` may stand where `expected` is; binds type parameters in `bound`."""
    if len(expected.name) == 1:
        known = bound.get(expected.name)
        if known is None or (is_dynamic(known) and not is_dynamic(actual)):
            bound[expected.name] = actual
            return True
        return is_assignable(known, actual) or is_assignable(actual, known)
    if is_dynamic(expected) or is_dynamic(actual):
        return True
    if expected.name != actual.name or len(expected.params) != len(actual.params):
        return _is_nullable(expected) and actual == NULL
    return all(unify(one, other, bound) for one, other in zip(expected.params, actual.params, strict=True))


def is_assignable(expected: CelType, actual: CelType) -> bool:
    """Say whether a value of `actual` may stand where `expected` is."""
    return unify(expected, actual, {})


def _is_nullable(one: CelType) -> bool:
    return one.name in ("google.protobuf.Timestamp", "google.protobuf.Duration") or one.name.startswith(
        "object"
    )


def substitute(one: CelType, bound: dict[str, CelType]) -> CelType:
    """Replace type parameters by what they are bound to; unbound ones are dynamic."""
    if len(one.name) == 1:
        return bound.get(one.name, DYN)
    if not one.params:
        return one
    return CelType(one.name, tuple(substitute(param, bound) for param in one.params))
