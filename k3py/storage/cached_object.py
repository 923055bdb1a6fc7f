"""The `ObjectView` of the watch cache: served bytes, a small index, and the parsed document when somebody asked for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from k3py.jsontypes import JsonObject
    from k3py.storage.interface import ObjectView
    from k3py.storage.parsed_pool import ParsedPool


@dataclass(frozen=True, slots=True)
class Shape:
    """What all views of a kind share: offset of the spliced resourceVersion, names of selectable fields, the pool of parsed ones."""

    splice_at: int
    fields: tuple[str, ...]
    pool: ParsedPool


class CachedObject:
    """An object at a revision; immutable but for the parsed document that comes and goes.

    Attributes:
        owners: uids of metadata.ownerReferences.
        values: values of the kind's selectable fields, in the order of `shape.fields`.
    """

    __slots__ = (
        "labels",
        "name",
        "namespace",
        "owners",
        "parsed_or_none",
        "revision",
        "served",
        "shape",
        "uid",
        "values",
    )

    def __init__(
        self,
        shape: Shape,
        *,
        namespace: str,
        name: str,
        uid: str,
        revision: int,
        served: bytes,
        labels: Mapping[str, str],
        owners: tuple[str, ...],
        values: tuple[str, ...],
    ) -> None:
        self.shape = shape
        self.namespace = namespace
        self.name = name
        self.uid = uid
        self.revision = revision
        self.served = served
        self.labels = labels
        self.owners = owners
        self.values = values
        self.parsed_or_none: JsonObject | None = None

    @property
    def fields(self) -> Mapping[str, str]:
        """Values of the kind's selectable fields, metadata.name and metadata.namespace among them."""
        return {
            "metadata.name": self.name,
            "metadata.namespace": self.namespace,
            **dict(zip(self.shape.fields, self.values, strict=True)),
        }

    @property
    def parsed(self) -> JsonObject:
        """The document; shared, READ-ONLY, and forgotten again when many others were parsed since."""
        known = self.parsed_or_none
        if known is None:
            known = self.parsed_or_none = orjson.loads(self.served)
            self.shape.pool.keep(self)
        return known

    def __repr__(self) -> str:
        return f"<{self.namespace}/{self.name} @{self.revision}>"


class RewrittenObject(CachedObject):
    """An object whose document is not what lies in the datastore: a write without changes brings it there."""

    __slots__ = ()


if TYPE_CHECKING:

    def _check(one: CachedObject) -> ObjectView:
        return one
