"""What happens to requests when the etcd face stops."""

from __future__ import annotations

import asyncio

import pytest
from grpclib.const import Status

from k3py.datastore.errors import Unavailable
from k3py.datastore.etcdapi.client import EtcdClient
from k3py.datastore.etcdapi.listener import ListenAddress
from k3py.datastore.etcdapi.server import open_etcd_server
from k3py.datastore.factory import open_backend

PUT = {"key": b"/a", "value": b"v"}


class SlowStore:
    """A store whose transactions wait until they may go on."""

    def __init__(self, backend):
        self._backend = backend
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()

    def __getattr__(self, name):
        return getattr(self._backend, name)

    async def txn(self, *arguments):
        self.begun.set()
        await self.may_end.wait()
        return await self._backend.txn(*arguments)


@pytest.fixture
async def store():
    async with open_backend("memory://", history_s=None) as backend:
        yield SlowStore(backend)


async def stop_while_a_put_runs(store, *, stop_s, during):
    """Stop a server while it answers a put; return what the put and a later one gave."""
    leave, results = asyncio.Event(), []

    async def put(client):
        try:
            results.append((await client.call("KV/Put", PUT))["header"]["revision"])
        except Unavailable as error:
            results.append(str(error))

    async def serve(ready):
        async with open_etcd_server(store, ListenAddress("127.0.0.1", 0), stop_s=stop_s) as url:
            ready.set_result(int(url.rpartition(":")[2]))
            await leave.wait()

    ready = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as tasks:
        stopped = tasks.create_task(serve(ready))
        client = EtcdClient([("127.0.0.1", await ready)], None)
        first = tasks.create_task(put(client))
        await store.begun.wait()
        leave.set()
        await asyncio.sleep(0)
        await during(client, put)
        await asyncio.wait_for(asyncio.wait((stopped, first)), 10)
        await client.close()
    return results


async def test_a_stop_lets_requests_end_and_takes_no_new_ones(store):
    async def during(client, put):
        await put(client)
        store.may_end.set()

    refused, answered = await stop_while_a_put_runs(store, stop_s=60, during=during)
    assert "server stopped" in refused
    assert answered == 2
    assert store.current_revision == 2


async def test_a_stop_does_not_wait_longer_than_it_may(store):
    async def during(client, put):
        return

    (cut,) = await stop_while_a_put_runs(store, stop_s=0.05, during=during)
    assert isinstance(cut, str)
    assert store.current_revision == 1


def test_refusals_tell_clients_to_go_elsewhere():
    from k3py.datastore.etcdapi.in_flight import InFlight

    async def drained():
        counted = InFlight()
        await counted.drain(1)
        with counted.request():
            raise AssertionError("a request was taken")

    with pytest.raises(Exception, match="server stopped") as caught:
        asyncio.run(drained())
    assert caught.value.status is Status.UNAVAILABLE
