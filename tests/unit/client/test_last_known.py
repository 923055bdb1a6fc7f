import asyncio
import stat

import pytest

from k3py.api.resource import PODS
from k3py.client import last_known
from k3py.client.errors import Unreachable
from k3py.client.last_known import LastKnown, essence, list_name
from k3py.client.reflector import HttpInformerFactory
from k3py.util.supervise import TaskScope
from tests.support.fake_client import FakeClient


def pod(name, **metadata):
    return {"kind": "Pod", "metadata": {"name": name, "namespace": "d", **metadata}, "spec": {}}


async def keep(folder, name, items):
    """Write a list as a component that runs and is stopped does."""
    store = LastKnown(folder)
    store.note(name, lambda: items)
    await stop_at_once(store)


async def stop_at_once(store):
    async with TaskScope() as scope:
        started = asyncio.Event()
        scope.spawn(store.run(started.set), name="last-known")
        await started.wait()
        scope.cancel()


async def test_what_was_kept_is_read_again_by_its_name_alone(tmp_path):
    await keep(tmp_path / "kept", "pods", [pod("b"), pod("a")])
    store = LastKnown(tmp_path / "kept")
    assert [one["metadata"]["name"] for one in await store.read("pods")] == ["a", "b"]
    assert await store.read("services") is None
    assert not store.offline


async def test_only_root_may_read_it(tmp_path):
    folder = tmp_path / "kept"
    await keep(folder, "secrets/../x", [pod("a")])
    (file,) = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_revisions_and_heartbeats_are_not_written(tmp_path):
    def node(version, beat):
        status = {"conditions": [{"lastHeartbeatTime": beat}], "capacity": {"cpu": "2"}}
        return {"kind": "Node", "metadata": {"name": "n", "resourceVersion": version}, "status": status}

    await keep(tmp_path, "nodes", [node("1", "noon")])
    written = (tmp_path / "nodes.json").stat().st_ino
    await keep(tmp_path, "nodes", [node("2", "later")])
    assert (tmp_path / "nodes.json").stat().st_ino == written
    assert essence(node("1", "noon"))["status"] == {"capacity": {"cpu": "2"}}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 1}', b'{"format": 99, "items": []}'])
async def test_a_file_that_makes_no_sense_is_as_good_as_none(tmp_path, content):
    (tmp_path / "pods.json").write_bytes(content)
    assert await LastKnown(tmp_path).recall("pods") is None


async def test_a_list_that_is_too_large_is_not_kept_by_halves(tmp_path, monkeypatch):
    await keep(tmp_path, "pods", [pod("a")])
    monkeypatch.setattr(last_known, "_LARGEST_BYTES", 100)
    await keep(tmp_path, "pods", [pod("a"), pod("b")])
    assert await LastKnown(tmp_path).read("pods") is None


@pytest.mark.looptime
async def test_how_much_is_written_is_bounded_by_time(tmp_path):
    store, asked = LastKnown(tmp_path), []
    loop = asyncio.get_running_loop()

    def snapshot():
        asked.append(loop.time())
        return [pod("a", annotations={"n": f"{len(asked)}" * 40_000})]

    async with TaskScope() as scope:
        scope.spawn(store.run(lambda: None), name="last-known")
        for _ in range(100):
            store.note("pods", snapshot)
            await asyncio.sleep(1)
        scope.cancel()
    assert 2 <= len(asked) <= 14


async def run_informer(client, folder, body):
    store = LastKnown(folder)
    factory = HttpInformerFactory(client, store)
    informer = factory.informer(PODS, field_selector="spec.nodeName=n1")
    async with TaskScope() as scope:
        scope.spawn(store.run(lambda: None), name="last-known")
        scope.spawn(factory.run(lambda: None), name="informers")
        await body(store, informer)
        scope.cancel()


def bound(name):
    return {**pod(name), "spec": {"nodeName": "n1"}}


@pytest.mark.looptime
async def test_an_informer_begins_with_what_was_known_and_tells_deletions_when_the_server_is_back(tmp_path):
    client = FakeClient()
    client.seed(PODS, bound("a"))
    client.seed(PODS, bound("b"))

    async def learn(store, informer):
        await informer.wait_synced()
        assert not store.offline

    await run_informer(client, tmp_path, learn)
    client.remove(PODS, "a", "d")
    client.seed(PODS, bound("c"))
    client.fail("list", PODS, Unreachable("no route to host"), times=3)
    told = []

    async def boot(store, informer):
        await informer.wait_synced()
        assert store.offline
        assert sorted(one["metadata"]["name"] for one in informer.lister.list()) == ["a", "b"]
        informer.add_handler(lambda old, new: told.append(((old or new)["metadata"]["name"], new is None)))
        del told[:]
        while store.offline:
            await asyncio.sleep(0.1)
        assert ("a", True) in told
        assert ("c", False) in told
        assert ("b", True) not in told

    await run_informer(client, tmp_path, boot)


@pytest.mark.looptime
async def test_a_server_that_is_known_to_be_away_is_not_waited_for(tmp_path):
    await keep(tmp_path, "pods", [bound("a")])
    client = FakeClient()
    factory = HttpInformerFactory(client, LastKnown(tmp_path, begins_offline=True))
    informer, asked = factory.informer(PODS), []
    informer.add_handler(lambda old, new: asked.append(list(client.actions)))
    async with TaskScope() as scope:
        scope.spawn(factory.run(lambda: None), name="informers")
        while len(asked) < 2:
            await asyncio.sleep(0.1)
        scope.cancel()
    assert asked[0] == []  # "a" was told before the server was asked
    assert informer.lister.list() == []


def test_lists_of_different_selectors_have_different_names():
    assert list_name(PODS, "", "spec.nodeName=n1") == "pods_spec.nodeName=n1"
    assert list_name(PODS, "d", "") == "pods_d"
