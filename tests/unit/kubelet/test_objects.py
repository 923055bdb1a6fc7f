"""What pods refer to, remembered for a start without the server; the fake API goes away and comes back."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from k3py.api.resource import CONFIG_MAPS, PODS, SECRETS, SERVICE_ACCOUNTS
from k3py.client.errors import Unreachable
from k3py.client.last_known import LastKnown
from k3py.kubelet.objects import (
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    RUNTIME_CLASSES,
    ReferencedObjects,
)
from k3py.util import clock
from k3py.util.supervise import TaskScope
from tests.support.fake_client import FakeClient
from tests.support.kubelet import bound_pod

USER = bound_pod("p")
UID = USER["metadata"]["uid"]


def secret(name="s", value="eA=="):
    return {"kind": "Secret", "metadata": {"name": name, "namespace": "default"}, "data": {"k": value}}


@pytest.fixture
def client():
    made = FakeClient()
    made.seed(SECRETS, secret())
    return made


@asynccontextmanager
async def node(client, folder, woken=None):
    """One life of a node; what it knows is written at its end."""
    async with TaskScope() as scope:
        store = LastKnown(folder)
        started = asyncio.Event()
        scope.spawn(store.run(started.set), name="last-known")
        objects = ReferencedObjects(client, scope, (woken if woken is not None else []).append, store)
        await objects.load()
        await started.wait()
        yield objects, store
        scope.cancel()


async def test_a_secret_is_found_without_the_server(client, tmp_path):
    async with node(client, tmp_path) as (objects, _):
        await objects.view(USER).secret("s")
        assert await objects.view(USER).config_map("optional") is None
    client.away = True
    async with node(client, tmp_path) as (objects, _):
        view = objects.view(USER)
        assert (await view.secret("s"))["data"] == {"k": "eA=="}
        assert await view.config_map("optional") is None
        with pytest.raises(Unreachable):
            await view.secret("never-seen")


@pytest.mark.looptime
async def test_a_change_made_meanwhile_wakes_the_pod(client, tmp_path):
    async with node(client, tmp_path) as (objects, _):
        await objects.find(UID, SECRETS, "default", "s")
    client.away = True
    woken = []
    async with node(client, tmp_path, woken) as (objects, _):
        await objects.find(UID, SECRETS, "default", "s")
        client.seed(SECRETS, secret(value="eQ=="))
        client.away = False
        while not woken:
            await asyncio.sleep(0.1)
        assert (await objects.find(UID, SECRETS, "default", "s"))["data"] == {"k": "eQ=="}


async def test_what_no_pod_uses_any_more_is_forgotten(client, tmp_path):
    async with node(client, tmp_path) as (objects, store):
        await objects.find(UID, SECRETS, "default", "s")
        await objects.find("other", CONFIG_MAPS, "default", "c")
    async with node(client, tmp_path) as (objects, store):
        objects.keep_only({UID})
    assert [one["name"] for one in await store.read("referenced")] == ["s"]
    async with node(client, tmp_path) as (objects, store):
        objects.release(UID)
    assert await store.read("referenced") == []


async def test_a_container_that_runs_does_not_ask_again_and_its_secret_stays(client, tmp_path):
    async with node(client, tmp_path) as (objects, store):
        await objects.find(UID, SECRETS, "default", "s")
    async with node(client, tmp_path) as (objects, store):
        objects.keep_only({UID, "other"})
        await objects.find("other", SECRETS, "default", "s")
        objects.release("other")
    (kept,) = await store.read("referenced")
    assert (kept["name"], kept["users"]) == ("s", [UID])


async def test_a_volume_of_a_claim_is_found_without_the_server(client, tmp_path):
    volume = {"kind": "PersistentVolume", "metadata": {"name": "v"}, "spec": {"hostPath": {"path": "/v"}}}
    claim = {
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "c", "namespace": "default"},
        "spec": {"volumeName": "v"},
        "status": {"phase": "Bound"},
    }
    client.seed(PERSISTENT_VOLUMES, volume)
    client.seed(PERSISTENT_VOLUME_CLAIMS, claim)
    async with node(client, tmp_path) as (objects, _):
        await objects.view(USER).bound_volume("c")
    client.away = True
    async with node(client, tmp_path) as (objects, _):
        assert (await objects.view(USER).bound_volume("c"))[0]["spec"] == volume["spec"]


async def test_a_runtime_class_is_known_without_the_server(client, tmp_path):
    client.seed(RUNTIME_CLASSES, {"kind": "RuntimeClass", "metadata": {"name": "safe"}, "handler": "kata"})
    async with node(client, tmp_path) as (objects, _):
        assert await objects.view(USER).runtime_handler("safe") == "kata"
    client.away = True
    async with node(client, tmp_path) as (objects, _):
        assert await objects.view(USER).runtime_handler("safe") == "kata"


async def ask(objects):
    return await objects.token(USER, audience="", expiration_s=3600, path_key="token")


async def test_no_token_is_kept_and_a_pod_that_starts_without_the_server_gets_an_empty_one(client, tmp_path):
    account = {"kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "default"}}
    client.seed(SERVICE_ACCOUNTS, account)
    client.seed(PODS, USER)
    async with node(client, tmp_path) as (objects, store):
        text = await ask(objects)
        store.note("pods", lambda: [USER])
    assert text
    assert all(text not in file.read_text() for file in tmp_path.iterdir())
    client.away = True
    async with node(client, tmp_path) as (objects, store):
        with pytest.raises(Unreachable):
            await ask(objects)  # a server that is away for a moment is waited for
        await store.recall("pods")
        assert await ask(objects) == ""


@pytest.mark.looptime
async def test_a_token_that_cannot_be_renewed_is_not_asked_for_at_every_look(client, tmp_path, monkeypatch):
    client.away = True
    async with node(client, tmp_path) as (objects, store):
        store.note("pods", lambda: [USER])
    async with node(client, tmp_path) as (objects, store):
        await store.recall("pods")
        for _ in range(20):
            await ask(objects)
        assert "create" not in [verb for verb, _, _ in client.actions]
        later_s = clock.wall_s() + 11
        monkeypatch.setattr(clock, "wall_s", lambda: later_s)
        for _ in range(20):
            await ask(objects)
        assert [verb for verb, _, _ in client.actions].count("create") == 1


@pytest.mark.looptime
async def test_a_token_that_ended_while_the_server_is_away_is_asked_for_now_and_then(client, tmp_path, monkeypatch):
    account = {"kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "default"}}
    client.seed(SERVICE_ACCOUNTS, account)
    client.seed(PODS, USER)
    async with node(client, tmp_path) as (objects, _):
        text = await ask(objects)
        client.away = True
        del client.actions[:]
        later_s = clock.wall_s() + 3 * 24 * 3600
        monkeypatch.setattr(clock, "wall_s", lambda: later_s)
        for _ in range(20):
            assert await ask(objects) == text
        assert [verb for verb, _, _ in client.actions].count("create") == 1
        assert objects.renew_at_s(UID) > later_s
