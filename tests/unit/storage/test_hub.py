"""The hub goes on across times when the datastore is away, and reads anew when it was away for too long."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from k3py.datastore.errors import Compacted, Corrupt, Unavailable
from k3py.datastore.factory import open_backend
from k3py.storage import hub
from k3py.storage.errors import RevisionExpired, StorageUnavailable
from k3py.storage.factory import open_storage
from k3py.storage.interface import Deleted, ListQuery, WatchQuery
from tests.support.kinds import WIDGET, widget


class Flaky:
    """A backend whose watch can be made to end by an error, and to stay away."""

    def __init__(self, backend):
        self._backend = backend
        self._failing = asyncio.get_running_loop().create_future()
        self.watches = 0
        self.away = asyncio.Event()
        self.away.set()

    def __getattr__(self, name):
        return getattr(self._backend, name)

    def fail(self, error):
        failing, self._failing = self._failing, asyncio.get_running_loop().create_future()
        failing.set_exception(error)

    @asynccontextmanager
    async def watch(self, start, end=None, *, after):
        self.watches += 1
        await self.away.wait()
        async with self._backend.watch(start, end, after=after) as watch:
            yield self._cut(watch, self._failing)

    async def _cut(self, watch, failing):
        while True:
            batch = asyncio.ensure_future(anext(watch))
            await asyncio.wait((batch, failing), return_when=asyncio.FIRST_COMPLETED)
            if failing.done():
                batch.cancel()
                failing.result()
            yield await batch


@pytest.fixture
async def backend():
    async with open_backend("memory://") as backend:
        flaky = Flaky(backend)
        yield flaky
        if not flaky._failing.done():
            flaky._failing.cancel()


def names(views):
    return [view.name for view in views]


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


async def test_watches_go_on_when_the_datastore_was_away(backend, monkeypatch):
    monkeypatch.setattr(hub, "RETRY_FIRST_S", 0.001)
    async with open_storage(backend) as storage:
        store = await storage.store_for(WIDGET)
        first = await store.create(widget("a"))
        async with store.watch(WatchQuery(after=first.revision)) as watch:
            for round_ in range(3):
                backend.fail(Unavailable("away"))
                await store.create(widget(f"b{round_}"))
            seen = []
            async with asyncio.timeout(30):
                while len(seen) < 3:
                    seen += [item.object.name for item in await anext(watch)]
        assert seen == ["b0", "b1", "b2"]


async def test_after_too_long_all_is_read_anew_and_watchers_list_again(backend):
    async with open_storage(backend) as storage:
        store = await storage.store_for(WIDGET)
        for name in ("gone", "changed", "same"):
            kept = await store.create(widget(name))
        before = storage.current_revision
        async with store.watch(WatchQuery(after=before)) as watch:
            backend.away.clear()
            backend.fail(Unavailable("away"))
            await until(lambda: backend.watches == 2)
            async with open_storage(backend._backend) as elsewhere:
                other = await elsewhere.store_for(WIDGET)

                async def delete(_):
                    return Deleted()

                async def change(view):
                    return {**view.parsed, "spec": {"new": 1}}

                await other.update("default", "gone", delete)
                await other.update("default", "changed", change)
                await other.create(widget("new"))
                latest = elsewhere.current_revision
            await backend._backend.compact(latest)
            backend.away.set()
            with pytest.raises(RevisionExpired):
                async with asyncio.timeout(30):
                    await anext(watch)
        page = await store.list(ListQuery())
        assert names(page.items) == ["changed", "new", "same"]
        assert page.items[0].parsed["spec"] == {"new": 1}
        assert page.items[2] is await store.get("default", "same")
        assert page.items[2].revision == kept.revision
        with pytest.raises(RevisionExpired):
            async with store.watch(WatchQuery(after=before)):
                pass
        async with store.watch(WatchQuery(after=page.revision)) as watch:
            await store.create(widget("later"))
            assert [item.object.name for item in await anext(watch)] == ["later"]


async def test_a_store_that_is_being_opened_meanwhile_has_the_newest_state(backend):
    async with open_storage(backend) as storage:
        await (await storage.store_for(WIDGET)).create(widget("a"))
    async with open_storage(backend) as storage:
        opening = asyncio.ensure_future(storage.store_for(WIDGET))
        backend.fail(Compacted(1))
        store = await opening
        await store.create(widget("b"))
        assert names((await store.list(ListQuery())).items) == ["a", "b"]


async def test_damage_ends_the_storage_with_its_reason(backend):
    async def use():
        async with open_storage(backend) as storage:
            await storage.store_for(WIDGET)
            backend.fail(Corrupt("the file is damaged"))
            await asyncio.Event().wait()

    with pytest.raises(StorageUnavailable, match="the file is damaged"):
        await use()
