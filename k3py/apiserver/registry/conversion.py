"""Served versions of a kind over the one stored version.

The store holds objects in its kind's version; other versions convert on the way in and out. When the version asked for is the stored
one, which is nearly always, the store's views go out as they are.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Final

import orjson

from k3py.api.object import deep_copy
from k3py.storage.interface import ListPage, WatchType

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from k3py.api.kind import Kind
    from k3py.jsontypes import JsonObject
    from k3py.storage.interface import ObjectView, Store, WatchItem


# Where a document remembers the version in which it lies in the datastore, if that is not the one of its store.
STORED_VERSION: Final = "\0apiVersion"


def is_stored_version(kind: Kind, store: Store) -> bool:
    """Say whether objects of `kind` lie in the store as they are served."""
    return kind.from_storage is None and kind.api_version == store.kind.api_version and kind.convert is None


async def to_stored(kind: Kind, store: Store, obj: JsonObject) -> JsonObject:
    """Return the document to store for an object of `kind`; `obj` may be changed. Raises ApiError."""
    if kind.convert is not None:
        if kind.api_version != store.kind.api_version:
            (obj,) = await kind.convert([obj], store.kind.api_version)
    elif kind.to_storage is not None:
        obj = kind.to_storage(obj)
    obj["kind"] = store.kind.kind
    obj["apiVersion"] = store.kind.api_version
    return obj


async def to_served(kind: Kind, store: Store, document: JsonObject) -> JsonObject:
    """Return a stored document (read-only) in the version of `kind`. Raises ApiError."""
    if is_stored_version(kind, store):
        return document
    if kind.convert is not None:
        return (await _convert(kind, [document]))[0]
    return _rewrite(kind, document)


def _rewrite(kind: Kind, document: JsonObject) -> JsonObject:
    convert = kind.from_storage
    converted = convert(deep_copy(document)) if convert is not None else dict(document)
    converted["kind"] = kind.kind
    converted["apiVersion"] = kind.api_version
    return converted


async def _convert(kind: Kind, documents: Sequence[JsonObject]) -> list[JsonObject]:
    """Let the webhook convert those that lie in other versions, all of one version in one call."""
    assert kind.convert is not None
    found = list(documents)
    waiting: dict[str, list[int]] = {}
    for index, document in enumerate(documents):
        source = document.get(STORED_VERSION) or document["apiVersion"]
        if source != kind.api_version:
            waiting.setdefault(source, []).append(index)
        elif STORED_VERSION in document:
            rest = {key: value for key, value in document.items() if key != STORED_VERSION}
            found[index] = {**rest, "apiVersion": source}
    for indexes in waiting.values():
        converted = await kind.convert([documents[index] for index in indexes], kind.api_version)
        for index, one in zip(indexes, converted, strict=True):
            found[index] = kind.from_storage(one) if kind.from_storage is not None else one
    return found


async def _convert_views(kind: Kind, views: Sequence[ObjectView]) -> list[ObjectView]:
    """Return views in the version of `kind`."""
    if kind.convert is None:
        return [ConvertedView(kind, view) for view in views]
    documents = [view.parsed for view in views]
    converted = await _convert(kind, documents)
    return [
        view if one is document else ConvertedView(kind, view, one)
        for view, document, one in zip(views, documents, converted, strict=True)
    ]


async def serve_view(kind: Kind, store: Store, view: ObjectView) -> ObjectView:
    """Return a stored object in the version of `kind`. Raises ApiError."""
    return view if is_stored_version(kind, store) else (await _convert_views(kind, [view]))[0]


async def serve_page(kind: Kind, store: Store, page: ListPage) -> ListPage:
    """Return a page in the version of `kind`. Raises ApiError."""
    if is_stored_version(kind, store):
        return page
    return ListPage(
        items=await _convert_views(kind, page.items),
        revision=page.revision,
        continue_token=page.continue_token,
        remaining=page.remaining,
    )


def serve_watch(
    kind: Kind, store: Store, events: AbstractAsyncContextManager[AsyncIterator[Sequence[WatchItem]]]
) -> AbstractAsyncContextManager[AsyncIterator[Sequence[WatchItem]]]:
    """Return a watch in the version of `kind`."""
    return events if is_stored_version(kind, store) else _converted_watch(kind, events)


@asynccontextmanager
async def _converted_watch(
    kind: Kind, events: AbstractAsyncContextManager[AsyncIterator[Sequence[WatchItem]]]
) -> AsyncIterator[AsyncIterator[Sequence[WatchItem]]]:
    async with events as batches:

        async def convert() -> AsyncIterator[Sequence[WatchItem]]:
            async for batch in batches:
                objects = [item.object for item in batch if item.type is not WatchType.BOOKMARK]
                views = iter(await _convert_views(kind, objects))
                yield [
                    ConvertedItem(kind, item, item.object if item.type is WatchType.BOOKMARK else next(views))
                    for item in batch
                ]

        yield convert()


class ConvertedView:
    """An object in another version than the stored one, made when somebody looks."""

    def __init__(self, kind: Kind, view: ObjectView, document: JsonObject | None = None) -> None:
        self._kind = kind
        self._view = view
        if document is not None:
            self.parsed = document

    @property
    def namespace(self) -> str:
        """metadata.namespace."""
        return self._view.namespace

    @property
    def name(self) -> str:
        """metadata.name."""
        return self._view.name

    @property
    def uid(self) -> str:
        """metadata.uid."""
        return self._view.uid

    @property
    def revision(self) -> int:
        """Revision of the last change."""
        return self._view.revision

    @property
    def labels(self) -> Mapping[str, str]:
        """metadata.labels."""
        return self._view.labels

    @property
    def fields(self) -> Mapping[str, str]:
        """Values of the stored kind's selectable fields."""
        return self._view.fields

    @cached_property
    def parsed(self) -> JsonObject:
        """The converted document; READ-ONLY."""
        return _rewrite(self._kind, self._view.parsed)

    @cached_property
    def served(self) -> bytes:
        """The converted document's bytes."""
        return encode(self._kind, self.parsed)


class ConvertedItem:
    """A watch event in another version than the stored one."""

    def __init__(self, kind: Kind, item: WatchItem, view: ObjectView) -> None:
        self.type = item.type
        self.ends_initial_events = item.ends_initial_events
        self.object = view
        self._kind = kind

    @cached_property
    def json_line(self) -> bytes:
        """The event as a line of JSON."""
        if self.type is WatchType.BOOKMARK:
            document = dict(orjson.loads(self.object.served))
            document["kind"], document["apiVersion"] = self._kind.kind, self._kind.api_version
            served = encode(self._kind, document)
        else:
            served = self.object.served
        return b'{"type":"%b","object":%b}\n' % (self.type.value.encode(), served)


def encode(kind: Kind, document: JsonObject) -> bytes:
    """Return a document's bytes in canonical key order (kind, apiVersion, metadata, the others sorted)."""
    head = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": document.get("metadata") or {}}
    rest = {key: document[key] for key in sorted(document) if key not in head}
    return orjson.dumps({**head, **rest})
