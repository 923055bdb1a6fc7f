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
from k3py.api.selectors import FieldSelector
from k3py.storage.interface import ListPage, WatchType

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from k3py.api.kind import Kind
    from k3py.jsontypes import JsonObject
    from k3py.storage.interface import ObjectView, Store, WatchItem


# Where a document remembers the version in which it lies in the datastore, if that is not the one of its store.
STORED_VERSION: Final = "\0apiVersion"
_COMMON_FIELDS: Final = frozenset(("metadata.name", "metadata.namespace"))


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


def split_fields(
    kind: Kind, store: Store, fields: FieldSelector | None
) -> tuple[FieldSelector | None, FieldSelector | None]:
    """Return what of a field selector the store can tell, and what only objects in the version of `kind` can.

    Source: k8s.io/apiextensions-apiserver: every version has a watch cache of its own, whose fields are that version's.
    """
    if fields is None or kind.convert is None or kind.api_version == store.kind.api_version:
        return fields, None
    for_store = tuple(term for term in fields.terms if term.field in _COMMON_FIELDS)
    of_kind = tuple(term for term in fields.terms if term.field not in _COMMON_FIELDS)
    return (FieldSelector(for_store) if for_store else None, FieldSelector(of_kind) if of_kind else None)


def _is_selected(kind: Kind, fields: FieldSelector, document: JsonObject) -> bool:
    return fields.matches({name: read(document) for name, read in kind.selectable_fields.items()})


async def serve_page(
    kind: Kind, store: Store, page: ListPage, fields: FieldSelector | None = None
) -> ListPage:
    """Return a page in the version of `kind`; `fields`: see `split_fields`. Raises ApiError."""
    if is_stored_version(kind, store):
        return page
    views = await _convert_views(kind, page.items)
    return ListPage(
        items=views
        if fields is None
        else [view for view in views if _is_selected(kind, fields, view.parsed)],
        revision=page.revision,
        continue_token=page.continue_token,
        remaining=page.remaining,
    )


def serve_watch(
    kind: Kind,
    store: Store,
    events: AbstractAsyncContextManager[AsyncIterator[Sequence[WatchItem]]],
    fields: FieldSelector | None = None,
    selected: Iterable[str] = (),
) -> AbstractAsyncContextManager[AsyncIterator[Sequence[WatchItem]]]:
    """Return a watch in the version of `kind`.

    Args:
        kind: as it was asked for.
        store: of the kind.
        events: of the stored version.
        fields: see `split_fields`.
        selected: uids of what they select when the watch begins.
    """
    if is_stored_version(kind, store):
        return events
    return _converted_watch(kind, events, None if fields is None else _Selected(kind, fields, selected))


class _Selected:
    """Turns changes of what is selected into additions and deletions, as a store does for fields of its own."""

    def __init__(self, kind: Kind, fields: FieldSelector, selected: Iterable[str]) -> None:
        self._kind = kind
        self._fields = fields
        self._uids = set(selected)

    def judge(self, item: WatchItem, view: ObjectView) -> WatchType | None:
        """Return what an event is for this watch, None = nothing."""
        was_selected = view.uid in self._uids
        if item.type is WatchType.DELETED or not _is_selected(self._kind, self._fields, view.parsed):
            self._uids.discard(view.uid)
            return WatchType.DELETED if was_selected else None
        self._uids.add(view.uid)
        return WatchType.MODIFIED if was_selected else WatchType.ADDED


@asynccontextmanager
async def _converted_watch(
    kind: Kind,
    events: AbstractAsyncContextManager[AsyncIterator[Sequence[WatchItem]]],
    selected: _Selected | None,
) -> AsyncIterator[AsyncIterator[Sequence[WatchItem]]]:
    async with events as batches:

        async def convert() -> AsyncIterator[Sequence[WatchItem]]:
            async for batch in batches:
                objects = [item.object for item in batch if item.type is not WatchType.BOOKMARK]
                views = iter(await _convert_views(kind, objects))
                found = []
                for item in batch:
                    if item.type is WatchType.BOOKMARK:
                        found.append(ConvertedItem(kind, item, item.object, item.type))
                        continue
                    view = next(views)
                    event_type = item.type if selected is None else selected.judge(item, view)
                    if event_type is not None:
                        found.append(ConvertedItem(kind, item, view, event_type))
                if found:
                    yield found

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

    def __init__(self, kind: Kind, item: WatchItem, view: ObjectView, event_type: WatchType) -> None:
        self.type = event_type
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
