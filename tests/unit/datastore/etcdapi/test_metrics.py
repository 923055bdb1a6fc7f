"""Figures of the etcd face, read as Prometheus would."""

from __future__ import annotations

import aiohttp
import pytest

from k3py.datastore.errors import NoSpace, Unavailable
from k3py.datastore.etcdapi.client import EtcdClient
from k3py.datastore.etcdapi.listener import ListenAddress
from k3py.datastore.etcdapi.metrics import FaceMetrics
from k3py.datastore.etcdapi.metrics_listener import open_metrics_listener
from k3py.datastore.etcdapi.server import open_etcd_server
from k3py.datastore.factory import open_backend

ANYWHERE = ListenAddress("127.0.0.1", 0)


def figures(text):
    """Return samples as {name and labels: number}."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {name: float(number) for name, _, number in (line.rpartition(" ") for line in lines)}


@pytest.fixture
async def served():
    metrics = FaceMetrics()
    async with (
        open_backend("memory://", history_s=None) as backend,
        open_metrics_listener(backend, metrics, ANYWHERE) as page,
        open_etcd_server(backend, ANYWHERE, metrics=metrics) as url,
        aiohttp.ClientSession() as session,
    ):
        client = EtcdClient([("127.0.0.1", int(url.rpartition(":")[2]))], None)
        yield client, backend, session, page
        await client.close()


async def read(session, page):
    async with session.get(page) as answer:
        assert answer.status == 200
        return figures(await answer.text())


async def test_calls_sizes_and_watches_are_told_under_etcds_names(served):
    client, _, session, page = served
    await client.call("KV/Put", {"key": b"/a", "value": b"v"})
    with pytest.raises(ValueError, match="key is not provided"):
        await client.call("KV/Put", {"key": b"", "value": b"v"})
    async with client.stream("Watch/Watch") as stream:
        await stream.send({"create_request": {"key": b"/a"}})
        assert (await stream.receive())["created"]
        told = await read(session, page)
    call = 'grpc_service="etcdserverpb.KV",grpc_method="Put"'
    assert told[f'grpc_server_handled_total{{{call},grpc_code="OK"}}'] == 1
    assert told[f'grpc_server_handled_total{{{call},grpc_code="InvalidArgument"}}'] == 1
    assert told[f"grpc_server_handling_seconds_count{{{call}}}"] == 2
    assert told["etcd_debugging_mvcc_current_revision"] == 2
    assert told["etcd_debugging_mvcc_watcher_total"] == 1
    assert told["etcd_debugging_mvcc_watch_stream_total"] == 1
    assert told["etcd_mvcc_db_total_size_in_bytes"] >= told["etcd_mvcc_db_total_size_in_use_in_bytes"]
    assert told["etcd_server_has_leader"] == 1
    assert told['k3py_datastore_info{driver="memory"}'] == 1
    assert told["process_resident_memory_bytes"] > 1 << 20


async def test_health_says_whether_the_store_answers(served, monkeypatch):
    _, backend, session, page = served
    health = page.replace("/metrics", "/health")
    async with session.get(health) as answer:
        assert (answer.status, (await answer.json())["health"]) == (200, "true")

    async def away():
        raise Unavailable("the database does not answer")

    monkeypatch.setattr(backend, "latest_revision", away)
    async with session.get(health) as answer:
        told = await answer.json()
        assert (answer.status, told["health"]) == (503, "false")
        assert "does not answer" in told["reason"]


async def test_metrics_say_when_the_store_cannot_be_measured(served, monkeypatch):
    _, backend, session, page = served

    async def full():
        raise NoSpace("the disk is full")

    monkeypatch.setattr(backend, "status", full)
    async with session.get(page) as answer:
        assert (answer.status, await answer.text()) == (503, "the disk is full\n")
