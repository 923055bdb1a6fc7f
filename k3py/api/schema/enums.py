"""Which string fields take which values; read when OpenAPI documents are made, for `kubectl explain`.

Source: k8s.io/kubernetes/pkg/generated/openapi v1.35 (packaging/generate_enums.py makes enums.json.gz of it).
"""

from __future__ import annotations

import gzip
import pkgutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

_FILE: Final = "enums.json.gz"


@dataclass(frozen=True, slots=True)
class Enum:
    """The values of a field, in their order, and sentences to append to its description."""

    values: tuple[str, ...]
    text: str


class Enums:
    """Enums by type name and JSON field name."""

    def __init__(self, enums: tuple[Enum, ...], fields: Mapping[str, Mapping[str, int]]) -> None:
        self._enums = enums
        self._fields = fields

    def find(self, type_name: str, field: str) -> Enum | None:
        """Return the enum of a field, for lists that of its items; None when any string will do."""
        index = self._fields.get(type_name, {}).get(field)
        return None if index is None else self._enums[index]


def read_enums() -> Enums:
    """Read the file; drop the result after use."""
    data = pkgutil.get_data("k3py.api.schema", _FILE)
    if data is None:
        raise FileNotFoundError(_FILE)
    document = orjson.loads(gzip.decompress(data))
    enums = tuple(Enum(tuple(values), text) for values, text in document["enums"])
    return Enums(enums, document["fields"])
