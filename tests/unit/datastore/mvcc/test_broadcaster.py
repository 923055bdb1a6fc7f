"""Watchers that are behind: what they read from the log and what is published meanwhile make one history."""

from __future__ import annotations

import asyncio

import pytest

from k3py.datastore.errors import Compacted
from k3py.datastore.interface import Event, EventType, KeyValue
from k3py.datastore.mvcc import broadcaster as module
from k3py.datastore.mvcc.broadcaster import Broadcaster
from k3py.datastore.mvcc.log import LogPage


def put(revision):
    return Event(EventType.PUT, KeyValue(b"/a", b"%d" % revision, 2, revision, revision - 1))


class BusyStore:
    """A log that grows by `writes` revisions while each page is read."""

    def __init__(self, revision, *, writes=0):
        self.compact_revision = 0
        self.log = [put(number) for number in range(2, revision + 1)]
        self.writes = writes
        self.pages = 0
        self.broadcaster = Broadcaster(self, revision)

    def write(self, *, published=True):
        revision = self.log[-1].kv.mod_revision + 1
        self.log.append(put(revision))
        if published:
            self.broadcaster.publish([self.log[-1]], revision)

    async def events(self, start, end, *, after, limit):
        found = [event for event in self.log if event.kv.mod_revision > after][:limit]
        revision = found[-1].kv.mod_revision if len(found) == limit else self.log[-1].kv.mod_revision
        self.pages += 1
        await asyncio.sleep(0)
        for _ in range(self.writes):
            self.write()
        return LogPage(tuple(found), revision)


async def take(watcher, count):
    seen = []
    while len(seen) < count:
        batch = await asyncio.wait_for(anext(watcher), 1)
        seen += [event.kv.mod_revision for event in batch.events]
        assert batch.revision >= seen[-1]
    return seen


async def test_a_watcher_is_synced_after_the_last_page_though_the_store_is_busy():
    store = BusyStore(5, writes=3)
    watcher = store.broadcaster.add(b"/a", None, 1)
    assert await take(watcher, 7) == list(range(2, 9))
    store.write()
    assert await take(watcher, 1) == [9]
    assert store.pages == 1


async def test_events_that_the_log_had_before_they_were_published_come_once():
    store = BusyStore(5)
    store.write(published=False)
    watcher = store.broadcaster.add(b"/a", None, 1)
    assert await take(watcher, 5) == [2, 3, 4, 5, 6]
    store.broadcaster.publish([store.log[-1]], 6)
    store.write()
    assert await take(watcher, 1) == [7]


async def test_what_does_not_fit_beside_a_page_is_read_from_the_log(monkeypatch):
    monkeypatch.setattr(module, "BUFFER_EVENTS", 2)
    store = BusyStore(5, writes=4)
    watcher = store.broadcaster.add(b"/a", None, 1)
    assert await take(watcher, 4) == [2, 3, 4, 5]
    store.writes = 0
    assert await take(watcher, 4) == [6, 7, 8, 9]
    assert store.pages == 2


async def test_pages_before_the_last_collect_nothing_that_would_leave_a_gap(monkeypatch):
    monkeypatch.setattr(module, "PAGE_EVENTS", 2)
    store = BusyStore(8, writes=1)
    watcher = store.broadcaster.add(b"/a", None, 1)
    seen = await take(watcher, 12)
    assert seen == list(range(2, 2 + len(seen)))


async def test_a_reader_that_is_cancelled_skips_nothing():
    store = BusyStore(5, writes=2)
    watcher = store.broadcaster.add(b"/a", None, 1)
    reading = asyncio.get_running_loop().create_task(anext(watcher))
    await asyncio.sleep(0)
    store.write()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    store.writes = 0
    assert await take(watcher, 5) == [2, 3, 4, 5, 6]


async def test_a_page_below_the_compaction_line_is_no_history():
    store = BusyStore(5)
    watcher = store.broadcaster.add(b"/a", None, 1)
    store.compact_revision = 4
    with pytest.raises(Compacted):
        await anext(watcher)


async def test_progress_about_a_later_revision_is_told_when_it_is_published():
    store = BusyStore(5)
    watcher = store.broadcaster.add(b"/other", None, 5)
    watcher.request_progress(7)
    async with asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(anext(watcher))
        store.write()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not asked.done()
        store.write()
        batch = await asyncio.wait_for(asked, 5)
    assert (batch.events, batch.revision) == ((), 7)
