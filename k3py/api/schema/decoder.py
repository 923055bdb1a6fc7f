"""Decoding of JSON documents as Go would, compiled from the type table to closures.

`Decoders.get(type name)` returns `decode(value, unknown)`: a new document in canonical form (fields ordered, empty optional ones
dropped, nulls as zero values, quantities and times normalised); paths of unknown fields are appended to `unknown`, innermost
part first, as they are met. The input is never changed, but scalars and raw JSON are shared with it.
Source: encoding/json and sigs.k8s.io/json; MarshalJSON of apimachinery's types.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final

from k3py.api import quantity, timestamps
from k3py.api.schema.emptying import MEANT_EMPTY, keeps_empty
from k3py.errors import K3pyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3py.api.schema.table import Field, ObjectType, TypeTable
    from k3py.jsontypes import JsonObject, JsonValue

    Decode = Callable[[JsonValue, list[str]], JsonValue]

_MISSING: Final = object()
_BASE64: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/\r\n")
_INT_RANGE: Final = {"int32": 1 << 31, "int64": 1 << 63}


class TypeFault(K3pyError):
    """A value of the wrong type; `message()` is what Go's decoder says."""

    def __init__(self, found: str, wanted: str, *, text: str = "") -> None:
        super().__init__(text or f"{found} instead of {wanted}")
        self.found = found
        self.wanted = wanted
        self.text = text
        self.struct = ""
        self.path: list[str] = []

    def message(self) -> str:
        """Return the sentence, e.g. json: cannot unmarshal string into Go struct field PodSpec.spec.priority of type int32."""
        if self.text:
            return self.text
        where = (
            f"struct field {self.struct}.{'.'.join(reversed(self.path))} of" if self.struct else "value of"
        )
        return f"json: cannot unmarshal {self.found} into Go {where} type {self.wanted}"


def _found(value: JsonValue) -> str:
    if isinstance(value, str):
        return "string"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, list):
        return "array"
    return "object" if isinstance(value, dict) else "number"


def _string(value: JsonValue, _: list[str]) -> JsonValue:
    if type(value) is str:
        return value
    raise TypeFault(_found(value), "string")


def _bool(value: JsonValue, _: list[str]) -> JsonValue:
    if value is True or value is False:
        return value
    raise TypeFault(_found(value), "bool")


def _integer(name: str) -> Decode:
    limit = _INT_RANGE[name]

    def decode(value: JsonValue, _: list[str]) -> JsonValue:
        if type(value) is int and -limit <= value < limit:
            return value
        if type(value) in (int, float):
            raise TypeFault(f"number {value}", name)
        raise TypeFault(_found(value), name)

    return decode


def _double(value: JsonValue, _: list[str]) -> JsonValue:
    if type(value) in (int, float):
        return value
    raise TypeFault(_found(value), "float64")


def _bytes(value: JsonValue, _: list[str]) -> JsonValue:
    if type(value) is not str:
        raise TypeFault(_found(value), "[]uint8")
    try:
        raw = base64.b64decode(value.replace("\n", "").replace("\r", ""), validate=True)
    except (binascii.Error, ValueError) as error:
        at = next((index for index, char in enumerate(value) if char not in _BASE64), len(value))
        raise TypeFault("string", "[]uint8", text=f"illegal base64 data at input byte {at}") from error
    return base64.b64encode(raw).decode()


def _time(value: JsonValue, _: list[str]) -> JsonValue:
    if type(value) is not str:
        raise TypeFault(_found(value), "string")
    return _converted(timestamps.canonical_time, value) if value else None


def _micro_time(value: JsonValue, _: list[str]) -> JsonValue:
    if type(value) is not str:
        raise TypeFault(_found(value), "string")
    return _converted(timestamps.canonical_micro_time, value) if value else None


def _duration(value: JsonValue, _: list[str]) -> JsonValue:
    if type(value) is not str:
        raise TypeFault(_found(value), "string")
    return _converted(lambda text: timestamps.format_duration(timestamps.parse_duration(text)), value)


def _converted(convert: Callable[[str], str], value: str) -> str:
    try:
        return convert(value)
    except ValueError as error:
        raise TypeFault("string", "", text=str(error)) from error


def _quantity(value: JsonValue, _: list[str]) -> JsonValue:
    if type(value) in (int, float):
        value = f"{value}"
    elif type(value) is not str:
        raise TypeFault(_found(value), "string", text=str(quantity.QuantityError()))
    return _converted(quantity.canonical, value.strip())


def _int_or_string(value: JsonValue, _: list[str]) -> JsonValue:
    if type(value) is str or (type(value) is int and -(1 << 31) <= value < 1 << 31):
        return value
    raise TypeFault(f"number {value}" if type(value) in (int, float) else _found(value), "int32")


def _raw(value: JsonValue, _: list[str]) -> JsonValue:
    return value


_SCALARS: Final[dict[str, tuple[Decode, JsonValue]]] = {
    "string": (_string, ""),
    "bool": (_bool, False),
    "int32": (_integer("int32"), 0),
    "int64": (_integer("int64"), 0),
    "double": (_double, 0),
    "bytes": (_bytes, ""),
}
# Special types: decoder and zero value as JSON shows it.
_SPECIALS: Final[dict[str, tuple[Decode, JsonValue]]] = {
    "time": (_time, None),
    "microtime": (_micro_time, None),
    "duration": (_duration, "0s"),
    "quantity": (_quantity, "0"),
    "intorstring": (_int_or_string, 0),
    "rawjson": (_raw, None),
    "rawextension": (_raw, None),
    "unknown": (_raw, None),
}


class Decoders:
    """Decoders by type name, compiled at first use and kept."""

    def __init__(self, table: TypeTable) -> None:
        self._table = table
        self._ready: dict[str, Decode] = {}

    def get(self, name: str) -> Decode:
        """Return the decoder of a scalar or type.

        Raises:
            KeyError: there is no such type.
        """
        known = self._ready.get(name)
        if known is not None:
            return known
        if name in _SCALARS:
            return _SCALARS[name][0]
        kind = self._table.get(name)
        if kind.special:
            decode = self._special(kind)
        else:
            # A recursive type (JSONSchemaProps) meets itself while it is compiled.
            self._ready[name] = lambda value, unknown: self._ready[name](value, unknown)  # noqa: PLW0108
            decode = self._struct(kind)
        self._ready[name] = decode
        return decode

    def _special(self, kind: ObjectType) -> Decode:
        if kind.special in _SPECIALS:
            return _SPECIALS[kind.special][0]
        if kind.special == "list":
            return self._list("string", "string")
        props = kind.name.rpartition(".")[0] + ".JSONSchemaProps"

        def decode(value: JsonValue, unknown: list[str]) -> JsonValue:
            if isinstance(value, dict):
                return self.get(props)(value, unknown)
            if isinstance(value, bool) and kind.special == "schemaorbool":
                return value
            if isinstance(value, list) and kind.special == "schemaorarray":
                return self._list(props, "v1.JSONSchemaProps")(value, unknown)
            if isinstance(value, list) and kind.special == "schemaorstrings":
                return self._list("string", "string")(value, unknown)
            raise TypeFault(_found(value), kind.short)

        return decode

    def _zero(self, name: str) -> Callable[[], JsonValue]:
        if name in _SCALARS:
            constant = _SCALARS[name][1]
            return lambda: constant
        special = self._table.get(name).special
        if special:
            constant = _SPECIALS[special][1] if special in _SPECIALS else None
            return lambda: constant
        return lambda: self.get(name)({}, [])

    def _go_name(self, name: str) -> str:
        if name in _SCALARS:
            return "[]uint8" if name == "bytes" else name
        return self._table.get(name).short

    def _list(self, name: str, go_name: str) -> Decode:
        decode_entry = self.get(name)
        zero = self._zero(name)

        def decode(value: JsonValue, unknown: list[str]) -> JsonValue:
            if type(value) is not list:
                raise TypeFault(_found(value), f"[]{go_name}")
            result = []
            for at, entry in enumerate(value):
                before = len(unknown)
                result.append(zero() if entry is None else decode_entry(entry, unknown))
                if len(unknown) != before:
                    _prefix(unknown, before, f"[{at}]")
            return result

        return decode

    def _map(self, name: str, go_name: str) -> Decode:
        decode_entry = self.get(name)
        zero = self._zero(name)

        def decode(value: JsonValue, unknown: list[str]) -> JsonValue:
            if type(value) is not dict:
                raise TypeFault(_found(value), f"map[string]{go_name}")
            result = {}
            for key, entry in value.items():
                before = len(unknown)
                result[key] = zero() if entry is None else decode_entry(entry, unknown)
                if len(unknown) != before:
                    _prefix(unknown, before, key)
            return result

        return decode

    def _field(self, one: Field) -> tuple[str, Decode, JsonValue, bool]:
        """Return (json name, decode, factory of the value of an absent field or _MISSING, whether an empty value counts as absent)."""
        if one.card:
            make = self._list if one.card == "rep" else self._map
            decode = make(one.type, self._go_name(one.type))
            drop_empty = not one.pointer and one.json not in MEANT_EMPTY and not keeps_empty(one)
            return one.json, decode, _MISSING if one.omit_empty else _none, drop_empty
        decode = self.get(one.type)
        if one.pointer:
            return one.json, decode, _MISSING if one.omit_empty else _none, False
        if one.type in _SCALARS:
            if one.omit_empty:
                return one.json, decode, _MISSING, True
            return one.json, decode, _none if one.type == "bytes" else self._zero(one.type), False
        if one.omit_zero or (one.omit_empty and self._table.get(one.type).special == "list"):
            return one.json, decode, _MISSING, True
        return one.json, decode, self._zero(one.type), False

    def _struct(self, kind: ObjectType) -> Decode:
        fields = [self._field(one) for one in kind.json_fields.values()]
        if kind.kinds:
            head = [one for one in fields if one[0] not in ("kind", "apiVersion")]
            fields = [(name, _string, _MISSING, True) for name in ("kind", "apiVersion")] + head
        names = frozenset(one[0] for one in fields)
        short = kind.name.rpartition(".")[2]

        def decode(value: JsonValue, unknown: list[str]) -> JsonObject:
            if type(value) is not dict:
                if value is None:
                    value = {}
                else:
                    raise TypeFault(_found(value), kind.short)
            result: JsonObject = {}
            seen = 0
            name = ""
            try:
                for name, decode_field, absent, drop_empty in fields:
                    entry = value.get(name, _MISSING)
                    if entry is not _MISSING:
                        seen += 1
                        if entry is not None:
                            before = len(unknown)
                            entry = decode_field(entry, unknown)
                            if len(unknown) != before:
                                _prefix(unknown, before, name)
                            if entry or (entry is not None and not drop_empty):
                                result[name] = entry
                                continue
                    if absent is not _MISSING:
                        result[name] = absent()
            except TypeFault as fault:
                if not fault.path:
                    fault.struct = short
                fault.path.append(name)
                raise
            if seen != len(value):
                unknown.extend(str(key) for key in value if key not in names)
            return result

        return decode


def _none() -> None:
    return None


def _prefix(unknown: list[str], start: int, name: str) -> None:
    for at in range(start, len(unknown)):
        rest = unknown[at]
        unknown[at] = f"{name}{rest}" if rest.startswith("[") else f"{name}.{rest}"
