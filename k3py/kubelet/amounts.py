"""Quantities as the whole numbers that the kernel wants."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from k3py.jsontypes import JsonValue

_BINARY: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


def exact(quantity: JsonValue) -> Decimal:
    """Return a quantity as an exact number.

    Raises:
        ValueError: not a quantity.
    """
    text = str(quantity).strip()
    try:
        if text[-2:] in _BINARY:
            return Decimal(text[:-2]) * (1 << _BINARY[text[-2:]])
        if text[-1:] in _DECIMAL:
            return Decimal(text[:-1]).scaleb(_DECIMAL[text[-1:]])
        return Decimal(text)
    except ArithmeticError as error:
        raise ValueError(f"{text!r} is not a quantity") from error


def whole(quantity: JsonValue) -> int:
    """Return a quantity in its unit (bytes, CPUs), rounded up."""
    return int(exact(quantity).to_integral_value(ROUND_CEILING))


def cpu_millis(quantity: JsonValue) -> int:
    """Return a CPU quantity in thousandths, rounded up."""
    return int((exact(quantity) * 1000).to_integral_value(ROUND_CEILING))


def divide(quantity: JsonValue, divisor: JsonValue) -> int:
    """Return quantity / divisor rounded up, as the downward API shows resources; divisor "0" counts as 1."""
    unit = exact(divisor) or Decimal(1)
    return int((exact(quantity) / unit).to_integral_value(ROUND_CEILING))
