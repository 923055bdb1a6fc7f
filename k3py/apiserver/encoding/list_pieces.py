"""Long lists, made and sent piece by piece: nothing waits for them, and no second copy of the whole is in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from k3py.apiserver.encoding import object_view
from k3py.apiserver.encoding.negotiation import JSON, METADATA_LIST, PROTOBUF, TABLE
from k3py.apiserver.encoding.table import Table
from k3py.util.turns import Turns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from k3py.api.kind import Kind
    from k3py.apiserver.encoding.codec import Codec
    from k3py.apiserver.encoding.negotiation import Negotiated
    from k3py.jsontypes import JsonObject
    from k3py.storage.interface import ListPage

LONG_BYTES: Final = 512 * 1024
PIECE_BYTES: Final = 128 * 1024
_META_GROUP: Final = "meta.k8s.io/"


def is_long(page: ListPage) -> bool:
    """Say whether a page is worth the trouble."""
    return len(page.items) > 1 and sum([len(one.served) for one in page.items]) > LONG_BYTES


def pieces_of(
    kind: Kind, page: ListPage, form: Negotiated, options: Mapping[str, str], codec: Codec, *, pretty: bool
) -> AsyncIterator[bytes] | None:
    """Return the pieces of a list document; None for forms that cannot be made so (YAML, indented JSON).

    Raises:
        ApiError: 400 or 406, as for short lists.
    """
    if object_view.is_spliced(form, pretty=pretty):
        return _spliced(kind, page)
    if form.media_type == PROTOBUF and form.view != TABLE:
        return _protobuf(kind, page, form, codec)
    if form.media_type != JSON or pretty or form.parameters.get("pretty") == "1" or not form.view:
        return None
    metadata = object_view.list_metadata(kind, page)
    if form.view == TABLE:
        table = Table(kind, form.view_version, options)
        head = orjson.dumps(table.to_document([], metadata))
        return _json(page, head.removesuffix(b"]}"), table.row)
    version = form.view_version
    head = orjson.dumps({**_metadata_list(version), "metadata": metadata, "items": []})
    return _json(page, head.removesuffix(b"]}"), lambda one: object_view.metadata_document(one, version))


def _metadata_list(version: str) -> JsonObject:
    return {"kind": METADATA_LIST, "apiVersion": _META_GROUP + version}


async def _spliced(kind: Kind, page: ListPage) -> AsyncIterator[bytes]:
    head, prefix, items = object_view.splice_parts(kind, page)
    turns, held, size = Turns(), [head], 0
    skip = len(prefix)
    start = b"{" if prefix else b""
    for item in items:
        held += (start, item.served[skip:])
        start = b",{" if prefix else b","
        size += len(item.served)
        if size >= PIECE_BYTES:
            yield b"".join(held)
            held, size = [], 0
            await turns.take()
    held.append(b"]}\n")
    yield b"".join(held)


async def _json(
    page: ListPage, head: bytes, show: Callable[[JsonObject], JsonObject]
) -> AsyncIterator[bytes]:
    turns, held, size = Turns(), [head], 0
    comma = b""
    for item in page.items:
        text = orjson.dumps(show(orjson.loads(item.served)))
        held += (comma, text)
        comma = b","
        size += len(text)
        if size >= PIECE_BYTES:
            yield b"".join(held)
            held, size = [], 0
        await turns.take()
    held.append(b"]}\n")
    yield b"".join(held)


async def _protobuf(kind: Kind, page: ListPage, form: Negotiated, codec: Codec) -> AsyncIterator[bytes]:
    document: JsonObject = {"metadata": object_view.list_metadata(kind, page)}
    if form.view:
        document |= _metadata_list(form.view_version)
    else:
        document |= {"kind": object_view.list_kind_of(kind), "apiVersion": kind.api_version}
    encoder = codec.open_list(document)
    turns, items, size, piece = Turns(), [], 0, bytearray()
    for item in page.items:
        one: JsonObject = orjson.loads(item.served)
        if form.view:
            one = object_view.metadata_document(one, form.view_version)
        else:
            one.pop("kind", None)
            one.pop("apiVersion", None)
        encoder.put_item(piece, one)
        if len(piece) >= PIECE_BYTES:
            items.append(bytes(piece))
            size += len(piece)
            piece.clear()
        await turns.take()
    yield encoder.frame_head(size + len(piece))  # the length of all comes first: they must be made before
    for ready in items:
        yield ready
    yield bytes(piece) + encoder.tail
