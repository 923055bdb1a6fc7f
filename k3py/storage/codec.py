"""Objects as bytes: how they lie in the datastore and how they are served.

Stored is one canonical JSON document: kind, apiVersion, metadata, then the other keys sorted, all inner keys sorted, no
resourceVersion. Served is the same with `"resourceVersion":"N",` spliced in right behind `"metadata":{`, whose offset is the same for
all objects of a kind; nothing is parsed to serve. Equal documents have equal bytes, which is how no-op writes are found.
"""

from __future__ import annotations

from sys import intern
from typing import TYPE_CHECKING, Final, Protocol

import orjson

from k3py.storage.cached_object import CachedObject, RewrittenObject, Shape

if TYPE_CHECKING:
    from k3py.api.kind import Kind
    from k3py.jsontypes import JsonObject
    from k3py.storage.parsed_pool import ParsedPool

_SORTED: Final = orjson.OPT_SORT_KEYS
_HEAD_KEYS: Final = frozenset(("kind", "apiVersion", "metadata"))


class Transformer(Protocol):
    """What happens to bytes on their way to the disk and back: the seam of encryption at rest."""

    def seal(self, key: bytes, data: bytes) -> bytes:
        """Return what is written for the document `data` under the datastore key `key`."""

    def open(self, key: bytes, data: bytes) -> bytes:
        """Return the document; raises StorageError when `data` was not sealed for `key` by a known key."""

    def is_current(self, data: bytes) -> bool:
        """Say whether stored bytes are sealed as new ones would be."""


class TransformerSource(Protocol):
    """Knows the transformer of each kind."""

    def transformer_for(self, kind: Kind) -> Transformer:
        """Return it."""


class Identity:
    """Leaves bytes as they are."""

    def transformer_for(self, kind: Kind) -> Transformer:
        """Return itself: it suits all kinds."""
        return self

    def seal(self, key: bytes, data: bytes) -> bytes:
        """Return `data`."""
        return data

    def open(self, key: bytes, data: bytes) -> bytes:
        """Return `data`."""
        return data

    def is_current(self, data: bytes) -> bool:
        """Return True."""
        return True


class Codec:
    """Bytes of one stored kind.

    Args:
        kind: in its storage version.
        pool: bounds how many documents stay parsed.
        transformer: encryption at rest.
    """

    def __init__(self, kind: Kind, pool: ParsedPool, transformer: Transformer) -> None:
        self.kind = kind
        self._transformer = transformer
        self._head = (
            b'{"kind":' + orjson.dumps(kind.kind) + b',"apiVersion":' + orjson.dumps(kind.api_version)
        )
        self._prefix = self._head + b',"metadata":{'
        names = tuple(kind.selectable_fields)
        self._getters = tuple(kind.selectable_fields.values())
        self.shape = Shape(len(self._prefix), names, pool)
        self._labels: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}

    def encode(self, obj: JsonObject) -> bytes:
        """Return the canonical document of `obj`, whose resourceVersion is left out; `obj` is not changed."""
        metadata = obj["metadata"]
        if "resourceVersion" in metadata:
            metadata = {key: value for key, value in metadata.items() if key != "resourceVersion"}
        parts = [self._head, b',"metadata":', orjson.dumps(metadata, option=_SORTED)]
        for key in sorted(obj.keys() - _HEAD_KEYS):
            parts += (b",", orjson.dumps(key), b":", orjson.dumps(obj[key], option=_SORTED))
        parts.append(b"}")
        return b"".join(parts)

    def seal(self, key: bytes, document: bytes) -> bytes:
        """Return what goes to the datastore for a canonical document."""
        return self._transformer.seal(key, document)

    def reseal(self, key: bytes, value: bytes) -> bytes | None:
        """Return stored bytes sealed anew, None when they are sealed as new ones would be."""
        if self._transformer.is_current(value):
            return None
        return self._transformer.seal(key, self._transformer.open(key, value))

    def open(self, key: bytes, value: bytes) -> bytes:
        """Return the canonical document of what the datastore holds; something else's JSON is made canonical."""
        document = self._transformer.open(key, value)
        if not document.startswith(self._prefix):
            return self.encode(orjson.loads(document))
        return document

    def serve(self, document: bytes, revision: int) -> bytes:
        """Return a canonical document as clients get it."""
        at = self.shape.splice_at
        return b'%b"resourceVersion":"%d",%b' % (document[:at], revision, document[at:])

    def view_stored(self, key: bytes, value: bytes, revision: int) -> CachedObject:
        """Return the view of what the datastore holds, completed as the kind says."""
        on_read = self.kind.on_read
        if on_read is None:
            return self.view(self.open(key, value), revision)
        document = self._transformer.open(key, value)
        obj = orjson.loads(document)
        if not on_read(obj) and document.startswith(self._prefix):
            return self._make_view(CachedObject, obj, document, revision)
        return self._make_view(RewrittenObject, obj, self.encode(obj), revision)

    def view(self, document: bytes, revision: int) -> CachedObject:
        """Return the view of a canonical document: it is parsed once, here, for its labels and fields."""
        return self._make_view(CachedObject, orjson.loads(document), document, revision)

    def _make_view(
        self, make: type[CachedObject], obj: JsonObject, document: bytes, revision: int
    ) -> CachedObject:
        metadata = obj["metadata"]
        owners = metadata.get("ownerReferences")
        return make(
            self.shape,
            namespace=intern(metadata.get("namespace", "")),
            name=metadata["name"],
            uid=metadata.get("uid", ""),
            revision=revision,
            served=self.serve(document, revision),
            labels=self._share_labels(metadata.get("labels")),
            owners=tuple(one["uid"] for one in owners) if owners else (),
            # The same few words in thousands of objects: phases, names of nodes and of accounts.
            values=tuple([intern(getter(obj)) for getter in self._getters]),
        )

    def document_of(self, view: CachedObject) -> bytes:
        """Return the canonical document behind a view."""
        at = self.shape.splice_at
        return view.served[:at] + view.served[at + _splice_length(view.revision) :]

    def at_revision(self, view: CachedObject, revision: int) -> CachedObject:
        """Return the same object under another revision (the last state of a deleted one)."""
        return CachedObject(
            self.shape,
            namespace=view.namespace,
            name=view.name,
            uid=view.uid,
            revision=revision,
            served=self.serve(self.document_of(view), revision),
            labels=view.labels,
            owners=view.owners,
            values=view.values,
        )

    def bookmark(self, revision: int, *, ends_initial_events: bool) -> CachedObject:
        """Return the object of a bookmark: nothing but a revision and, at the end of a streaming list, its mark."""
        mark = b',"annotations":{"k8s.io/initial-events-end":"true"}' if ends_initial_events else b""
        served = b'%b"resourceVersion":"%d"%b}}' % (self._prefix, revision, mark)
        return CachedObject(
            self.shape,
            namespace="",
            name="",
            uid="",
            revision=revision,
            served=served,
            labels={},
            owners=(),
            values=("",) * len(self.shape.fields),
        )

    def _share_labels(self, labels: dict[str, str] | None) -> dict[str, str]:
        # Replicas have equal labels: keeping one dict for all of them saves about 300 bytes each.
        key = tuple(labels.items()) if labels else ()
        known = self._labels.get(key)
        if known is None:
            if len(self._labels) >= 4096:
                self._labels.clear()
            known = self._labels[key] = labels or {}
        return known


def _splice_length(revision: int) -> int:
    return len('"resourceVersion":"",') + len(str(revision))


if TYPE_CHECKING:

    def _check(one: Identity) -> tuple[Transformer, TransformerSource]:
        return one, one
