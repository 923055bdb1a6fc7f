"""Sharing through the datastore: who is first, who takes over, what is a contradiction (J-73 to J-75)."""

import asyncio
import datetime as dt
import os

import pytest

from k3py.cluster.bootstrap_data.document import BadBootstrapData, SharedFile, encode
from k3py.cluster.bootstrap_data.files import SharedFiles
from k3py.cluster.bootstrap_data.sealing import key_for, seal, unseal
from k3py.cluster.bootstrap_data.sharing import BootstrapStore, ForeignBootstrapData, find_keys, share
from k3py.datastore.factory import open_backend
from tests.support.backends import put

OLD = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
async def backend():
    async with open_backend("memory://") as opened:
        yield opened


class Server:
    """A data dir, and what would make its authority."""

    def __init__(self, backend, folder, password="secret"):
        self.store, self.files = BootstrapStore(backend, password), SharedFiles(folder)
        self.name, self.made = folder.name, 0

    def make(self):
        if "ServerCA" not in self.files.read():
            self.made += 1
            self.put("ServerCA", self.name.encode())

    def put(self, name, content, *, changed=None):
        self.files.write({name: SharedFile(content, OLD)})
        if changed is not None:
            os.utime(self.files.path(name), (changed.timestamp(),) * 2)

    async def start(self, **options):
        await share(self.store, self.files, self.make, **options)
        return {name: one.content for name, one in self.files.read().items()}


async def test_the_second_server_takes_what_the_first_made(backend, tmp_path):
    first, second = Server(backend, tmp_path / "a"), Server(backend, tmp_path / "b")
    assert await first.start() == {"ServerCA": b"a"}
    assert await second.start() == {"ServerCA": b"a"}
    assert second.made == 0
    assert await first.start() == {"ServerCA": b"a"}
    stored = (await backend.range(key_for("secret"))).kvs[0]
    assert b"ServerCA" not in stored.value
    assert b'"ServerCA"' in unseal("secret", stored.value)


async def test_of_servers_that_start_at_once_one_is_first(backend, tmp_path):
    servers = [Server(backend, tmp_path / name) for name in "abcd"]
    async with asyncio.TaskGroup() as group:
        started = [group.create_task(one.start()) for one in servers]
    assert len({one.result()["ServerCA"] for one in started}) == 1


async def test_a_start_that_changes_nothing_writes_nothing(backend, tmp_path):
    server = Server(backend, tmp_path / "a")
    await server.start()
    before = backend.current_revision
    await server.start()
    assert backend.current_revision == before


async def test_a_wiped_data_dir_gets_the_same_files_back(backend, tmp_path):
    await Server(backend, tmp_path / "a").start()
    assert await Server(backend, tmp_path / "wiped").start() == {"ServerCA": b"a"}


async def test_another_token_is_told(backend, tmp_path):
    await Server(backend, tmp_path / "a").start()
    with pytest.raises(ForeignBootstrapData, match="--token: the datastore belongs to a cluster with another token"):
        await Server(backend, tmp_path / "b", password="other").start()
    assert not (tmp_path / "b").exists()


async def test_data_of_a_time_without_tokens_is_sealed_anew(backend, tmp_path):
    await put(backend, key_for(""), seal("", encode({"ServerCA": SharedFile(b"ancient", OLD)})))
    assert await Server(backend, tmp_path / "a").start() == {"ServerCA": b"ancient"}
    assert await find_keys(backend) == {key_for("secret")}


async def test_a_newer_file_of_the_datastore_replaces_an_older_one_which_is_kept(backend, tmp_path):
    await Server(backend, tmp_path / "a").start()
    other = Server(backend, tmp_path / "b")
    other.put("ServerCA", b"stale", changed=OLD)
    assert await other.start() == {"ServerCA": b"a"}
    (kept,) = tmp_path.glob("b/replaced-*/*")
    assert kept.read_bytes() == b"stale"


async def test_a_newer_file_of_the_disk_is_a_contradiction(backend, tmp_path):
    server = Server(backend, tmp_path / "a")
    await server.start()
    server.put("ServerCA", b"by hand", changed=dt.datetime(2099, 1, 1, tzinfo=dt.UTC))
    with pytest.raises(BadBootstrapData, match=r"a/tls/server-ca.crt: newer than in the datastore"):
        await server.start()
    assert server.files.read()["ServerCA"].content == b"by hand"
    assert await server.start(restored=True) == {"ServerCA": b"a"}


async def test_what_a_command_changed_goes_into_the_datastore(backend, tmp_path):
    server, other = Server(backend, tmp_path / "a"), Server(backend, tmp_path / "b")
    await server.start()
    await other.start()
    os.utime(other.files.path("ServerCA"), (OLD.timestamp(),) * 2)
    server.files.mark(["ServerCA"])
    server.put("ServerCA", b"rotated")
    assert await server.start() == {"ServerCA": b"rotated"}
    assert not server.files.marked()
    assert (await server.store.read()).files["ServerCA"].content == b"rotated"
    stored = (await other.store.read()).files
    await other.store.write(
        {"ServerCA": SharedFile(b"rotated", stored["ServerCA"].changed + dt.timedelta(seconds=9))},
        expected=(await other.store.read()).revision,
    )
    assert await other.start() == {"ServerCA": b"rotated"}


async def test_a_file_that_is_new_joins_the_others(backend, tmp_path):
    server = Server(backend, tmp_path / "a")
    await server.start()
    server.put("EncryptionConfig", b"{}")
    await server.start()
    assert await Server(backend, tmp_path / "b").start() == {"ServerCA": b"a", "EncryptionConfig": b"{}"}


async def test_moving_to_another_password_leaves_nothing_under_the_old_one(backend, tmp_path):
    await Server(backend, tmp_path / "a").start()
    assert await BootstrapStore(backend, "secret").move("new")
    assert await find_keys(backend) == {key_for("new")}
    assert await Server(backend, tmp_path / "b", password="new").start() == {"ServerCA": b"a"}


async def test_keys_of_secrets_are_the_datastores_whatever_the_clock_says(backend, tmp_path):
    server = Server(backend, tmp_path / "a")
    server.put("EncryptionConfig", b"first")
    await server.start()
    server.put("EncryptionConfig", b"torn", changed=dt.datetime(2099, 1, 1, tzinfo=dt.UTC))
    assert (await server.start())["EncryptionConfig"] == b"first"
