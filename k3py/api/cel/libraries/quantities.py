"""Quantities. Source: k8s.io/apiserver/pkg/cel/library/quantity.go v0.35."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar, Final

from k3py.api.cel.errors import EvaluationFault
from k3py.api.cel.overload import Overload, member, traversal
from k3py.api.cel.types import BOOL, DOUBLE, INT, QUANTITY, STRING, CelType
from k3py.api.cel.values import INT_RANGE
from k3py.api.quantity import QuantityError, parse_quantity


class Quantity:
    """An exact number."""

    __slots__ = ("amount",)
    cel_type: ClassVar[CelType] = QUANTITY

    def __init__(self, amount: Decimal) -> None:
        self.amount = amount

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and other.amount == self.amount

    def __hash__(self) -> int:
        return hash(self.amount)

    def compare_to(self, other: Quantity) -> int:
        """Return -1, 0 or 1."""
        return (self.amount > other.amount) - (self.amount < other.amount)


def _parse(text: str) -> Quantity:
    try:
        return Quantity(Decimal(parse_quantity(text)))
    except QuantityError as error:
        raise EvaluationFault(str(error)) from error


def _is_quantity(text: str) -> bool:
    try:
        _parse(text)
    except EvaluationFault:
        return False
    return True


def _is_integer(one: Quantity) -> bool:
    return one.amount == one.amount.to_integral_value() and INT_RANGE[0] <= one.amount <= INT_RANGE[1]


def _as_integer(one: Quantity) -> int:
    if not _is_integer(one):
        raise EvaluationFault("cannot convert value to integer")
    return int(one.amount)


_READING: Final = traversal()
OVERLOADS: Final = (
    Overload("quantity", (STRING,), QUANTITY, _parse, cost=_READING),
    Overload("isQuantity", (STRING,), BOOL, _is_quantity, cost=_READING),
    member("isInteger", (QUANTITY,), BOOL, _is_integer),
    member("asInteger", (QUANTITY,), INT, _as_integer),
    member("asApproximateFloat", (QUANTITY,), DOUBLE, lambda one: float(one.amount)),
    member("isGreaterThan", (QUANTITY, QUANTITY), BOOL, lambda one, other: one.amount > other.amount),
    member("isLessThan", (QUANTITY, QUANTITY), BOOL, lambda one, other: one.amount < other.amount),
    member("compareTo", (QUANTITY, QUANTITY), INT, Quantity.compare_to),
    member("add", (QUANTITY, QUANTITY), QUANTITY, lambda one, other: Quantity(one.amount + other.amount)),
    member("add", (QUANTITY, INT), QUANTITY, lambda one, other: Quantity(one.amount + other)),
    member("sub", (QUANTITY, QUANTITY), QUANTITY, lambda one, other: Quantity(one.amount - other.amount)),
    member("sub", (QUANTITY, INT), QUANTITY, lambda one, other: Quantity(one.amount - other)),
)
