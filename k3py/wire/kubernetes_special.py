"""Scalars of Kubernetes' protobuf form and its messages with a JSON form of their own: times, quantities, int-or-string, raw JSON.

Readers take (data, start, end) of a payload, putters append to a buffer. Source: README of the field table; apimachinery's generated.proto.
"""

from __future__ import annotations

import base64
import re
import struct
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import orjson

from k3py.wire.varint import (
    FIXED64,
    LENGTH,
    VARINT,
    ProtobufError,
    get_length,
    get_varint,
    put_bytes,
    put_tag,
    put_varint,
    skip_field,
    to_int64,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from k3py.jsontypes import JsonValue

    Put = Callable[[bytearray, JsonValue], None]
    Read = Callable[[bytes, int, int], JsonValue]

DOUBLE: Final = struct.Struct("<d")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FRACTION: Final = re.compile(r"\.(\d{1,6})\d*")
_DURATION_PART: Final = re.compile(r"([0-9]+)(?:\.([0-9]*))?(ns|us|µs|ms|s|m|h)")
_UNIT_NS: Final = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
VARINTS: Final = frozenset(("bool", "int32", "int64"))
SCALAR_ZERO: Final[dict[str, JsonValue]] = {
    "string": "",
    "bool": False,
    "int32": 0,
    "int64": 0,
    "double": 0,
    "bytes": None,
}
SPECIAL_ZERO: Final[dict[str, JsonValue]] = {"quantity": "0", "intorstring": 0, "duration": "0s"}


def _none() -> None:
    return None


def from_varint(name: str, value: int) -> JsonValue:
    """Turn an unsigned varint into the value of a bool, int32 or int64."""
    if name == "bool":
        return value != 0
    if name == "int32":
        value &= 0xFFFFFFFF
        return value - (1 << 32) if value >= 1 << 31 else value
    return to_int64(value)


# Wire types by field number, of small messages.
BYTES: Final[Mapping[int, int]] = {1: LENGTH, 2: LENGTH}
INTS: Final[Mapping[int, int]] = {1: VARINT, 2: VARINT}
INT_THEN_BYTES: Final[Mapping[int, int]] = {1: VARINT, 2: LENGTH}
_INT_OR_STRING: Final[Mapping[int, int]] = {1: VARINT, 2: VARINT, 3: LENGTH}


def read_fields(data: bytes, at: int, end: int, wire_types: Mapping[int, int]) -> list[tuple[int, JsonValue]]:
    """Return (number, int or bytes) of the fields of a small message that `wire_types` names.

    Raises:
        ProtobufError: one has another wire type, or the message is cut off.
    """
    found: list[tuple[int, JsonValue]] = []
    while at < end:
        tag, at = get_varint(data, at)
        number, wire_type = tag >> 3, tag & 7
        wanted = wire_types.get(number)
        if wanted is None:
            at = skip_field(data, at, wire_type)
        elif wire_type != wanted:
            raise ProtobufError(f"wrong wireType = {wire_type} for field {number}")
        elif wanted == VARINT:
            value, at = get_varint(data, at)
            found.append((number, value))
        else:
            start, at = get_length(data, at)
            found.append((number, bytes(data[start:at])))
    return found


def read_entry(data: bytes, at: int, end: int, reader: Read) -> tuple[str, JsonValue]:
    """Return key and value of a map entry."""
    key = ""
    value: JsonValue = None
    seen = False
    while at < end:
        tag, at = get_varint(data, at)
        if tag & 7 != LENGTH:
            at = skip_field(data, at, tag & 7)
            continue
        start, at = get_length(data, at)
        if tag >> 3 == 1:
            key = data[start:at].decode()
        elif tag >> 3 == 2:
            value, seen = reader(data, start, at), True
    return key, value if seen else reader(b"", 0, 0)


def _read_string(data: bytes, at: int, end: int) -> JsonValue:
    return data[at:end].decode()


def _read_bytes(data: bytes, at: int, end: int) -> JsonValue:
    return base64.b64encode(data[at:end]).decode()


def _not_delimited(data: bytes, at: int, end: int) -> JsonValue:  # noqa: ARG001
    raise ProtobufError("scalar in a length-delimited field")


READ_SCALAR: Final[dict[str, Read]] = {
    "string": _read_string,
    "bytes": _read_bytes,
    "bool": _not_delimited,
    "int32": _not_delimited,
    "int64": _not_delimited,
    "double": _not_delimited,
}


def load_json(raw: bytes) -> JsonValue:
    """Parse embedded JSON, None for no bytes.

    Raises:
        ProtobufError: no JSON.
    """
    if not raw:
        return None
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise ProtobufError(str(error)) from error


def _read_time(data: bytes, at: int, end: int) -> JsonValue:
    if at == end:
        return None
    seconds = next((to_int64(value) for number, value in read_fields(data, at, end, INTS) if number == 1), 0)
    return (_EPOCH + timedelta(seconds=seconds)).isoformat(timespec="seconds").replace("+00:00", "Z")


def _read_micro_time(data: bytes, at: int, end: int) -> JsonValue:
    if at == end:
        return None
    fields = dict(read_fields(data, at, end, INTS))
    when = _EPOCH + timedelta(
        seconds=to_int64(fields.get(1, 0)), microseconds=to_int64(fields.get(2, 0)) // 1000
    )
    return when.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _read_duration(data: bytes, at: int, end: int) -> JsonValue:
    return _format_duration(to_int64(dict(read_fields(data, at, end, INTS)).get(1, 0)))


def _read_quantity(data: bytes, at: int, end: int) -> JsonValue:
    raw: bytes = dict(read_fields(data, at, end, BYTES)).get(1, b"")
    return raw.decode() or "0"


def _read_int_or_string(data: bytes, at: int, end: int) -> JsonValue:
    fields = dict(read_fields(data, at, end, _INT_OR_STRING))
    if fields.get(1, 0):
        return fields.get(3, b"").decode()
    return from_varint("int32", fields.get(2, 0))


def _read_raw_json(data: bytes, at: int, end: int) -> JsonValue:
    return load_json(dict(read_fields(data, at, end, BYTES)).get(1, b""))


READ_SPECIAL: Final[dict[str, Read]] = {
    "time": _read_time,
    "microtime": _read_micro_time,
    "duration": _read_duration,
    "quantity": _read_quantity,
    "intorstring": _read_int_or_string,
    "rawjson": _read_raw_json,
}


def scalar_putter(number: int, name: str) -> Put | None:
    """Return the putter of a scalar field with its tag, None for message types."""
    tag = number << 3 | VARINT
    if name in VARINTS:

        def put_int(out: bytearray, value: JsonValue) -> None:
            put_varint(out, tag)
            put_varint(out, int(value))

        return put_int
    if name == "string":
        return _text_putter(number << 3 | LENGTH)
    if name == "bytes":
        return lambda out, value: put_bytes(out, number, base64.b64decode(value or ""))
    if name == "double":

        def put_double(out: bytearray, value: JsonValue) -> None:
            put_tag(out, number, FIXED64)
            out += DOUBLE.pack(value)

        return put_double
    return None


def _text_putter(tag: int) -> Put:
    head = bytearray()
    put_varint(head, tag)

    def put_text(out: bytearray, value: JsonValue) -> None:
        data = value.encode()
        size = len(data)
        out += head
        if size < 128:
            out.append(size)
        else:
            put_varint(out, size)
        out += data

    return put_text


def _put_number(out: bytearray, number: int, value: int) -> None:
    put_tag(out, number, VARINT)
    put_varint(out, value)


def _since_epoch(text: str) -> timedelta:
    return datetime.fromisoformat(_FRACTION.sub(r".\1", text)) - _EPOCH


def _put_time(out: bytearray, value: JsonValue) -> None:
    if value is not None:
        out += _time_bytes(value)


@lru_cache(maxsize=1024)
def _time_bytes(text: str) -> bytes:
    """Return the message of a time; lists of objects tell the same ones again and again."""
    since = _since_epoch(text)
    out = bytearray()
    _put_number(out, 1, since.days * 86400 + since.seconds)
    _put_number(out, 2, 0)
    return bytes(out)


def _put_micro_time(out: bytearray, value: JsonValue) -> None:
    if value is not None:
        since = _since_epoch(value)
        _put_number(out, 1, since.days * 86400 + since.seconds)
        _put_number(out, 2, since.microseconds * 1000)


def _put_duration(out: bytearray, value: JsonValue) -> None:
    total = 0
    for whole, fraction, name in _DURATION_PART.findall(value or ""):
        total += int(whole) * _UNIT_NS[name]
        total += int(fraction) * _UNIT_NS[name] // 10 ** len(fraction) if fraction else 0
    _put_number(out, 1, -total if str(value).startswith("-") else total)


def _format_duration(nanoseconds: int) -> str:
    sign, rest = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    if rest < 10**9:
        unit = next((one for one in ("ms", "µs", "ns") if rest >= _UNIT_NS[one]), "s")
        return f"{sign}{_decimal(rest, _UNIT_NS[unit])}{unit}"
    minutes, rest = divmod(rest, _UNIT_NS["m"])
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{head}{_decimal(rest, 10**9)}s"


def _decimal(amount: int, unit: int) -> str:
    whole, rest = divmod(amount, unit)
    return f"{whole}.{str(rest).zfill(len(str(unit)) - 1).rstrip('0')}" if rest else str(whole)


def _put_quantity(out: bytearray, value: JsonValue) -> None:
    put_bytes(out, 1, str(value if value is not None else "0").encode())


def _put_int_or_string(out: bytearray, value: JsonValue) -> None:
    is_text = isinstance(value, str)
    _put_number(out, 1, int(is_text))
    _put_number(out, 2, 0 if is_text else int(value or 0))
    put_bytes(out, 3, value.encode() if is_text else b"")


def _put_raw_json(out: bytearray, value: JsonValue) -> None:
    if value is not None:
        put_bytes(out, 1, orjson.dumps(value, option=orjson.OPT_SORT_KEYS))


PUT_SPECIAL: Final[dict[str, Put]] = {
    "time": _put_time,
    "microtime": _put_micro_time,
    "duration": _put_duration,
    "quantity": _put_quantity,
    "intorstring": _put_int_or_string,
    "rawjson": _put_raw_json,
    "rawextension": _put_raw_json,
}
