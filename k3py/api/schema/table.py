"""The generated type table (types.bin) as objects, read one type at a time.

File form: see packaging/generate_schema.py. The last decompressed block is kept, because types are met in groups.
"""

from __future__ import annotations

import pkgutil
import struct
import zlib
from dataclasses import dataclass, field
from sys import intern
from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

    from k3py.jsontypes import JsonObject, JsonValue

SCALARS: Final = frozenset(("string", "bool", "int32", "int64", "double", "bytes"))


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a Go struct.

    Attributes:
        json: its JSON name, "" when `inline` (its message's fields belong to the parent's JSON object).
        number: protobuf field number.
        type: scalar (string bool int32 int64 double bytes) or type name; of the entries for lists, of the values for maps.
        card: "", "rep" or "map".
        pointer: presence matters, a present zero is shown.
        omit_empty: an absent or zero value is left out; otherwise it is shown (null for pointers, lists, maps).
        omit_zero: left out even though a struct.
        hidden: not part of JSON.
        required: listed in OpenAPI's `required`.
        list_type, list_keys, map_type: server-side apply ("" = upstream's fallback: atomic lists, granular maps).
        patch_strategy, merge_key: strategic merge patch.
        default: plain default, None = none.
    """

    json: str
    number: int
    type: str
    card: str = ""
    pointer: bool = False
    omit_empty: bool = False
    omit_zero: bool = False
    inline: bool = False
    hidden: bool = False
    required: bool = False
    list_type: str = ""
    list_keys: tuple[str, ...] = ()
    map_type: str = ""
    patch_strategy: str = ""
    merge_key: str = ""
    default: JsonValue = None


@dataclass(frozen=True, slots=True)
class ObjectType:
    """A Go struct, or a special scalar-like type (`special` of the protobuf table: time, quantity, intorstring, …)."""

    name: str
    special: str
    kinds: tuple[str, ...]
    fields: tuple[Field, ...]
    map_type: str = ""
    gvks: tuple[str, ...] = ()
    unions: JsonValue = None
    json_fields: dict[str, Field] = field(default_factory=dict, compare=False)

    @property
    def short(self) -> str:
        """Return the name as Go's errors show it: v1.PodSpec."""
        return ".".join(self.name.rsplit(".", 2)[-2:])


class BlockFile:
    """One file of compressed blocks; `find` returns the record of a type without its name."""

    def __init__(self, data: bytes) -> None:
        (size,) = struct.unpack_from(">I", data)
        self._data = data
        self._start = 4 + size
        self.index: JsonObject = orjson.loads(zlib.decompress(data[4 : self._start]))
        self._last = ("", b"")  # one value, because threads read types, too

    def names(self) -> Iterator[str]:
        """Yield the names of all types."""
        for package, (_, _, names) in self.index["packages"].items():
            for name in names:
                yield f"{package}.{name}"

    def find(self, name: str) -> list[JsonValue] | None:
        """Return the record of a type, or None when the file has none of that name."""
        package, _, short = name.rpartition(".")
        if package not in self.index["packages"]:
            return None
        last, block = self._last
        if package != last:
            at, size, _ = self.index["packages"][package]
            block = zlib.decompress(self._data[self._start + at : self._start + at + size])
            self._last = (package, block)
        start = block.find(b'\n["' + short.encode() + b'",')
        if start < 0:
            return None
        end = block.find(b"\n", start + 1)
        line = block[start + 1 : end if end > 0 else len(block)]
        record: list[JsonValue] = orjson.loads(line)
        return record[1:]


class TypeTable:
    """Types by name, read at first use and kept."""

    def __init__(self, file: BlockFile) -> None:
        self._file = file
        self._types: dict[str, ObjectType] = {}
        self.kinds: dict[str, str] = file.index["kinds"]

    def names(self) -> Iterator[str]:
        """Yield the names of all types."""
        return self._file.names()

    def find(self, name: str) -> ObjectType | None:
        """Return a type, or None when there is none of that name."""
        known = self._types.get(name)
        if known is None:
            record = self._file.find(name)
            if record is None:
                return None
            known = self._types[name] = self._build(name, record)
        return known

    def get(self, name: str) -> ObjectType:
        """Return a type.

        Raises:
            KeyError: there is none of that name.
        """
        known = self.find(name)
        if known is None:
            raise KeyError(name)
        return known

    def _build(self, name: str, record: list[JsonValue]) -> ObjectType:
        special, kinds, fields, extras = record
        built = ObjectType(
            name,
            special,
            tuple(kinds),
            tuple(_field(*one) for one in fields),
            extras.get("mapType", ""),
            tuple(extras.get("gvks", ())),
            extras.get("unions"),
        )
        for one in built.fields:
            if one.inline:
                built.json_fields.update(self.get(one.type).json_fields)
            elif not one.hidden:
                built.json_fields[one.json] = one
        return built


def _field(
    json: str, number: int, kind: str, card: str, flags: str, extras: JsonObject | None = None
) -> Field:
    extras = extras or {}
    return Field(
        intern(json),  # the same few thousand names, in records, codecs and objects
        number,
        intern(kind),
        card,
        "p" in flags,
        "o" in flags,
        "z" in flags,
        "i" in flags,
        "h" in flags,
        "r" in flags,
        extras.get("listType", ""),
        tuple(extras.get("listMapKeys", ())),
        extras.get("mapType", ""),
        extras.get("patchStrategy", ""),
        extras.get("patchMergeKey", ""),
        extras.get("default"),
    )


def _read(name: str) -> bytes:
    data = pkgutil.get_data("k3py.api.schema", name)
    if data is None:
        raise FileNotFoundError(name)
    return data


def read_table() -> TypeTable:
    """Read the index of types.bin."""
    return TypeTable(BlockFile(_read("types.bin")))


def read_descriptions() -> BlockFile:
    """Read descriptions.bin; drop the result after use, it is the larger file. Records: [text of the type, {json name: text}]."""
    return BlockFile(_read("descriptions.bin"))
