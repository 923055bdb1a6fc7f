"""How many similar events become one: spam filter, aggregation of similar ones, counting of equal ones.

Pure but for the clock that the caller passes in. Source: client-go tools/record/events_cache.go v0.35.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject

CACHE_SIZE: Final = 4096
SIMILAR_MAX: Final = 10
SIMILAR_WINDOW_S: Final = 600.0
SPAM_BURST: Final = 25.0
SPAM_REFILL_PER_S: Final = 1.0 / 300.0
AGGREGATE_PREFIX: Final = "(combined from similar events): "

V = TypeVar("V")
EventKey = tuple[str, ...]


class LruCache(Generic[V]):
    """The newest `size` values by key."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[EventKey, V] = OrderedDict()

    def get(self, key: EventKey) -> V | None:
        """Return the value and make it the newest."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: EventKey, value: V) -> None:
        """Store the value as the newest; the oldest may go."""
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._size:
            self._values.popitem(last=False)

    def __len__(self) -> int:
        return len(self._values)


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_s: float


@dataclass(slots=True)
class _Similar:
    messages: set[str]
    last_s: float


@dataclass(slots=True)
class Recorded:
    """An event that was sent: its name, resourceVersion-free identity and count, to be patched next time."""

    name: str
    first_timestamp: str
    count: int


@dataclass(frozen=True, slots=True)
class Correlated:
    """What to send: `event` as it should look now, `patch` when the event is known (send that under `event`'s name)."""

    event: JsonObject
    key: EventKey
    patch: JsonObject | None


class EventCorrelator:
    """Turns each new event into a create, a count patch, or nothing."""

    def __init__(self) -> None:
        self._buckets: LruCache[_Bucket] = LruCache(CACHE_SIZE)
        self._similar: LruCache[_Similar] = LruCache(CACHE_SIZE)
        self._recorded: LruCache[Recorded] = LruCache(CACHE_SIZE)

    def correlate(self, event: JsonObject, now_s: float) -> Correlated | None:
        """Decide what becomes of `event` (which may be changed); None: filtered as spam.

        Args:
            event: a core/v1 Event with count 1 and both timestamps.
            now_s: monotonic seconds.
        """
        aggregate = self._aggregate(event, now_s)
        key = _full_key(event) if aggregate is None else aggregate
        if not self._take_token(_spam_key(event), now_s):
            return None
        known = self._recorded.get(key)
        if known is None:
            return Correlated(event, key, None)
        event["metadata"]["name"] = known.name
        event["firstTimestamp"] = known.first_timestamp
        event["count"] = known.count + 1
        patch = {
            "message": event["message"],
            "count": event["count"],
            "lastTimestamp": event["lastTimestamp"],
            "metadata": {"annotations": event["metadata"].get("annotations")},
        }
        if patch["metadata"]["annotations"] is None:
            del patch["metadata"]
        return Correlated(event, key, patch)

    def remember(self, key: EventKey, event: JsonObject) -> None:
        """Note that `event` now stands in the API with this name and count."""
        self._recorded.put(key, Recorded(event["metadata"]["name"], event["firstTimestamp"], event["count"]))

    def _aggregate(self, event: JsonObject, now_s: float) -> EventKey | None:
        similar_key = _similar_key(event)
        similar = self._similar.get(similar_key)
        if similar is None or now_s - similar.last_s > SIMILAR_WINDOW_S:
            similar = _Similar(set(), now_s)
        similar.messages.add(event["message"])
        similar.last_s = now_s
        self._similar.put(similar_key, similar)
        if len(similar.messages) < SIMILAR_MAX:
            return None
        similar.messages.discard(next(iter(similar.messages)))
        event["message"] = AGGREGATE_PREFIX + event["message"]
        return similar_key

    def _take_token(self, key: EventKey, now_s: float) -> bool:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = _Bucket(SPAM_BURST, now_s)
            self._buckets.put(key, bucket)
        bucket.tokens = min(SPAM_BURST, bucket.tokens + (now_s - bucket.filled_s) * SPAM_REFILL_PER_S)
        bucket.filled_s = now_s
        if bucket.tokens < 1.0:
            return False
        bucket.tokens -= 1.0
        return True


def _spam_key(event: JsonObject) -> EventKey:
    source, involved = event["source"], event["involvedObject"]
    return (
        source.get("component", ""),
        source.get("host", ""),
        involved.get("kind", ""),
        involved.get("namespace", ""),
        involved.get("name", ""),
        involved.get("uid", ""),
        involved.get("apiVersion", ""),
    )


def _similar_key(event: JsonObject) -> EventKey:
    return (*_spam_key(event), event["type"], event["reason"], event.get("reportingComponent", ""))


def _full_key(event: JsonObject) -> EventKey:
    return (
        *_spam_key(event),
        event["involvedObject"].get("fieldPath", ""),
        event["type"],
        event["reason"],
        event["message"],
    )
