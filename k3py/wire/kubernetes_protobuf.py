"""Kubernetes' protobuf form of API objects: the k8s envelope, all messages generically from a field table, watch frames.

`KubernetesProtobuf(table)` compiles a message's codec at its first use. Documents are the JSON form that Go's structs serialise to.
Source: k8s.io/apimachinery/pkg/runtime/serializer/protobuf v0.35; field numbers from the generated table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from k3py.wire.kubernetes_special import (
    BYTES,
    DOUBLE,
    INT_THEN_BYTES,
    PUT_SPECIAL,
    READ_SCALAR,
    READ_SPECIAL,
    SCALAR_ZERO,
    SPECIAL_ZERO,
    VARINTS,
    from_varint,
    load_json,
    read_entry,
    read_fields,
    scalar_putter,
)
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
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from k3py.jsontypes import JsonObject, JsonValue

    Put = Callable[[bytearray, JsonValue], None]
    Read = Callable[[bytes, int, int], JsonValue]
    Take = Callable[[dict[int, JsonValue], bytes, int, int], int]

_ABSENT: Final = object()
MAGIC: Final = b"k8s\x00"
_ENVELOPE_TAIL: Final = b"\x1a\x00\x22\x00"  # contentEncoding and contentType, both empty
MEDIA_TYPE: Final = "application/vnd.kubernetes.protobuf"


class MessageField(Protocol):
    """What the codec must know of a field; k3py.api.schema.table.Field has it."""

    @property
    def json(self) -> str:
        """JSON name."""

    @property
    def number(self) -> int:
        """Protobuf field number."""

    @property
    def type(self) -> str:
        """Scalar or message name; of entries or map values."""

    @property
    def card(self) -> str:
        """Return "", "rep" or "map"."""

    @property
    def pointer(self) -> bool:
        """Presence matters."""

    @property
    def omit_empty(self) -> bool:
        """A zero is left out of JSON."""

    @property
    def omit_zero(self) -> bool:
        """A zero struct is left out of JSON."""

    @property
    def inline(self) -> bool:
        """The message's fields belong to the parent's JSON object."""

    @property
    def hidden(self) -> bool:
        """Not part of JSON."""


class Message(Protocol):
    """What the codec must know of a message."""

    @property
    def name(self) -> str:
        """Full name."""

    @property
    def special(self) -> str:
        """Return "" or the special form: time, quantity, …."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The "apiVersion Kind" it serves as, empty for nested messages."""

    @property
    def fields(self) -> Sequence[MessageField]:
        """Its fields."""


class MessageTable(Protocol):
    """Messages by name; k3py.api.schema.table.TypeTable is one."""

    @property
    def kinds(self) -> Mapping[str, str]:
        """Map "apiVersion Kind" ("* Kind" = in every group) to a message name."""

    def get(self, name: str) -> Message:
        """Return a message; KeyError when unknown."""


def _envelope_head(api_version: str, kind: str) -> bytearray:
    meta = bytearray()
    put_bytes(meta, 1, api_version.encode())
    put_bytes(meta, 2, kind.encode())
    out = bytearray(MAGIC)
    put_bytes(out, 1, meta)
    return out


class ListEncoder:
    """An enveloped list, item by item: all items first, then `frame_head` of their size, the items, and `tail`."""

    def __init__(self, api_version: str, kind: str, head: bytes, put: Put) -> None:
        self._api_version = api_version
        self._kind = kind
        self._head = head
        self._put = put
        self.tail = _ENVELOPE_TAIL

    def put_item(self, out: bytearray, item: JsonObject) -> None:
        """Append an item."""
        self._put(out, item)

    def frame_head(self, size: int) -> bytes:
        """Return what stands before items of `size` bytes."""
        out = _envelope_head(self._api_version, self._kind)
        put_tag(out, 2, LENGTH)
        put_varint(out, len(self._head) + size)
        return bytes(out) + self._head


_Plan: TypeAlias = "list[tuple[bytes, str | None, Put, Put]]"
_PLANS: Final = 256
"""So many sets of keys are remembered of a message."""


class KubernetesProtobuf:
    """Encoder and decoder of enveloped objects."""

    def __init__(self, table: MessageTable) -> None:
        self._table = table
        self._readers: dict[str, Read] = {}
        self._putters: dict[str, Put] = {}

    def find_message(self, api_version: str, kind: str) -> str | None:
        """Return the name of the message of a kind, None when the kind has no protobuf form (custom resources, Table)."""
        kinds = self._table.kinds
        return kinds.get(f"{api_version} {kind}") or kinds.get(f"* {kind}")

    def decode_object(self, data: bytes) -> JsonObject:
        """Decode a body with envelope.

        Raises:
            ProtobufError: no envelope, a malformed message, or a kind without a message.
        """
        api_version, kind, raw = split_envelope(data)
        name = self.find_message(api_version, kind)
        if name is None:
            raise ProtobufError(f'no kind "{kind}" is registered for version "{api_version}"')
        try:
            body: JsonObject = self._reader(name)(raw, 0, len(raw))
        except (UnicodeDecodeError, OverflowError, RecursionError) as error:
            raise ProtobufError(str(error)) from error
        body.pop("kind", None)
        body.pop("apiVersion", None)
        return {"kind": kind, "apiVersion": api_version, **body}

    def encode_object(self, obj: JsonObject) -> bytes:
        """Encode an object in its envelope.

        Raises:
            KeyError: the kind has no protobuf form.
        """
        api_version, kind = obj.get("apiVersion", ""), obj.get("kind", "")
        name = self.find_message(api_version, kind)
        if name is None:
            raise KeyError(f"{api_version} {kind}")
        raw = bytearray()
        self._putter(name)(raw, obj)
        out = _envelope_head(api_version, kind)
        put_bytes(out, 2, raw)
        out += _ENVELOPE_TAIL
        return bytes(out)

    def encode_watch_event(self, kind: str, obj: JsonObject) -> bytes:
        """Return a frame of a watch stream: length and WatchEvent whose object is a full envelope; `kind` is ADDED, ….

        Raises:
            KeyError: the object's kind has no protobuf form.
        """
        return frame_watch_event(kind, self.encode_object(obj))

    def open_list(self, document: JsonObject) -> ListEncoder:
        """Return the encoder of a list whose items come one by one; `document` is the list without items.

        Raises:
            KeyError: the list has no protobuf form.
        """
        api_version, kind = document.get("apiVersion", ""), document.get("kind", "")
        name = self.find_message(api_version, kind)
        if name is None:
            raise KeyError(f"{api_version} {kind}")
        items = next(one for one in self._table.get(name).fields if one.json == "items")
        head = bytearray()
        self._putter(name)(head, document)
        return ListEncoder(api_version, kind, bytes(head), self._message_putter(items.number, items.type))

    # --- reading

    def _reader(self, name: str) -> Read:
        known = self._readers.get(name)
        if known is None:
            if name in READ_SCALAR:
                return READ_SCALAR[name]
            self._readers[name] = lambda data, at, end: self._readers[name](data, at, end)  # noqa: PLW0108 - recursive messages
            message = self._table.get(name)
            known = self._special_reader(message) if message.special else self._struct_reader(message)
            self._readers[name] = known
        return known

    def _struct_reader(self, message: Message) -> Read:
        takes = {one.number: self._take(one) for one in message.fields}
        finish = self._finisher(message)

        def read(data: bytes, at: int, end: int) -> JsonValue:
            found: dict[int, JsonValue] = {}
            while at < end:
                tag = data[at]
                at += 1
                if tag > 0x7F:
                    tag, at = get_varint(data, at - 1)
                take = takes.get(tag >> 3)
                at = skip_field(data, at, tag & 7) if take is None else take(found, data, at, tag & 7)
                if at > end:
                    raise ProtobufError("field runs past its message")
            return finish(found)

        return read

    def _finisher(self, message: Message) -> Callable[[dict[int, JsonValue]], JsonObject]:
        """Return the function that turns values by field number into the JSON object, zeros included or left out as Go does."""
        shown = []
        for one in message.fields:
            if one.inline:
                shown.append((one.number, "", False, True, self._zero(one)))
            elif not one.hidden:
                special = one.type not in READ_SCALAR and self._table.get(one.type).special
                zero_left_out = (
                    one.omit_empty and not one.pointer and (one.card != "" or one.type in READ_SCALAR)
                )
                null_left_out = one.omit_zero or special == "list"
                shown.append((one.number, one.json, zero_left_out, null_left_out, self._zero(one)))

        def finish(found: dict[int, JsonValue]) -> JsonObject:
            result: JsonObject = {}
            for number, name, zero_left_out, null_left_out, zero in shown:
                if number in found:
                    value = found[number]
                    if (zero_left_out and not value) or (null_left_out and value is None):
                        continue
                elif zero is None:
                    continue
                else:
                    value = zero()
                if name:
                    result[name] = value
                else:
                    result.update(value)
            return result

        return finish

    def _take(self, one: MessageField) -> Take:
        """Return the function that reads one occurrence of a field: (found, data, at, wire type) → offset behind it."""
        number, kind = one.number, one.type
        if one.card != "map" and kind in VARINTS:
            return _take_varints(one) if one.card else _take_varint(one)
        if one.card != "map" and kind == "double":
            return _take_double(one)
        reader = self._reader(kind)

        def take(found: dict[int, JsonValue], data: bytes, at: int, wire_type: int) -> int:
            if wire_type != LENGTH:
                raise ProtobufError(f"wrong wireType = {wire_type} for field {one.json}")
            start, at = get_length(data, at)
            if one.card == "rep":
                found.setdefault(number, []).append(reader(data, start, at))
            elif one.card == "map":
                key, value = read_entry(data, start, at, reader)
                found.setdefault(number, {})[key] = value
            else:
                found[number] = reader(data, start, at)
            return at

        return take

    def _zero(self, one: MessageField) -> Callable[[], JsonValue] | None:
        """Return the factory of what JSON shows for an absent field, None when it shows nothing."""
        if one.card or one.pointer:
            return None if one.omit_empty else _none
        if one.type in READ_SCALAR:
            constant = SCALAR_ZERO[one.type]
            return None if one.omit_empty else lambda: constant
        message = self._table.get(one.type)
        if one.omit_zero or (message.special == "list" and one.omit_empty):
            return None
        if message.special:
            special = SPECIAL_ZERO.get(message.special)
            return lambda: special
        return lambda: self._reader(one.type)(b"", 0, 0)

    def _special_reader(self, message: Message) -> Read:
        name = message.special
        if name in READ_SPECIAL:
            return READ_SPECIAL[name]
        if name == "rawextension":
            return self._read_raw_extension
        package = message.name.rpartition(".")[0]

        def read_alternative(data: bytes, at: int, end: int) -> JsonValue:
            fields = read_fields(data, at, end, INT_THEN_BYTES if name == "schemaorbool" else BYTES)
            if name == "list":
                return [raw.decode() for number, raw in fields if number == 1]
            props = self._reader(f"{package}.JSONSchemaProps")
            if name == "schemaorbool":
                allows = False
                for number, raw in fields:
                    if number == 2:
                        return props(raw, 0, len(raw))
                    allows = bool(raw)
                return allows
            entries: list[JsonValue] = []
            for number, raw in fields:
                if number == 1:
                    return props(raw, 0, len(raw))
                entries.append(raw.decode() if name == "schemaorstrings" else props(raw, 0, len(raw)))
            return entries or None

        return read_alternative

    def _read_raw_extension(self, data: bytes, at: int, end: int) -> JsonValue:
        raw = next((value for number, value in read_fields(data, at, end, BYTES) if number == 1), b"")
        if raw.startswith(MAGIC):
            return self.decode_object(raw)
        return load_json(raw)

    # --- writing

    def _putter(self, name: str) -> Put:
        known = self._putters.get(name)
        if known is None:
            self._putters[name] = lambda out, value: self._putters[name](out, value)  # noqa: PLW0108 - recursive messages
            message = self._table.get(name)
            known = self._special_putter(message) if message.special else self._struct_putter(message)
            self._putters[name] = known
        return known

    def _struct_putter(self, message: Message) -> Put:
        fields = [
            (one, self._field_putter(one), self._present_putter(one))
            for one in sorted(message.fields, key=lambda one: one.number)
        ]

        plans: dict[tuple[str, ...], _Plan] = {}

        def put(out: bytearray, value: JsonValue) -> None:
            keys = tuple(value)
            plan = plans.get(keys)
            if plan is None:
                plan = _plan(fields, keys)
                if len(plans) < _PLANS:
                    plans[keys] = plan
            for absent, key, put_field, put_present in plan:
                out += absent
                one = value if key is None else value[key]
                if one is None:
                    put_field(out, None)
                else:
                    put_present(out, one)

        return put

    def _present_putter(self, one: MessageField) -> Put:
        """Return the putter of a field's value that is not null: the way of nearly all."""
        if one.card == "map":
            return self._map_putter(one)
        entry = scalar_putter(one.number, one.type) or self._message_putter(one.number, one.type)
        return self._field_putter(one) if one.card == "rep" else entry

    def _field_putter(self, one: MessageField) -> Put:
        number = one.number
        if one.card == "map":
            return self._map_putter(one)
        entry = scalar_putter(number, one.type) or self._message_putter(number, one.type)
        if one.card == "rep":

            def put_list(out: bytearray, value: JsonValue) -> None:
                for item in value or ():
                    entry(out, item)

            return put_list
        if one.pointer:
            has_null = one.type not in READ_SCALAR and "time" in self._table.get(one.type).special

            def put_pointer(out: bytearray, value: JsonValue) -> None:
                if value is not _ABSENT and (value is not None or has_null):
                    entry(out, value)

            return put_pointer
        if one.type in SCALAR_ZERO:
            zero = SCALAR_ZERO[one.type]

            def put_scalar(out: bytearray, value: JsonValue) -> None:
                if value is not None or one.type != "bytes":
                    entry(out, zero if value is None else value)

            return put_scalar
        if self._table.get(one.type).special == "list":

            def put_present(out: bytearray, value: JsonValue) -> None:
                if value is not None:
                    entry(out, value)

            return put_present
        return entry

    def _message_putter(self, number: int, name: str) -> Put:
        putter = self._putter(name)
        special = self._table.get(name).special

        def put(out: bytearray, value: JsonValue) -> None:
            inner = bytearray()
            if value is not None or special:
                putter(inner, value)
            else:
                putter(inner, {})
            put_bytes(out, number, inner)

        return put

    def _map_putter(self, one: MessageField) -> Put:
        entry = scalar_putter(2, one.type) or self._message_putter(2, one.type)

        def put(out: bytearray, value: JsonValue) -> None:
            for key in sorted(value or ()):
                inner = bytearray()
                put_bytes(inner, 1, key.encode())
                entry(inner, value[key])
                put_bytes(out, one.number, inner)

        return put

    def _special_putter(self, message: Message) -> Put:
        name = message.special
        if name in PUT_SPECIAL:
            return PUT_SPECIAL[name]
        package = message.name.rpartition(".")[0]

        def put(out: bytearray, value: JsonValue) -> None:
            if value is None:
                return
            if name == "list":
                for one in value:
                    put_bytes(out, 1, one.encode())
                return
            put_schema = self._message_putter(
                2 if name == "schemaorbool" else 1, f"{package}.JSONSchemaProps"
            )
            if isinstance(value, dict):
                if name == "schemaorbool":
                    put_tag(out, 1, VARINT)
                    put_varint(out, 1)
                put_schema(out, value)
            elif name == "schemaorbool":
                put_tag(out, 1, VARINT)
                put_varint(out, int(value))
            else:
                put_many = self._message_putter(2, f"{package}.JSONSchemaProps")
                for one in value:
                    if name == "schemaorstrings":
                        put_bytes(out, 2, one.encode())
                    else:
                        put_many(out, one)

        return put


def _plan(fields: Sequence[tuple[MessageField, Put, Put]], keys: tuple[str, ...]) -> _Plan:
    """Return how objects with these keys are written: bytes of absent fields (Go writes their zeros), then a field, and so on.

    Objects of a kind have few different sets of keys, and far fewer keys than their messages have fields.
    """
    plan: _Plan = []
    absent = bytearray()
    for one, put_field, put_present in fields:
        if not one.inline and one.json not in keys:
            # A null under a pointer is a present, empty time; an absent key is no pointer.
            put_field(absent, _ABSENT if one.pointer else None)
            continue
        plan.append((bytes(absent), None if one.inline else one.json, put_field, put_present))
        absent.clear()
    plan.append((bytes(absent), None, _put_nothing, _put_nothing))
    return plan


def _put_nothing(_out: bytearray, _value: JsonValue) -> None:
    """Write nothing: behind the last field."""


# --- the envelope


def split_envelope(data: bytes) -> tuple[str, str, bytes]:
    """Return apiVersion, kind and the message of an enveloped object.

    Raises:
        ProtobufError: the bytes have no envelope.
    """
    if not data.startswith(MAGIC):
        raise ProtobufError(
            "provided data does not appear to be a protobuf message, expected prefix 6b 38 73 00"
        )
    api_version = kind = ""
    raw = b""
    for number, value in read_fields(data, len(MAGIC), len(data), BYTES):
        if number == 1:
            for inner, text in read_fields(value, 0, len(value), BYTES):
                if inner == 1:
                    api_version = text.decode()
                elif inner == 2:
                    kind = text.decode()
        elif number == 2:
            raw = value
    return api_version, kind, raw


def frame_watch_event(kind: str, envelope: bytes) -> bytes:
    """Return a frame of a watch stream around an already encoded object."""
    extension = bytearray()
    put_bytes(extension, 1, envelope)
    event = bytearray()
    put_bytes(event, 1, kind.encode())
    put_bytes(event, 2, extension)
    return len(event).to_bytes(4, "big") + bytes(event)


def _take_varint(one: MessageField) -> Take:
    number, kind = one.number, one.type

    def take(found: dict[int, JsonValue], data: bytes, at: int, wire_type: int) -> int:
        if wire_type != VARINT:
            raise ProtobufError(f"wrong wireType = {wire_type} for field {one.json}")
        value, at = get_varint(data, at)
        found[number] = from_varint(kind, value)
        return at

    return take


def _take_varints(one: MessageField) -> Take:
    """Read a repeated integer, packed or one by one."""
    number, kind = one.number, one.type

    def take(found: dict[int, JsonValue], data: bytes, at: int, wire_type: int) -> int:
        entries = found.setdefault(number, [])
        if wire_type == VARINT:
            value, at = get_varint(data, at)
            entries.append(from_varint(kind, value))
            return at
        if wire_type != LENGTH:
            raise ProtobufError(f"wrong wireType = {wire_type} for field {one.json}")
        start, end = get_length(data, at)
        while start < end:
            value, start = get_varint(data, start)
            entries.append(from_varint(kind, value))
        return end

    return take


def _take_double(one: MessageField) -> Take:
    def take(found: dict[int, JsonValue], data: bytes, at: int, wire_type: int) -> int:
        if wire_type != FIXED64 or at + 8 > len(data):
            raise ProtobufError(f"wrong wireType = {wire_type} for field {one.json}")
        found[one.number] = DOUBLE.unpack_from(data, at)[0]
        return at + 8

    return take


def _none() -> None:
    return None


def split_watch_frame(frame: bytes) -> tuple[str, bytes]:
    """Return type and enveloped object of a WatchEvent message (a frame without its length).

    Raises:
        ProtobufError: malformed.
    """
    kind, envelope = "", b""
    for number, value in read_fields(frame, 0, len(frame), BYTES):
        if number == 1:
            kind = value.decode()
        elif number == 2:
            envelope = next(
                (raw for inner, raw in read_fields(value, 0, len(value), BYTES) if inner == 1), b""
            )
    return kind, envelope
