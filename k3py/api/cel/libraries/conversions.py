"""Conversions between types: int(), string(), timestamp(), …, type() and dyn()."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from k3py.api.cel.errors import EvaluationFault
from k3py.api.cel.libraries.times import (
    format_duration,
    format_timestamp,
    parse_duration,
    parse_timestamp,
    seconds_of,
)  # fmt: skip
from k3py.api.cel.overload import Overload, traversal
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
    TYPE,
    UINT,
)  # fmt: skip
from k3py.api.cel.values import EPOCH, UInt, checked_int, checked_uint, format_double, type_of

if TYPE_CHECKING:
    from k3py.jsontypes import JsonValue

_TRUE: Final = ("1", "t", "T", "TRUE", "true", "True")
_FALSE: Final = ("0", "f", "F", "FALSE", "false", "False")


def _double_to_int(value: float) -> int:
    if math.isnan(value) or not -(2.0**63) < value < 2.0**63:
        raise EvaluationFault("integer overflow")
    return int(value)


def _double_to_uint(value: float) -> UInt:
    if math.isnan(value) or not 0 <= value < 2.0**64:
        raise EvaluationFault("unsigned integer overflow")
    return UInt(value)


def _string_to_int(text: str) -> int:
    digits = text[1:] if text[:1] in ("-", "+") else text
    if not digits.isascii() or not digits.isdigit():
        raise EvaluationFault(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return checked_int(int(text))


def _string_to_uint(text: str) -> UInt:
    if not text.isascii() or not text.isdigit():
        raise EvaluationFault(f'strconv.ParseUint: parsing "{text}": invalid syntax')
    return checked_uint(int(text))


def _string_to_double(text: str) -> float:
    fault = EvaluationFault(f'strconv.ParseFloat: parsing "{text}": invalid syntax')
    if text != text.strip() or "_" in text:
        raise fault
    try:
        return float(text)
    except ValueError as error:
        raise fault from error


def _string_to_bool(text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise EvaluationFault(f'strconv.ParseBool: parsing "{text}": invalid syntax')


def _bytes_to_string(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise EvaluationFault("invalid UTF-8 in bytes, cannot convert to string") from error


def _int_to_timestamp(value: int) -> datetime:
    try:
        return EPOCH + timedelta(seconds=value)
    except OverflowError as error:
        raise EvaluationFault("timestamp overflow") from error


def _same(value: JsonValue) -> JsonValue:
    return value


OVERLOADS: Final = (
    Overload("int", (INT,), INT, _same),
    Overload("int", (UINT,), INT, lambda value: checked_int(int(value))),
    Overload("int", (DOUBLE,), INT, _double_to_int),
    Overload("int", (STRING,), INT, _string_to_int),
    Overload("int", (TIMESTAMP,), INT, seconds_of),
    Overload("int", (DURATION,), INT, int),
    Overload("uint", (UINT,), UINT, _same),
    Overload("uint", (INT,), UINT, checked_uint),
    Overload("uint", (DOUBLE,), UINT, _double_to_uint),
    Overload("uint", (STRING,), UINT, _string_to_uint),
    Overload("double", (DOUBLE,), DOUBLE, _same),
    Overload("double", (INT,), DOUBLE, float),
    Overload("double", (UINT,), DOUBLE, float),
    Overload("double", (STRING,), DOUBLE, _string_to_double),
    Overload("bool", (BOOL,), BOOL, _same),
    Overload("bool", (STRING,), BOOL, _string_to_bool),
    Overload("string", (STRING,), STRING, _same, cost=traversal(keeps_size=True, factor=0)),
    Overload("string", (BOOL,), STRING, lambda value: "true" if value else "false"),
    Overload("string", (INT,), STRING, str),
    Overload("string", (UINT,), STRING, lambda value: str(int(value))),
    Overload("string", (DOUBLE,), STRING, format_double),
    Overload("string", (BYTES,), STRING, _bytes_to_string, cost=traversal(keeps_size=True)),
    Overload("string", (TIMESTAMP,), STRING, format_timestamp),
    Overload("string", (DURATION,), STRING, format_duration),
    Overload("bytes", (BYTES,), BYTES, _same),
    Overload("bytes", (STRING,), BYTES, str.encode, cost=traversal(keeps_size=True)),
    Overload("timestamp", (TIMESTAMP,), TIMESTAMP, _same),
    Overload("timestamp", (STRING,), TIMESTAMP, parse_timestamp),
    Overload("timestamp", (INT,), TIMESTAMP, _int_to_timestamp),
    Overload("duration", (DURATION,), DURATION, _same),
    Overload("duration", (STRING,), DURATION, parse_duration),
    Overload("dyn", (PARAM_A,), DYN, _same),
    Overload("type", (PARAM_A,), TYPE, type_of),
)
