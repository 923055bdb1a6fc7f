"""Quantities as the whole numbers that the kernel wants; documents hold them as text, or as a number where nobody canonicalised them."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING

from k3py.api.quantity import millis, parse_quantity, value_of

if TYPE_CHECKING:
    from k3py.jsontypes import JsonValue


def whole(quantity: JsonValue) -> int:
    """Return a quantity in its unit (bytes, CPUs), rounded up."""
    return value_of(str(quantity))


def cpu_millis(quantity: JsonValue) -> int:
    """Return a CPU quantity in thousandths, rounded up."""
    return millis(str(quantity))


def divide(quantity: JsonValue, divisor: JsonValue) -> int:
    """Return quantity / divisor rounded up, as the downward API shows resources; divisor "0" counts as 1."""
    unit = parse_quantity(str(divisor)) or Decimal(1)
    return int((parse_quantity(str(quantity)) / unit).to_integral_value(ROUND_CEILING))
