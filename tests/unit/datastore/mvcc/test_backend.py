"""A driver that fails in doubtful ways: nobody is lied to, nothing is lost, no revision is given out twice."""

import asyncio

import pytest

from k3py.datastore.drivers.memory import MemoryLog
from k3py.datastore.errors import NoSpace, Unavailable
from k3py.datastore.mvcc import broadcaster
from k3py.datastore.mvcc.backend import open_mvcc

ALL = (b"\0", b"\0")


class FailingLog(MemoryLog):
    """Fails the next append as told: before or after it has happened."""

    fail = None
    groups = ()

    async def append(self, commit):
        self.groups += (len(commit.events),)
        await asyncio.sleep(0)
        when, self.fail = self.fail, None
        if when == "before":
            raise Unavailable("connection lost")
        if when == "full":
            raise NoSpace("full")
        await super().append(commit)
        if when == "after":
            raise Unavailable("connection lost")


@pytest.fixture
async def opened():
    log = FailingLog()
    async with open_mvcc(log, driver="failing") as backend:
        yield log, backend


async def test_a_commit_that_happened_although_it_failed_becomes_visible(opened):
    log, backend = opened
    async with backend.watch(*ALL, after=1) as watch:
        await backend.create(b"/a", b"1")
        log.fail = "after"
        with pytest.raises(Unavailable):
            await backend.create(b"/b", b"1")
        assert backend.current_revision == 2
        assert await backend.create(b"/b", b"2") is None
        assert await backend.create(b"/c", b"1") == 4
        seen = []
        while len(seen) < 3:
            seen.extend((await asyncio.wait_for(anext(watch), 5)).events)
        assert [(event.kv.key, event.kv.mod_revision) for event in seen] == [
            (b"/a", 2),
            (b"/b", 3),
            (b"/c", 4),
        ]


async def test_a_commit_that_did_not_happen_leaves_no_gap(opened):
    log, backend = opened
    log.fail = "before"
    with pytest.raises(Unavailable):
        await backend.create(b"/a", b"1")
    assert await backend.create(b"/b", b"1") == 2
    assert (await backend.range(*ALL)).count == 1


async def test_a_lease_that_was_granted_although_it_failed_lives(opened):
    log, backend = opened
    log.fail = "after"
    with pytest.raises(Unavailable):
        await backend.grant_lease(100)
    await backend.create(b"/a", b"1")
    (lease,) = (await log.load()).leases
    assert lease.id in backend.reaper


async def test_without_space_only_what_writes_is_refused(opened):
    log, backend = opened
    await backend.create(b"/a", b"1")
    log.fail = "full"
    async with asyncio.TaskGroup() as tasks:
        exists = tasks.create_task(backend.create(b"/a", b"2"))
        refused = tasks.create_task(caught(backend.create(b"/b", b"2")))
        # Only the refused write before it made this one fail.
        also = tasks.create_task(caught(backend.create(b"/b", b"3")))
    assert exists.result() is None
    assert isinstance(refused.result(), NoSpace)
    assert isinstance(also.result(), NoSpace)
    assert await backend.create(b"/b", b"4") == 3


async def caught(awaitable):
    try:
        return await awaitable
    except NoSpace as error:
        return error


async def test_writes_that_wait_are_committed_together(opened):
    log, backend = opened
    async with asyncio.TaskGroup() as tasks:
        for number in range(100):
            tasks.create_task(backend.create(b"/%d" % number, b""))
    assert sum(log.groups) == 100
    assert len(log.groups) <= 2


async def test_a_watcher_over_its_bound_drops_its_buffer_and_reads_the_log(opened, monkeypatch):
    _log, backend = opened
    monkeypatch.setattr(broadcaster, "BUFFER_EVENTS", 10)
    async with backend.watch(*ALL, after=1) as slow:
        for number in range(50):
            await backend.create(b"/%d" % number, b"")
        assert slow._buffer == []
        seen = []
        while len(seen) < 50:
            seen.extend((await asyncio.wait_for(anext(slow), 5)).events)
        assert [event.kv.mod_revision for event in seen] == list(range(2, 52))
        await backend.create(b"/live", b"")
        assert (await asyncio.wait_for(anext(slow), 5)).events[0].kv.key == b"/live"


async def test_an_unexpected_error_ends_the_store_and_nobody_waits_for_ever():
    class Broken(MemoryLog):
        async def append(self, commit):
            raise RuntimeError("bug")

    async def use():
        async with open_mvcc(Broken(), driver="broken") as backend:
            waiting = asyncio.get_running_loop().create_task(caught(backend.create(b"/a", b"")))
            waited.append(waiting)
            await asyncio.sleep(5)

    waited = []
    with pytest.raises(RuntimeError, match="bug"):
        await use()
    with pytest.raises(Unavailable):
        await asyncio.wait_for(waited[0], 5)
