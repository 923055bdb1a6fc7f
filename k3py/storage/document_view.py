"""Objects that are answered and not stored here, as everybody else sees objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from k3py.jsontypes import JsonObject
    from k3py.storage.interface import ObjectView


class DocumentView:
    """An `ObjectView` of a document that is not stored."""

    __slots__ = ("parsed", "served")

    revision = 0

    def __init__(self, document: JsonObject) -> None:
        document.setdefault("metadata", {})
        self.parsed = document
        self.served = orjson.dumps(document)

    @property
    def namespace(self) -> str:
        """metadata.namespace, "" for cluster-scoped kinds."""
        return str(self.parsed["metadata"].get("namespace", ""))

    @property
    def name(self) -> str:
        """metadata.name."""
        return str(self.parsed["metadata"].get("name", ""))

    @property
    def uid(self) -> str:
        """metadata.uid."""
        return str(self.parsed["metadata"].get("uid", ""))

    @property
    def labels(self) -> Mapping[str, str]:
        """metadata.labels."""
        found: Mapping[str, str] = self.parsed["metadata"].get("labels") or {}
        return found

    @property
    def fields(self) -> Mapping[str, str]:
        """Name and namespace."""
        return {"metadata.name": self.name, "metadata.namespace": self.namespace}


if TYPE_CHECKING:

    def _check(one: DocumentView) -> ObjectView:
        return one
