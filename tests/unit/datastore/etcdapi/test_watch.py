"""The Watch service over the wire. Numbers: spec/datastore.md."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from grpclib.client import Channel
from grpclib.const import Cardinality, Status
from grpclib.exceptions import GRPCError

from k3py.datastore.etcdapi import watch as watch_module
from k3py.datastore.etcdapi.channel import MessageCodec
from k3py.datastore.factory import open_backend
from k3py.datastore.interface import DeleteOp, PutOp
from tests.support.etcd import served

EVERYTHING = {"key": b"\0", "range_end": b"\0"}


class Watching:
    """One stream of the Watch service."""

    def __init__(self, stream):
        self.stream = stream

    async def send(self, **request):
        await self.stream.send_message(request)

    async def create(self, **request):
        await self.send(create_request=request)
        return await self.next()

    async def next(self):
        return await asyncio.wait_for(self.stream.recv_message(), 5)

    async def silent(self):
        """Say whether nothing more comes: the answer to a watch that is cancelled now is the next response."""
        created = await self.create(key=b"/probe")
        await self.send(cancel_request={"watch_id": created["watch_id"]})
        return created["created"] and (await self.next())["canceled"]


@pytest.fixture
async def store():
    async with open_backend("memory://", history_s=None) as backend, served(backend) as (_, url):
        channel = Channel("127.0.0.1", int(url.rpartition(":")[2]), codec=MessageCodec())

        @asynccontextmanager
        async def stream():
            method = MessageCodec.messages().method("/etcdserverpb.Watch/Watch")
            async with channel.request(
                method.path, Cardinality.STREAM_STREAM, method.request, method.response
            ) as opened:
                yield Watching(opened)
                await opened.cancel()

        backend.stream = stream
        try:
            yield backend
        finally:
            channel.close()


async def put(backend, *keys, value=b"v"):
    return (await backend.txn((), [PutOp(key, value) for key in keys])).revision


def names(response):
    return [event["kv"]["key"] for event in response["events"]]


async def test_created_answers_come_in_order_with_ids_and_the_current_revision(store):  # 46, 47
    await put(store, b"/a")
    async with store.stream() as watch:
        for number in range(3):
            created = await watch.create(key=b"/%d" % number)
            assert (created["created"], created["watch_id"], created["header"]["revision"]) == (
                True,
                number,
                2,
            )


async def test_events_carry_what_was_before_only_when_asked(store):  # 48, 49
    await put(store, b"/a", value=b"1")
    async with store.stream() as watch:
        await watch.create(**EVERYTHING, prev_kv=True, start_revision=2)
        await watch.create(**EVERYTHING, start_revision=3)
        await watch.next()
        await put(store, b"/a", value=b"2")
        await store.txn((), (DeleteOp(b"/a"),))
        seen = {0: [], 1: []}
        while sum(map(len, seen.values())) < 4:
            response = await watch.next()
            seen[response["watch_id"]] += response["events"]
        put_event, delete_event = seen[0]
        assert (put_event["prev_kv"]["value"], put_event["kv"]["version"]) == (b"1", 2)
        assert delete_event["type"] == "DELETE"
        assert delete_event["kv"] == {
            "key": b"/a",
            "value": b"",
            "create_revision": 0,
            "mod_revision": 4,
            "version": 0,
            "lease": 0,
        }
        assert (delete_event["prev_kv"]["value"], delete_event["prev_kv"]["mod_revision"]) == (b"2", 3)
        assert [event.get("prev_kv") for event in seen[1]] == [None, None]


async def test_a_transactions_events_come_in_one_response(store):  # 50, 108
    async with store.stream() as watch:
        await watch.create(**EVERYTHING)
        revision = await put(store, b"/a", b"/b", b"/c")
        response = await watch.next()
        assert names(response) == [b"/a", b"/b", b"/c"]
        assert {event["kv"]["mod_revision"] for event in response["events"]} == {revision}
        assert response["header"]["revision"] == revision


async def test_a_cancelled_watch_is_told_so_and_an_unknown_one_not(store):  # 57
    async with store.stream() as watch:
        await watch.create(**EVERYTHING)
        await watch.send(cancel_request={"watch_id": 9})
        await watch.send(cancel_request={"watch_id": 0})
        canceled = await watch.next()
        assert (canceled["canceled"], canceled["watch_id"], canceled["header"]["revision"]) == (True, 0, 1)
        await put(store, b"/a")
        assert await watch.silent()


async def test_a_compacted_start_is_created_and_then_cancelled(store):  # 58, 106
    for _ in range(3):
        await put(store, b"/a")
    await store.compact(3)
    async with store.stream() as watch:
        assert (await watch.create(**EVERYTHING, start_revision=2))["created"]
        canceled = await watch.next()
        assert (canceled["canceled"], canceled["compact_revision"]) == (True, 3)
        await watch.create(**EVERYTHING, start_revision=3)
        assert [event["kv"]["mod_revision"] for event in (await watch.next())["events"]] == [3, 4]


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"key": b"/a", "start_revision": -1}, "mvcc: required revision has been compacted"),
        ({"key": b"/b", "range_end": b"/a"}, "mvcc: watcher range is empty"),
        ({"key": b"/a", "watch_id": 5}, "mvcc: duplicate watch ID provided on the WatchStream"),
    ],
)
async def test_an_impossible_watch_is_created_and_cancelled_at_once(store, request_, reason):  # 59
    async with store.stream() as watch:
        assert (await watch.create(key=b"/x", watch_id=5))["watch_id"] == 5
        answer = await watch.create(**request_)
        assert (answer["created"], answer["canceled"], answer["watch_id"]) == (True, True, -1)
        assert answer["cancel_reason"] == reason


async def test_filters_hold_back_puts_or_deletes(store):
    async with store.stream() as watch:
        await watch.create(**EVERYTHING, filters=["NODELETE"])
        await watch.create(**EVERYTHING, filters=["NOPUT"])
        await put(store, b"/a")
        await store.txn((), (DeleteOp(b"/a"),))
        seen = {}
        for _ in range(2):
            response = await watch.next()
            seen[response["watch_id"]] = [event["type"] for event in response["events"]]
        assert seen == {0: ["PUT"], 1: ["DELETE"]}


async def test_a_future_start_stays_silent_until_then(store):  # 62, 54
    async with store.stream() as watch:
        await watch.create(**EVERYTHING, start_revision=4)
        await watch.send(progress_request={})
        assert await watch.silent()
        for key in (b"/a", b"/b", b"/c"):
            await put(store, key)
        assert names(await watch.next()) == [b"/c"]


async def test_progress_is_told_once_for_all_watches_behind_their_events(store):  # 52, 54, 107
    async with store.stream() as watch:
        await watch.create(key=b"/a")
        await watch.create(key=b"/b")
        await watch.send(progress_request={})
        idle = await watch.next()
        assert (idle["watch_id"], idle["header"]["revision"], idle["events"]) == (-1, 1, [])
        for _ in range(20):
            await put(store, b"/a")
            await put(store, b"/other")
        await watch.send(progress_request={})
        delivered = 0
        while True:
            response = await watch.next()
            if response["watch_id"] == -1:
                break
            delivered += len(response["events"])
        assert delivered == 20
        assert response["header"]["revision"] == 41


async def test_a_stream_without_watches_is_told_the_current_revision(store):
    await put(store, b"/a")
    async with store.stream() as watch:
        await watch.send(progress_request={})
        assert (await watch.next())["header"]["revision"] == 2


async def test_progress_waits_for_a_revision_that_the_database_has_but_nobody_published_yet(store, monkeypatch):  # 265
    async def ahead():
        return store.current_revision + 2  # as of a shared database, between a commit and its answer

    async with store.stream() as watch:
        await watch.create(key=b"/a")
        await watch.create(key=b"/b")
        monkeypatch.setattr(store, "latest_revision", ahead)
        await watch.send(progress_request={})
        await watch.send(cancel_request={"watch_id": 1})
        assert (await watch.next())["canceled"]
        monkeypatch.undo()
        await put(store, b"/other")
        assert await watch.silent()
        await put(store, b"/other")
        told = await watch.next()
        assert (told["watch_id"], told["header"]["revision"], told["events"]) == (-1, 3, [])


async def test_a_silent_watch_is_told_progress_from_time_to_time_if_it_asked(store):  # 53
    async with store.stream() as watch:
        await watch.create(key=b"/a", progress_notify=True)
        await watch.create(key=b"/a")
        await put(store, b"/b")
        told = await watch.next()
        assert (told["watch_id"], told["events"], told["header"]["revision"]) == (0, [], 2)


async def test_a_large_revision_is_sent_in_fragments_to_who_takes_them(store, monkeypatch):  # 63
    monkeypatch.setattr(watch_module, "FRAGMENT_BYTES", 1000)
    async with store.stream() as watch:
        await watch.create(**EVERYTHING, fragment=True)
        await put(store, *(b"/%d" % number for number in range(10)), value=bytes(300))
        parts = []
        while not parts or parts[-1]["fragment"]:
            parts.append(await watch.next())
        assert len(parts) > 1
        assert [name for part in parts for name in names(part)] == [b"/%d" % n for n in range(10)]


async def test_catching_up_is_sent_in_pieces_between_revisions(store, monkeypatch):
    monkeypatch.setattr(watch_module, "RESPONSE_BYTES", 1000)
    for number in range(10):
        await put(store, b"/a%d" % number, b"/b%d" % number, value=bytes(300))
    async with store.stream() as watch:
        await watch.create(**EVERYTHING, start_revision=1)
        seen, responses = [], 0
        while len(seen) < 20:
            response = await watch.next()
            revisions = [event["kv"]["mod_revision"] for event in response["events"]]
            assert len(revisions) % 2 == 0
            assert response["header"]["revision"] == revisions[-1]
            seen += revisions
            responses += 1
        assert seen == sorted(seen)
        assert responses > 1


async def test_a_stream_ends_as_unavailable_when_the_store_closes(store):  # 60
    async def watch_until_the_end():
        async with store.stream() as watch:
            await watch.create(**EVERYTHING)
            store.stop()
            await watch.next()

    with pytest.raises(GRPCError) as caught:
        await watch_until_the_end()
    assert (caught.value.status, caught.value.message) == (Status.UNAVAILABLE, "etcdserver: server stopped")
