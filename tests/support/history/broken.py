"""Stores with one defect each, which the checks of histories must find: wrappers around a right one."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from k3py.datastore.interface import EventType, Revision, WatchBatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from k3py.datastore.interface import Backend, Event, KeyValue, RangeResult, Watch

EVERY: Final = 7
"""One answer in so many is wrong."""


class Broken:
    """Passes everything on to a right store."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._calls = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def _is_due(self) -> bool:
        self._calls += 1
        return self._calls % EVERY == 0


class StaleReads(Broken):
    """Answers a read from a copy that is not fresh."""

    _copies: dict[tuple[object, ...], RangeResult] | None = None

    async def range(self, *arguments: Any, **options: Any) -> RangeResult:
        if self._copies is None:
            self._copies = {}
        key = (arguments, tuple(options.items()))
        if self._is_due() and key in self._copies:
            return self._copies[key]
        result = await self._backend.range(*arguments, **options)
        return self._copies.setdefault(key, result)


class StaleRows(Broken):
    """Answers a read with old rows under the present revision."""

    _rows: dict[tuple[object, ...], tuple[KeyValue, ...]] | None = None

    async def range(self, *arguments: Any, **options: Any) -> RangeResult:
        if self._rows is None:
            self._rows = {}
        result = await self._backend.range(*arguments, **options)
        rows = self._rows.setdefault((arguments, tuple(options.items())), result.kvs)
        return replace(result, kvs=rows) if self._is_due() else result


class LostWrites(Broken):
    """Acknowledges a creation that does not happen."""

    async def create(self, key: bytes, value: bytes, **options: Any) -> Revision | None:
        if self._is_due():
            return Revision(self._backend.current_revision + 1)
        return await self._backend.create(key, value, **options)


class BlindUpdates(Broken):
    """Overwrites, whatever it shall compare with."""

    async def update(
        self, key: bytes, value: bytes, *, expected: Revision
    ) -> tuple[Revision | None, KeyValue | None]:
        found = (await self._backend.range(key)).kvs
        if found:
            expected = found[0].mod_revision
        return await self._backend.update(key, value, expected=expected)


class LyingCompares(Broken):
    """Says that an update failed that happened (as Kine does of a lost connection)."""

    async def update(
        self, key: bytes, value: bytes, *, expected: Revision
    ) -> tuple[Revision | None, KeyValue | None]:
        revision, now = await self._backend.update(key, value, expected=expected)
        if revision is not None and self._is_due() and (found := (await self._backend.range(key)).kvs):
            return None, found[0]  # unless somebody has deleted it meanwhile
        return revision, now


class BrokenWatches(Broken):
    """Passes each batch of a watch through `spoil`."""

    @asynccontextmanager
    async def watch(self, *arguments: Any, **options: Any) -> AsyncIterator[Watch]:
        async with self._backend.watch(*arguments, **options) as watch:
            yield cast("Watch", _SpoiltWatch(watch, self.spoil, self._is_due))

    def spoil(self, batch: WatchBatch) -> Iterator[WatchBatch]:
        """Yield what becomes of a batch whose turn it is."""
        raise NotImplementedError


class _SpoiltWatch:
    def __init__(
        self, watch: Watch, spoil: Callable[[WatchBatch], Iterator[WatchBatch]], due: Callable[[], bool]
    ) -> None:
        self._watch, self._spoil, self._is_due = watch, spoil, due
        self._ready: list[WatchBatch] = []

    def __aiter__(self) -> _SpoiltWatch:
        return self

    async def __anext__(self) -> WatchBatch:
        while not self._ready:
            batch = await self._watch.__anext__()
            self._ready = list(self._spoil(batch)) if batch.events and self._is_due() else [batch]
        return self._ready.pop(0)

    def request_progress(self, at_least: Revision = Revision(0)) -> None:  # noqa: B008
        self._watch.request_progress(at_least)


class LostEvents(BrokenWatches):
    """Leaves an event out."""

    def spoil(self, batch: WatchBatch) -> Iterator[WatchBatch]:
        yield WatchBatch(batch.events[1:], batch.revision)


class DoubledEvents(BrokenWatches):
    """Gives an event twice."""

    def spoil(self, batch: WatchBatch) -> Iterator[WatchBatch]:
        yield WatchBatch((*batch.events, batch.events[-1]), batch.revision)


class DoubledBatches(BrokenWatches):
    """Gives a batch twice, as after a resumption at a wrong place."""

    def spoil(self, batch: WatchBatch) -> Iterator[WatchBatch]:
        yield batch
        yield batch


class EarlyProgress(BrokenWatches):
    """Tells of progress before the events that it covers."""

    def spoil(self, batch: WatchBatch) -> Iterator[WatchBatch]:
        yield WatchBatch((), batch.revision)
        yield batch


class SplitRevisions(BrokenWatches):
    """Gives each event by itself, also those of one revision."""

    def spoil(self, batch: WatchBatch) -> Iterator[WatchBatch]:
        for event in batch.events:
            yield WatchBatch((event,), event.kv.mod_revision)


class SwappedEvents(BrokenWatches):
    """Gives the events of a batch in the wrong order, and those of one revision with it."""

    def spoil(self, batch: WatchBatch) -> Iterator[WatchBatch]:
        yield WatchBatch(batch.events[::-1], batch.revision)


class WrongPrevious(BrokenWatches):
    """Tells nothing of what was before."""

    def spoil(self, batch: WatchBatch) -> Iterator[WatchBatch]:
        yield WatchBatch(tuple(_without_previous(batch.events)), batch.revision)


class ForeignEvents(BrokenWatches):
    """Gives events of keys that nobody watches."""

    def spoil(self, batch: WatchBatch) -> Iterator[WatchBatch]:
        first = batch.events[0]
        strange = replace(first, kv=replace(first.kv, key=b"!" + first.kv.key))
        yield WatchBatch((*batch.events, strange), batch.revision)


def _without_previous(events: Sequence[Event]) -> Iterator[Event]:
    for event in events:
        yield replace(event, previous=None, type=EventType.PUT)


BREAKS_WRITES: Final = (StaleReads, StaleRows, LostWrites, BlindUpdates, LyingCompares)
BREAKS_WATCHES: Final = (
    *(LostEvents, DoubledEvents, DoubledBatches, EarlyProgress, SplitRevisions, SwappedEvents),
    *(WrongPrevious, ForeignEvents),
)
