"""Changes as the watch cache keeps them, and the items that watchers get to see of them."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from k3py.storage.interface import WatchType

if TYPE_CHECKING:
    from k3py.storage.cached_object import CachedObject
    from k3py.storage.codec import Codec
    from k3py.storage.interface import WatchItem


class CacheWatchItem:
    """An event for watchers; its line is encoded when the first HTTP watcher asks, and lives as long as somebody is sending it."""

    __slots__ = ("__weakref__", "_line", "ends_initial_events", "object", "type")

    def __init__(
        self, item_type: WatchType, view: CachedObject, *, ends_initial_events: bool = False
    ) -> None:
        self.type = item_type
        self.object = view
        self.ends_initial_events = ends_initial_events
        self._line: bytes | None = None

    @property
    def json_line(self) -> bytes:
        """`{"type":…,"object":…}` and a newline."""
        line = self._line
        if line is None:
            line = self._line = b'{"type":"%b","object":%b}\n' % (
                self.type.value.encode(),
                self.object.served,
            )
        return line


class CacheEvent:
    """A change of one object: `new` None = deleted, `previous` None = created."""

    __slots__ = ("_codec", "_items", "local_key", "new", "previous", "revision")

    def __init__(
        self,
        codec: Codec,
        *,
        revision: int,
        local_key: str,
        new: CachedObject | None,
        previous: CachedObject | None,
    ) -> None:
        self._codec = codec
        self.revision = revision
        self.local_key = local_key
        self.new = new
        self.previous = previous
        # Weak: once all watchers have sent an item, its encoded line is not worth its memory.
        self._items: dict[WatchType, weakref.ref[CacheWatchItem]] | None = None

    @property
    def cost_bytes(self) -> int:
        """Bytes that only this event keeps alive."""
        return 200 + (len(self.previous.served) if self.previous is not None else 0)

    def item(self, item_type: WatchType) -> CacheWatchItem:
        """Return the item of this event seen as `item_type`; the same one for all watchers at a time."""
        if self._items is None:
            self._items = {}
        reference = self._items.get(item_type)
        item = None if reference is None else reference()
        if item is None:
            item = CacheWatchItem(item_type, self._view(item_type))
            self._items[item_type] = weakref.ref(item)
        return item

    def _view(self, item_type: WatchType) -> CachedObject:
        if item_type is not WatchType.DELETED and self.new is not None:
            return self.new
        if self.previous is None:
            raise ValueError("an event without objects")
        return self._codec.at_revision(self.previous, self.revision)


if TYPE_CHECKING:

    def _check(one: CacheWatchItem) -> WatchItem:
        return one
