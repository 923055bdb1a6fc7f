"""Quantities such as 100m, 1.5Gi and 1e3: exact values and the text form in which the API serves them.

Values are `Decimal` and exact to a nano. Like upstream, more digits are rounded away from zero and sizes are capped at 2^63-1.
Source: k8s.io/apimachinery/pkg/api/resource v0.35; which texts stay as written was seen on a live server.
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, ROUND_UP, Context, Decimal
from functools import cache, lru_cache
from typing import Final, Literal

QuantityFormat = Literal["DecimalSI", "BinarySI", "DecimalExponent"]

_FORM: Final = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([a-zA-Z]{0,2}|[eE][+-]?[0-9]+)")
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL_SUFFIX: Final = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_BINARY_SUFFIX: Final = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_MAX: Final = Decimal((1 << 63) - 1)
_NANO: Final = Decimal("1e-9")
_MILLI: Final = Decimal("0.001")
_ONE: Final = Decimal(1)


class QuantityError(ValueError):
    """A text that is no quantity; the message is upstream's."""

    def __init__(self) -> None:
        super().__init__(
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        )


@cache
def _exact() -> Context:
    return Context(prec=120, Emax=999999, Emin=-999999)


@lru_cache(maxsize=512)  # the same few texts come again and again
def _split(text: str) -> tuple[Decimal, QuantityFormat, bool]:
    """Return value, format, and whether the text is kept as written (integers without suffix or with an exponent)."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise QuantityError
    sign, whole, fraction, suffix = match.groups()
    if not whole and not fraction:
        raise QuantityError
    form: QuantityFormat = "DecimalSI"
    digits = Decimal(f"{sign}{whole or '0'}.{fraction or '0'}")
    if suffix in _DECIMAL:
        value = digits.scaleb(_DECIMAL[suffix], _exact())
    elif suffix in _BINARY:
        value = _exact().multiply(digits, Decimal(1 << _BINARY[suffix]))
        form = "BinarySI"
        if 0 < abs(value) < 1:
            form = "DecimalSI"
    elif suffix[0] in "eE" and len(suffix) > 1:
        exponent = suffix[1:]
        if not exponent.lstrip("+-").isdigit() or len(exponent) > 6:
            raise QuantityError
        value = digits.scaleb(int(exponent), _exact())
        form = "DecimalExponent"
    else:
        raise QuantityError
    kept = not fraction and (suffix == "" or form == "DecimalExponent") and len(whole) <= 18
    if abs(value) > _MAX:
        return _MAX.copy_sign(value), form, False
    if value != value.quantize(_NANO, ROUND_UP, _exact()):
        value, kept = value.quantize(_NANO, ROUND_UP, _exact()), False
    return value, form, kept


def parse_quantity(text: str) -> Decimal:
    """Return the exact value of a quantity.

    Raises:
        QuantityError: the text is no quantity.
    """
    if text.isdigit() and len(text) < 19 and text.isascii():
        return Decimal(text)
    return _split(text)[0]


def value_of(text: str) -> int:
    """Return the value rounded up to a whole number (bytes, pods)."""
    return int(parse_quantity(text).to_integral_value(ROUND_CEILING))


def millis(text: str) -> int:
    """Return the value in thousandths, rounded up (CPU millicores)."""
    return int(parse_quantity(text).scaleb(3, _exact()).to_integral_value(ROUND_CEILING))


def canonical(text: str) -> str:
    """Return the text as the API serves it: 1024Ki → 1Mi, 0.5 → 500m, 1.5Gi → 1536Mi; 1e3, +5 and 2. stay.

    Raises:
        QuantityError: the text is no quantity.
    """
    value, form, kept = _split(text)
    return text if kept else format_quantity(value, form)


def round_up_to_milli(text: str) -> str:
    """Return the canonical text, rounded up to thousandths as in resource lists: 1u → 1m.

    Raises:
        QuantityError: the text is no quantity.
    """
    value, form, kept = _split(text)
    rounded = value if value == value.to_integral_value() else value.quantize(_MILLI, ROUND_CEILING, _exact())
    if rounded == value and kept:
        return text
    return format_quantity(rounded, form)


def format_of(text: str) -> QuantityFormat:
    """Return the notation of a quantity, which sums of it keep.

    Raises:
        QuantityError: the text is no quantity.
    """
    return _split(text)[1]


def format_quantity(value: Decimal | int, form: QuantityFormat = "DecimalSI") -> str:
    """Return the shortest text of a value whose suffix loses nothing."""
    value = Decimal(value)
    if value == 0:
        return "0"
    whole = value == value.to_integral_value(context=_exact())
    if form == "BinarySI" and whole and abs(value) >= 1024:
        number, power = int(value), 0
        while power < 6 and number % 1024 == 0:
            number //= 1024
            power += 1
        return f"{number}{_BINARY_SUFFIX[power]}"
    sign, digits, exponent = _exact().normalize(value).as_tuple()
    if not isinstance(exponent, int):
        raise QuantityError
    number = int("".join(map(str, digits)))
    shift = exponent % 3
    exponent -= shift
    while form != "DecimalExponent" and exponent > 18:
        exponent -= 3
        shift += 3
    text = f"{'-' if sign else ''}{number}{'0' * shift}"
    if form == "DecimalExponent":
        return f"{text}e{exponent}" if exponent else text
    return text + _DECIMAL_SUFFIX[exponent]
