"""Served versions of a kind over the one stored version.

The store holds objects in its kind's version; other versions convert on the way in and out. When the version asked for is the stored
one, which is nearly always, the store's views go out as they are.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING

import orjson

from k3py.api.object import deep_copy
from k3py.storage.interface import ListPage, WatchType

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from k3py.api.kind import Kind
    from k3py.jsontypes import JsonObject
    from k3py.storage.interface import ObjectView, Store, WatchItem


def is_stored_version(kind: Kind, store: Store) -> bool:
    """Say whether objects of `kind` lie in the store as they are served."""
    return kind.from_storage is None and kind.api_version == store.kind.api_version


def to_stored(kind: Kind, store: Store, obj: JsonObject) -> JsonObject:
    """Return the document to store for an object of `kind`; `obj` may be changed."""
    if kind.to_storage is not None:
        obj = kind.to_storage(obj)
    obj["kind"] = store.kind.kind
    obj["apiVersion"] = store.kind.api_version
    return obj


def to_served(kind: Kind, store: Store, document: JsonObject) -> JsonObject:
    """Return a stored document (read-only) in the version of `kind`."""
    if is_stored_version(kind, store):
        return document
    convert = kind.from_storage
    converted = convert(deep_copy(document)) if convert is not None else dict(document)
    converted["kind"] = kind.kind
    converted["apiVersion"] = kind.api_version
    return converted


def serve_view(kind: Kind, store: Store, view: ObjectView) -> ObjectView:
    """Return a stored object in the version of `kind`."""
    return view if is_stored_version(kind, store) else ConvertedView(kind, store, view)


def serve_page(kind: Kind, store: Store, page: ListPage) -> ListPage:
    """Return a page in the version of `kind`."""
    if is_stored_version(kind, store):
        return page
    return ListPage(
        items=[ConvertedView(kind, store, view) for view in page.items],
        revision=page.revision,
        continue_token=page.continue_token,
        remaining=page.remaining,
    )


def serve_watch(
    kind: Kind, store: Store, events: AbstractAsyncContextManager[AsyncIterator[Sequence[WatchItem]]]
) -> AbstractAsyncContextManager[AsyncIterator[Sequence[WatchItem]]]:
    """Return a watch in the version of `kind`."""
    return events if is_stored_version(kind, store) else _converted_watch(kind, store, events)


@asynccontextmanager
async def _converted_watch(
    kind: Kind, store: Store, events: AbstractAsyncContextManager[AsyncIterator[Sequence[WatchItem]]]
) -> AsyncIterator[AsyncIterator[Sequence[WatchItem]]]:
    async with events as batches:

        async def convert() -> AsyncIterator[Sequence[WatchItem]]:
            async for batch in batches:
                yield [ConvertedItem(kind, store, item) for item in batch]

        yield convert()


class ConvertedView:
    """An object in another version than the stored one, made when somebody looks."""

    def __init__(self, kind: Kind, store: Store, view: ObjectView) -> None:
        self._kind = kind
        self._store = store
        self._view = view

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
        return to_served(self._kind, self._store, self._view.parsed)

    @cached_property
    def served(self) -> bytes:
        """The converted document's bytes."""
        return encode(self._kind, self.parsed)


class ConvertedItem:
    """A watch event in another version than the stored one."""

    def __init__(self, kind: Kind, store: Store, item: WatchItem) -> None:
        self.type = item.type
        self.ends_initial_events = item.ends_initial_events
        self._kind = kind
        self._store = store
        self._item = item

    @cached_property
    def object(self) -> ObjectView:
        """The object."""
        return ConvertedView(self._kind, self._store, self._item.object)

    @cached_property
    def json_line(self) -> bytes:
        """The event as a line of JSON."""
        if self.type is WatchType.BOOKMARK:
            document = dict(orjson.loads(self._item.object.served))
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
