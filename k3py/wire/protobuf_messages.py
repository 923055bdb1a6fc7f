"""Protobuf messages as dicts: a generic codec over a generated table (`cri.tsv`, `etcd.tsv`).

Documents use the proto field names. Decoding fills absent scalars with zero values, absent lists with [], absent maps with {}; an absent
message is absent from the dict. Encoding leaves out absent keys, None and zero values. Enums are their names ("CONTAINER_RUNNING"; an
unknown number stays a number), 64-bit integers are ints, bytes are bytes. Unknown fields are skipped. A scalar of a oneof is present or absent,
never filled in, and encoded when it is zero. In place of a message its encoded bytes may stand: whoever sends the same one often encodes
it once. A message's encoder and decoder are compiled to closures at its first use, so an idle process holds only the table's lines.
"""

from __future__ import annotations

import pkgutil
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

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

    from k3py.jsontypes import JsonObject, JsonValue

    Put = Callable[[bytearray, JsonValue], None]
    Get = Callable[[memoryview, int, int, JsonObject], int]

_DOUBLE: Final = struct.Struct("<d")
_ZERO: Final[dict[str, JsonValue]] = {
    "bool": False,
    "bytes": b"",
    "double": 0.0,
    "int32": 0,
    "int64": 0,
    "string": "",
    "uint32": 0,
    "uint64": 0,
}


@dataclass(frozen=True, slots=True)
class Method:
    """A gRPC method: request and response are message names; stream is "none", "server", "client" or "client server"."""

    path: str
    request: str
    response: str
    stream: str


@dataclass(frozen=True, slots=True)
class _Field:
    number: int
    name: str
    type: str
    repeated: bool
    key_type: str  # of a map, else ""
    oneof: bool = False  # a scalar whose presence means something


class ProtobufMessages:
    """Codec of the messages in a table; make one and keep it."""

    __slots__ = ("_decoders", "_encoders", "_enums", "_lines", "_methods")

    def __init__(self, table: str) -> None:
        self._lines: dict[str, str] = {}
        self._enums: dict[str, dict[str, int]] = {}
        self._methods: dict[str, str] = {}
        for line in table.splitlines():
            kind, name, rest = [*line.split("\t", 2), ""][:3]
            if kind == "R":
                self._methods[name] = rest
            elif kind == "E":
                pairs = (pair.split("=") for pair in rest.split("\t"))
                self._enums[name] = {value: int(number) for value, number in pairs}
            else:
                self._lines[name] = rest
        self._encoders: dict[str, Callable[[Mapping[str, JsonValue]], bytearray]] = {}
        self._decoders: dict[str, Callable[[memoryview], JsonObject]] = {}

    def method(self, path: str) -> Method:
        """Return the method at "/package.Service/Name". Raises KeyError."""
        return Method(path, *self._methods[path].split("\t"))

    def encode(self, message: str, document: Mapping[str, JsonValue]) -> bytes:
        """Encode `document` as `message`.

        Raises:
            KeyError: `message` is not in the table, or the document has a key or an enum name that the message lacks.
        """
        return bytes(self._encoder(message)(document))

    def decode(self, message: str, data: bytes | memoryview) -> JsonObject:
        """Decode bytes of `message`.

        Raises:
            ProtobufError: not valid protobuf.
            KeyError: `message` is not in the table.
        """
        return self._decoder(message)(memoryview(data))

    def _fields(self, message: str) -> list[_Field]:
        fields = []
        for text in filter(None, self._lines[message].split("\t")):
            number, name, kind = text.split(" ")
            if kind.startswith("map<"):
                key_type, _, value_type = kind[4:-1].partition(",")
                fields.append(_Field(int(number), name, value_type, repeated=False, key_type=key_type))
            else:
                repeated, oneof = kind.startswith("*"), kind.startswith("?")
                fields.append(_Field(int(number), name, kind.lstrip("*?"), repeated, "", oneof))
        return fields

    def _encoder(self, message: str) -> Callable[[Mapping[str, JsonValue]], bytearray]:
        if (ready := self._encoders.get(message)) is not None:
            return ready
        puts: dict[str, Put] = {}
        order: dict[str, int] = {}
        oneofs: set[str] = set()
        for field in self._fields(message):
            puts[field.name] = self._put(field)
            order[field.name] = field.number
            if field.oneof:
                oneofs.add(field.name)

        def encode(document: Mapping[str, JsonValue]) -> bytearray:
            out = bytearray()
            for key in sorted(document, key=order.__getitem__):
                value = document[key]
                # An empty message is present, a zero is not sent.
                if value or isinstance(value, dict) or (key in oneofs and value is not None):
                    puts[key](out, value)
            return out

        self._encoders[message] = encode
        return encode

    def _put(self, field: _Field) -> Put:
        if field.key_type:
            entry_key = self._put_one(1, field.key_type)
            entry_value = self._put_one(2, field.type)

            def put_map(out: bytearray, value: JsonValue) -> None:
                for key, item in value.items():
                    entry = bytearray()
                    entry_key(entry, key)
                    entry_value(entry, item)
                    put_bytes(out, field.number, entry)

            return put_map
        put = self._put_one(field.number, field.type)
        if not field.repeated:
            return put

        def put_all(out: bytearray, value: JsonValue) -> None:
            for item in value:
                put(out, item)

        return put_all

    def _put_one(self, number: int, kind: str) -> Put:
        if kind == "string":
            return lambda out, value: put_bytes(out, number, value.encode())
        if kind == "bytes":
            return lambda out, value: put_bytes(out, number, value)
        if kind == "double":

            def put_double(out: bytearray, value: JsonValue) -> None:
                put_tag(out, number, FIXED64)
                out += _DOUBLE.pack(value)

            return put_double
        if kind in _ZERO:

            def put_integer(out: bytearray, value: JsonValue) -> None:
                put_tag(out, number, VARINT)
                put_varint(out, int(value))

            return put_integer
        if kind in self._enums:
            numbers = self._enums[kind]

            def put_enum(out: bytearray, value: JsonValue) -> None:
                put_tag(out, number, VARINT)
                put_varint(out, value if isinstance(value, int) else numbers[value])

            return put_enum
        # Looked up at each call, not now: messages may contain themselves.
        return lambda out, value: put_bytes(
            out, number, value if isinstance(value, bytes) else self._encoder(kind)(value)
        )

    def _decoder(self, message: str) -> Callable[[memoryview], JsonObject]:
        if (ready := self._decoders.get(message)) is not None:
            return ready
        gets: dict[int, Get] = {}
        zeros: dict[str, JsonValue] = {}
        lists: list[str] = []
        maps: list[str] = []
        for field in self._fields(message):
            gets[field.number] = self._get(field)
            if field.key_type:
                maps.append(field.name)
            elif field.repeated:
                lists.append(field.name)
            elif field.oneof:
                continue
            elif field.type in _ZERO:
                zeros[field.name] = _ZERO[field.type]
            elif field.type in self._enums:
                zeros[field.name] = self._enum_name(field.type, 0)

        def decode(data: memoryview) -> JsonObject:
            document = dict(zeros)
            for name in lists:
                document[name] = []
            for name in maps:
                document[name] = {}
            at, size = 0, len(data)
            while at < size:
                tag, at = get_varint(data, at)
                get = gets.get(tag >> 3)
                at = skip_field(data, at, tag & 7) if get is None else get(data, at, tag & 7, document)
            return document

        self._decoders[message] = decode
        return decode

    def _enum_name(self, kind: str, number: int) -> JsonValue:
        for name, value in self._enums[kind].items():
            if value == number:
                return name
        return number

    def _get(self, field: _Field) -> Get:
        name = field.name
        if field.key_type:
            read_key, read_value = self._reader(field.key_type), self._reader(field.type)
            zero_key, zero_value = self._zero(field.key_type), self._zero(field.type)

            def get_map(data: memoryview, at: int, wire_type: int, document: JsonObject) -> int:
                _expect(wire_type, LENGTH, name)
                at, end = get_length(data, at)
                key, value = zero_key, zero_value
                while at < end:
                    tag, at = get_varint(data, at)
                    if tag >> 3 == 1:
                        key, at = read_key(data, at, tag & 7)
                    elif tag >> 3 == 2:
                        value, at = read_value(data, at, tag & 7)
                    else:
                        at = skip_field(data, at, tag & 7)
                document[name][key] = value
                return end

            return get_map
        read = self._reader(field.type)
        if not field.repeated:

            def get_one(data: memoryview, at: int, wire_type: int, document: JsonObject) -> int:
                document[name], at = read(data, at, wire_type)
                return at

            return get_one
        packable = field.type in self._enums or (
            field.type in _ZERO and field.type not in ("string", "bytes")
        )

        def get_all(data: memoryview, at: int, wire_type: int, document: JsonObject) -> int:
            if packable and wire_type == LENGTH:
                at, end = get_length(data, at)
                while at < end:
                    item, at = read(data, at, FIXED64 if field.type == "double" else VARINT)
                    document[name].append(item)
                return end
            item, at = read(data, at, wire_type)
            document[name].append(item)
            return at

        return get_all

    def _zero(self, kind: str) -> JsonValue:
        if kind in _ZERO:
            return _ZERO[kind]
        return self._enum_name(kind, 0) if kind in self._enums else {}

    def _reader(self, kind: str) -> Callable[[memoryview, int, int], tuple[JsonValue, int]]:
        """Return read(data, at, wire type) → (value, offset behind it)."""
        if kind in ("string", "bytes") or (kind not in _ZERO and kind not in self._enums):
            convert: Callable[[memoryview], JsonValue]
            if kind == "string":
                convert = _text
            elif kind == "bytes":
                convert = bytes
            else:
                convert = lambda view: self._decoder(kind)(view)  # noqa: E731, PLW0108 - compiled when met

            def read_length(data: memoryview, at: int, wire_type: int) -> tuple[JsonValue, int]:
                _expect(wire_type, LENGTH, kind)
                start, end = get_length(data, at)
                return convert(data[start:end]), end

            return read_length
        if kind == "double":

            def read_double(data: memoryview, at: int, wire_type: int) -> tuple[JsonValue, int]:
                _expect(wire_type, FIXED64, kind)
                if at + 8 > len(data):
                    raise ProtobufError("truncated double")
                return _DOUBLE.unpack_from(data, at)[0], at + 8

            return read_double

        def read_varint(data: memoryview, at: int, wire_type: int) -> tuple[JsonValue, int]:
            _expect(wire_type, VARINT, kind)
            number, at = get_varint(data, at)
            if kind == "bool":
                return number != 0, at
            if kind.startswith("u"):
                return number, at
            signed = to_int64(number)
            return (self._enum_name(kind, signed) if kind in self._enums else signed), at

        return read_varint


def load_messages(name: str) -> ProtobufMessages:
    """Return the codec over the table `name` in this package."""
    table = pkgutil.get_data("k3py.wire", name)
    if table is None:
        raise FileNotFoundError(f"k3py/wire/{name} is missing from this installation")
    return ProtobufMessages(table.decode())


def _expect(wire_type: int, wanted: int, what: str) -> None:
    if wire_type != wanted:
        raise ProtobufError(f"{what}: wire type {wire_type} where {wanted} belongs")


def _text(view: memoryview) -> str:
    return str(view, "utf-8", "replace")
