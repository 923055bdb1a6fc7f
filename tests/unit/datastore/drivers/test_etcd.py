"""What the driver `etcd` does when endpoints fail; the rest is in the contract."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from k3py.datastore.drivers import etcd_watch
from k3py.datastore.drivers.etcd_watch import EtcdWatch
from k3py.datastore.errors import Compacted, Unavailable
from k3py.datastore.etcdapi.listener import ListenAddress
from k3py.datastore.etcdapi.server import open_etcd_server
from k3py.datastore.factory import open_backend
from k3py.datastore.interface import PutOp
from tests.support.etcd import free_port

ALL = (b"\0", b"\0")


@asynccontextmanager
async def member(backend, port):
    async with open_etcd_server(backend, ListenAddress("127.0.0.1", port)) as url:
        yield url


@pytest.fixture
async def store():
    async with open_backend("memory://", history_s=None) as backend:
        yield backend


def cluster(*ports):
    return ",".join(f"http://127.0.0.1:{port}" for port in ports)


async def events_of(watch, count):
    found = []
    while len(found) < count:
        found += (await asyncio.wait_for(anext(watch), 5)).events
    return [event.kv.key for event in found]


async def test_an_endpoint_that_does_not_answer_is_passed_over(store):
    dead, living = free_port(), free_port()
    async with member(store, living), open_backend(cluster(dead, living), history_s=None) as remote:
        assert await remote.create(b"/a", b"1") == 2


async def test_calls_and_watches_go_on_at_the_next_endpoint(store):
    ports = free_port(), free_port()
    async with AsyncExitStack() as first, member(store, ports[1]):
        await first.enter_async_context(member(store, ports[0]))
        async with (
            open_backend(cluster(*ports), history_s=None) as remote,
            remote.watch(*ALL, after=1) as watch,
        ):
            await remote.create(b"/a", b"1")
            assert await events_of(watch, 1) == [b"/a"]
            await first.aclose()
            assert (await remote.range(b"/a")).count == 1
            await remote.create(b"/b", b"1")
            assert await events_of(watch, 1) == [b"/b"]


async def test_a_cluster_that_comes_back_is_used_again(store):
    port = free_port()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(member(store, port))
        async with open_backend(cluster(port), history_s=None) as remote, remote.watch(*ALL, after=1) as watch:
            await stack.aclose()
            with pytest.raises(Unavailable):
                await remote.range(b"/a")
            await store.txn((), (PutOp(b"/missed", b""),))
            async with member(store, port):
                assert await events_of(watch, 1) == [b"/missed"]
                assert (await remote.range(b"/missed")).count == 1


async def test_no_endpoint_at_all_is_told_with_names():
    port = free_port()
    with pytest.raises(Unavailable, match=f"127.0.0.1:{port}"):
        async with open_backend(cluster(port)):
            pass


class Answers:
    """A client whose one stream gives prepared responses."""

    def __init__(self, *responses):
        self.responses = list(responses)
        self.requests = []

    @asynccontextmanager
    async def stream(self, name):
        yield self

    async def send(self, request):
        self.requests.append(request)

    async def receive(self):
        if not self.responses:
            await asyncio.Event().wait()
        return {
            "created": False,
            "canceled": False,
            "compact_revision": 0,
            "fragment": False,
            "events": [],
            **self.responses.pop(0),
        }


def row(key, revision, created):
    numbers = {"mod_revision": revision, "create_revision": created, "version": 2, "lease": 0}
    return {"key": key, "value": b"v", **numbers}


async def first_of(client, after):
    watch = EtcdWatch(client, lambda _: None, lambda: 9, ALL, after, "test")
    task = asyncio.get_running_loop().create_task(watch.run())
    try:
        return await asyncio.wait_for(anext(watch), 1)
    finally:
        task.cancel()


async def test_an_event_without_its_previous_row_ends_the_watch_as_compacted():
    client = Answers(
        {"header": {"revision": 9}, "events": [{"type": "PUT", "kv": row(b"/a", 7, 3)}]},
    )
    with pytest.raises(Compacted) as caught:
        await first_of(client, 5)
    assert caught.value.compact_revision == 8


async def test_a_revision_in_fragments_is_given_as_one_batch():
    def part(key, *, more):
        event = {"type": "PUT", "kv": row(key, 7, 7)}
        return {"header": {"revision": 9}, "events": [event], "fragment": more}

    batch = await first_of(Answers(part(b"/a", more=True), part(b"/b", more=False)), 5)
    assert [event.kv.key for event in batch.events] == [b"/a", b"/b"]
    assert batch.revision == 7  # not the header's: more may be on the way


async def test_what_was_delivered_before_is_not_given_again():
    events = [{"type": "PUT", "kv": row(b"/%d" % number, number, number)} for number in (5, 6)]
    client = Answers({"header": {"revision": 6}, "events": events})
    batch = await first_of(client, 5)
    assert [event.kv.key for event in batch.events] == [b"/6"]
    assert client.requests[0]["create_request"]["start_revision"] == 5


async def test_a_start_just_behind_the_compaction_line_is_asked_for_exactly():
    client = Answers(
        {"header": {"revision": 9}, "canceled": True, "compact_revision": 6},
        {"header": {"revision": 9}, "events": [{"type": "PUT", "kv": row(b"/a", 6, 6)}]},
    )
    assert (await first_of(client, 5)).revision == 6
    starts = [request["create_request"]["start_revision"] for request in client.requests]
    assert starts == [5, 6]


def put(revision):
    return {"header": {"revision": 9}, "events": [{"type": "PUT", "kv": row(b"/a", revision, revision)}]}


def progress(revision):
    return {"header": {"revision": revision}}


class EarlyAnswers(Answers):
    """Plays an etcd that answers at once that all is delivered, and delivers the event after the third answer."""

    async def receive(self):
        if not self.responses:
            asked = [request for request in self.requests if "progress_request" in request]
            if not asked:
                await asyncio.sleep(0.001)
                return {**CREATED, "created": True}
            self.requests.remove(asked[0])
            self.answered += 1
            self.responses.append(put(9) if self.answered == 3 else progress(9))
        return await super().receive()

    answered = 0


CREATED = {"header": {"revision": 9}, "canceled": False, "compact_revision": 0, "fragment": False, "events": []}


async def progress_of(client, **options):
    watch = EtcdWatch(client, lambda _: None, lambda: 9, ALL, 5, "test", **options)
    watch.request_progress()
    task = asyncio.get_running_loop().create_task(watch.run())
    try:
        return await asyncio.wait_for(anext(watch), 30)
    finally:
        task.cancel()


async def test_an_etcd_that_answers_early_is_asked_until_what_is_on_the_way_has_come(monkeypatch):
    monkeypatch.setattr(etcd_watch, "SETTLE_S", 0.0)
    batch = await progress_of(EarlyAnswers(), answers_early=True)
    assert ([event.kv.mod_revision for event in batch.events], batch.revision) == ([9], 9)
    assert (await progress_of(EarlyAnswers())).events == ()  # any other is believed at once


async def test_an_etcd_that_answers_early_is_not_believed_while_it_catches_up(monkeypatch):
    monkeypatch.setattr(etcd_watch, "SETTLE_S", 3600.0)
    client = Answers({"header": {"revision": 9}, "created": True}, *(progress(9) for _ in range(20)), put(9))
    batch = await progress_of(client, answers_early=True)
    assert [event.kv.mod_revision for event in batch.events] == [9]
