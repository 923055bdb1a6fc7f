"""From datastore events of one prefix to the watch cache of its kind."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import orjson

from k3py.datastore.interface import EventType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.datastore.interface import Event, KeyValue
    from k3py.storage.cached_object import CachedObject
    from k3py.storage.codec import Codec
    from k3py.storage.hub import Feed
    from k3py.storage.watch_cache.cache import WatchCache

log = logging.getLogger(__name__)


class DurableFeed:
    """Buffers until the cache is filled, then applies; an object's revision is the datastore's."""

    def __init__(self, prefix: bytes, codec: Codec) -> None:
        self._prefix_length = len(prefix)
        self._codec = codec
        self._cache: WatchCache | None = None
        self._buffer: list[Event] = []
        self._state: tuple[Sequence[KeyValue], int] | None = None  # came before the cache

    def attach(self, cache: WatchCache, filled_at: int) -> None:
        """Go over to `cache`, which holds the state of revision `filled_at`."""
        self._cache = cache
        buffer, self._buffer = self._buffer, []
        state, self._state = self._state, None
        if state is not None and state[1] > filled_at:
            self.reset(*state)
            filled_at = state[1]
        for event in buffer:
            if event.kv.mod_revision > filled_at:
                self.apply(event)
        cache.notify()

    def apply(self, event: Event) -> None:
        """Take in a change."""
        if self._cache is None:
            self._buffer.append(event)
            return
        local_key = event.kv.key[self._prefix_length :].decode()
        if event.type is EventType.DELETE:
            self._cache.remove(local_key, event.kv.mod_revision)
            return
        view = decode(self._codec, event.kv, event.kv.mod_revision)
        if view is not None:
            self._cache.put(local_key, view)

    def reset(self, kvs: Sequence[KeyValue], revision: int) -> None:
        """Take in the whole state of `revision`, after changes before it were missed."""
        if self._cache is None:
            self._state = (kvs, revision)
            self._buffer.clear()
            return
        views: dict[str, CachedObject] = {}
        for kv in kvs:
            local_key = kv.key[self._prefix_length :].decode()
            known = self._cache.find(local_key)
            if known is None or known.revision != kv.mod_revision:
                known = decode(self._codec, kv, kv.mod_revision)
            if known is not None:
                views[local_key] = known
        self._cache.replace(views, revision)

    def flush(self) -> None:
        """Wake the watchers."""
        if self._cache is not None:
            self._cache.notify()

    def close(self, error: Exception) -> None:
        """End the watchers."""
        if self._cache is not None:
            self._cache.close(error)


def decode(codec: Codec, kv: KeyValue, revision: int) -> CachedObject | None:
    """Return the view of a stored object; one that is damaged is logged and left out: it must not take its whole kind along."""
    try:
        return codec.view_stored(kv.key, kv.value, revision)
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        log.exception("stored object cannot be decoded", extra={"key": kv.key.decode(errors="replace")})
        return None


if TYPE_CHECKING:

    def _check(one: DurableFeed) -> Feed:
        return one
