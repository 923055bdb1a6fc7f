import asyncio

import pytest

from k3py.datastore.factory import open_backend
from k3py.storage.errors import ObjectNotFound, RevisionExpired
from k3py.storage.factory import open_storage
from k3py.storage.interface import Deleted, ListQuery, WatchQuery, WatchType
from tests.support.kinds import BEAT, NOTE


@pytest.fixture(params=["memory", "sqlite"])
async def backend(request, tmp_path):
    async with open_backend("memory://" if request.param == "memory" else "", data_dir=tmp_path) as backend:
        yield backend


def lease(name="n1", holder="n1", renewed="2026-01-01T00:00:00.000000Z"):
    return {
        "kind": "Lease",
        "apiVersion": "coordination.k8s.io/v1",
        "metadata": {"name": name, "namespace": "kube-node-lease", "uid": f"uid-{name}"},
        "spec": {"holderIdentity": holder, "renewTime": renewed},
    }


async def renew(store, renewed, name="n1", **spec):
    async def change(view):
        return {**view.parsed, "spec": {**view.parsed["spec"], "renewTime": renewed, **spec}}

    return await store.update("kube-node-lease", name, change)


async def test_renewals_are_seen_and_watched_but_not_written(backend):
    async with open_storage(backend) as storage:
        store = await storage.store_for(BEAT)
        created = await store.create(lease())
        durable = backend.current_revision
        async with store.watch(WatchQuery(after=created.revision)) as events:
            views = [await renew(store, f"t{i}") for i in range(5)]
            items = []
            while len(items) < 5:
                items += await anext(events)
        assert backend.current_revision == durable
        assert [item.object.revision for item in items] == [view.revision for view in views]
        assert all(item.type is WatchType.MODIFIED for item in items)
        assert [v.revision for v in views] == sorted({v.revision for v in views})
        assert views[0].revision > created.revision
        now = await store.get("kube-node-lease", "n1")
        assert (now.parsed["spec"]["renewTime"], now.revision) == ("t4", views[-1].revision)
        assert (await store.list(ListQuery())).revision == views[-1].revision


async def test_change_of_holder_is_durable_at_once_and_survives_a_crash(backend):
    async with open_storage(backend) as storage:
        store = await storage.store_for(BEAT)
        await store.create(lease())
        await renew(store, "t1")
        taken = await renew(store, "t2", holderIdentity="other")
        await renew(store, "t3")
        storage.write_down = lambda: asyncio.sleep(0)
    async with open_storage(backend) as storage:
        store = await storage.store_for(BEAT)
        view = await store.get("kube-node-lease", "n1")
        assert view.parsed["spec"] == {"holderIdentity": "other", "renewTime": "t2"}
        assert view.revision > taken.revision + 1


@pytest.mark.parametrize("cancelled", [False, True])
async def test_clean_stop_writes_the_last_renewal_down(backend, cancelled):
    async def serve(ready):
        async with open_storage(backend) as storage:
            store = await storage.store_for(BEAT)
            await store.create(lease())
            await renew(store, "t1")
            ready.set()
            if cancelled:
                await asyncio.Event().wait()

    ready = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        server = group.create_task(serve(ready))
        await ready.wait()
        if cancelled:
            server.cancel()
    async with open_storage(backend) as storage:
        view = await (await storage.store_for(BEAT)).get("kube-node-lease", "n1")
        assert view.parsed["spec"]["renewTime"] == "t1"


async def test_revisions_grow_across_restarts_and_old_watches_are_told_so(backend):
    seen = 0
    for _ in range(3):
        async with open_storage(backend) as storage:
            store = await storage.store_for(BEAT)
            if seen:
                with pytest.raises(RevisionExpired):
                    async with store.watch(WatchQuery(after=seen)):
                        pass
            else:
                await store.create(lease())
            view = await renew(store, f"after {seen}")
            assert view.revision > seen
            seen = view.revision


async def test_deletion_of_a_renewed_lease_is_durable_and_seen_in_order(backend):
    async with open_storage(backend) as storage:
        store = await storage.store_for(BEAT)
        await store.create(lease())
        beat = await renew(store, "t1")
        async with store.watch(WatchQuery(after=beat.revision)) as events:

            async def change(view):
                return Deleted()

            gone = await store.update("kube-node-lease", "n1", change)
            (item,) = await anext(events)
        assert item.type is WatchType.DELETED
        assert item.object.revision == gone.revision > beat.revision
        assert item.object.parsed["spec"]["renewTime"] == "t1"
    async with open_storage(backend) as storage:
        with pytest.raises(ObjectNotFound):
            await (await storage.store_for(BEAT)).get("kube-node-lease", "n1")


async def test_concurrent_renewal_and_take_over_do_not_lose_each_other(backend):
    async with open_storage(backend) as storage:
        store = await storage.store_for(BEAT)
        await store.create(lease())
        async with asyncio.TaskGroup() as group:
            for i in range(5):
                group.create_task(renew(store, f"t{i}"))
            group.create_task(renew(store, "t9", holderIdentity="other"))
        assert (await store.get("kube-node-lease", "n1")).parsed["spec"]["holderIdentity"] == "other"


async def test_objects_with_a_lifetime_share_leases(backend):
    granted = []
    grant = backend.grant_lease

    async def counting(ttl_s):
        granted.append(ttl_s)
        return await grant(ttl_s)

    backend.grant_lease = counting
    async with open_storage(backend) as storage:
        store = await storage.store_for(NOTE)
        for i in range(20):
            await store.create(
                {"kind": "Event", "apiVersion": "v1", "metadata": {"name": f"e{i}", "namespace": "d"}}
            )
    assert granted == [3660]
    assert all(kv.lease for kv in (await backend.range(b"/registry/events/", b"/registry/events0")).kvs)
