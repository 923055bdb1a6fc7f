"""Objects and lists in the form that was asked for; as JSON they are spliced from the bytes that the store serves.

List items of built-in kinds have no apiVersion and kind of their own, those of custom kinds do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from k3py.apiserver.encoding.negotiation import JSON, METADATA, METADATA_LIST, TABLE, Negotiated
from k3py.apiserver.encoding.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from k3py.api.kind import Kind
    from k3py.jsontypes import JsonObject
    from k3py.storage.interface import ListPage, ObjectView

_META_GROUP: Final = "meta.k8s.io/"


def splice_list(kind: Kind, page: ListPage) -> bytes:
    """Return a list document without parsing one item."""
    head, prefix, items = splice_parts(kind, page)
    if prefix:
        skip = len(prefix)
        return b"".join((head, b"{", b",{".join([item.served[skip:] for item in items]), b"]}\n"))
    return b"".join((head, b",".join([item.served for item in items]), b"]}\n"))


def splice_parts(kind: Kind, page: ListPage) -> tuple[bytes, bytes, Sequence[ObjectView]]:
    """Return what a list document is made of: its head, what each item begins with that a list leaves out, and the items."""
    head = b'{"kind":%b,"apiVersion":%b,"metadata":%b,"items":[' % (
        orjson.dumps(list_kind_of(kind)),
        orjson.dumps(kind.api_version),
        orjson.dumps(list_metadata(kind, page)),
    )
    prefix = type_prefix(kind)
    if not (prefix and page.items and page.items[0].served.startswith(prefix)):
        prefix = b""
    return head, prefix, page.items


def type_prefix(kind: Kind) -> bytes:
    """Return how the served bytes of a built-in kind begin, b"" for kinds whose items keep their type."""
    if not kind.schema:
        return b""
    return b'{"kind":"%b","apiVersion":"%b",' % (kind.kind.encode(), kind.api_version.encode())


def list_kind_of(kind: Kind) -> str:
    """Return the kind of lists."""
    return kind.list_kind or f"{kind.kind}List"


def list_metadata(kind: Kind, page: ListPage) -> JsonObject:
    """Return the metadata of a page; of custom resources it always has both fields."""
    metadata: JsonObject = {"resourceVersion": str(page.revision)}
    if page.continue_token or kind.structure is not None:
        metadata["continue"] = page.continue_token
    if page.remaining is not None:
        metadata["remainingItemCount"] = page.remaining
    return metadata


def list_document(kind: Kind, page: ListPage, form: Negotiated, options: Mapping[str, str]) -> JsonObject:
    """Return a page as a document in the view that was asked for."""
    objects = [orjson.loads(item.served) for item in page.items]  # not `parsed`, which would stay in memory
    if form.view == TABLE:
        return Table(kind, form.view_version, options).to_document(objects, list_metadata(kind, page))
    if form.view == METADATA_LIST:
        return {
            "kind": METADATA_LIST,
            "apiVersion": _META_GROUP + form.view_version,
            "metadata": list_metadata(kind, page),
            "items": [metadata_document(one, form.view_version) for one in objects],
        }
    if kind.schema:
        for one in objects:
            one.pop("kind", None)
            one.pop("apiVersion", None)
    return {
        "kind": list_kind_of(kind),
        "apiVersion": kind.api_version,
        "metadata": list_metadata(kind, page),
        "items": objects,
    }


def object_document(
    kind: Kind | None, document: JsonObject, form: Negotiated, options: Mapping[str, str]
) -> JsonObject:
    """Return one object in the view that was asked for; a Status stays a Status."""
    if document.get("kind") == "Status" and document.get("apiVersion") == "v1":
        return document
    if form.view == TABLE:
        metadata = document.get("metadata") or {}
        shown = {key: metadata[key] for key in ("resourceVersion",) if key in metadata}
        table = Table(kind, form.view_version, options, shown_kind=document.get("kind", ""))
        return table.to_document([document], shown)
    if form.view == METADATA:
        return metadata_document(document, form.view_version)
    return document


def metadata_document(document: JsonObject, version: str) -> JsonObject:
    """Return the PartialObjectMetadata of an object."""
    return {
        "kind": METADATA,
        "apiVersion": _META_GROUP + version,
        "metadata": document.get("metadata") or {},
    }


def is_spliced(form: Negotiated, *, pretty: bool) -> bool:
    """Say whether bytes can go out as the store serves them."""
    return form.media_type == JSON and not form.view and not pretty and "pretty" not in form.parameters
