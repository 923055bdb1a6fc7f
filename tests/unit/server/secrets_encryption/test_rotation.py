"""Re-encryption in a running server, and after it was killed at any of its writes."""

import asyncio
import base64

import pytest

from k3py.api.kinds.core.secret import KIND
from k3py.datastore.factory import open_backend
from k3py.errors import K3pyError
from k3py.server.secrets_encryption.key_files import KeyFiles, as_files
from k3py.server.secrets_encryption.key_ring import BUSY, RotationRefused
from k3py.server.secrets_encryption.rotation import SecretsEncryption
from k3py.storage.encryption.at_rest import EncryptionAtRest
from k3py.storage.factory import open_storage
from k3py.storage.interface import ListQuery
from k3py.util.supervise import TaskScope


class Killed(Exception):
    """Stands for kill -9."""


class Server:
    """One life of a server on a datastore and a folder; `kill_at`: how many writes of key files it survives."""

    def __init__(self, backend, folder, kill_at=None):
        self.backend = backend
        self.files = KeyFiles(folder)
        self.left = kill_at
        self.refuses = False

    async def __aenter__(self):
        ring = self.files.load(wanted=True, provider="aescbc")
        if self.left is not None:
            self._break_writes()
        at_rest = EncryptionAtRest(ring.rules)
        self._storage = open_storage(self.backend, transformers=at_rest)
        self.storage = await self._storage.__aenter__()
        self.store = await self.storage.store_for(KIND)
        self.shared: list[dict[str, bytes]] = []

        async def share(new, before):
            if self.refuses:
                raise K3pyError("another server")
            self.shared.append(dict(new))

        self.encryption = SecretsEncryption(
            ring, self.files, at_rest, self.storage, [KIND], provider="aescbc", share=share
        )
        return self

    async def __aexit__(self, *_):
        await self._storage.__aexit__(None, None, None)

    def _break_writes(self):
        import k3py.server.secrets_encryption.key_files as module

        write, server = module.write_atomically, self

        def counted(*args, **kwargs):
            if server.left == 0:
                raise Killed
            server.left -= 1
            write(*args, **kwargs)

        self.patched = (module, write)
        module.write_atomically = counted

    def mend(self):
        module, write = self.patched
        module.write_atomically = write

    async def until_done(self):
        """Run the component until nothing is to be re-encrypted any more."""
        async with TaskScope() as scope:
            task = scope.spawn(self.encryption.run(lambda: None), name="encryption")
            while self.encryption.status()["stage"] in BUSY:
                if task.done():
                    task.result()
                await asyncio.sleep(0)
            scope.cancel()

    def encryption_files(self):
        return as_files(self.encryption._ring)

    async def fill(self, count):
        for number in range(count):
            await self.store.create(secret(f"s{number}"))

    async def names(self):
        return [one.name for one in (await self.store.list(ListQuery())).items]


def secret(name):
    data = {"k": base64.b64encode(b"hidden").decode()}
    return {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": name, "namespace": "d"}, "data": data}


async def used_keys(backend):
    found = await backend.range(b"/registry/secrets/", b"/registry/secrets0")
    return {kv.value.split(b":")[4].decode() if kv.value.startswith(b"k8s:enc:") else "" for kv in found.kvs}


@pytest.fixture
async def backend():
    async with open_backend("memory://") as backend:
        yield backend


async def test_rotating_keys_leaves_one_new_key_and_everything_sealed_by_it(backend, tmp_path):
    async with Server(backend, tmp_path) as server:
        await server.fill(250)
        assert await used_keys(backend) == {"aescbckey"}
        await server.encryption.change({"stage": "rotate_keys"})
        await server.until_done()
        status = server.encryption.status()
        assert (status["stage"], status["inactivekeys"]) == ("reencrypt_finished", [])
        assert await used_keys(backend) == {status["activekey"]["name"]}
        assert status["activekey"]["name"].startswith("aescbckey-")
    async with Server(backend, tmp_path) as server:
        assert len(await server.names()) == 250


async def test_disabling_and_enabling_needs_no_restart(backend, tmp_path):
    async with Server(backend, tmp_path) as server:
        await server.fill(3)
        await server.encryption.change({"enable": False})
        await server.encryption.change({"stage": "reencrypt", "force": True})
        await server.until_done()
        assert await used_keys(backend) == {""}
        await server.encryption.change({"enable": True})
        await server.store.create(secret("later"))
        active = server.encryption.status()["activekey"]["name"]
        assert active != "aescbckey"  # a name never stands for two keys: old snapshots may still hold what the first one sealed
        assert await used_keys(backend) == {"", active}


@pytest.mark.parametrize("survived", range(6))
async def test_killed_at_any_write_nothing_is_lost_and_the_next_start_ends_well(backend, tmp_path, survived):
    async with Server(backend, tmp_path) as server:
        await server.fill(5)
    server = Server(backend, tmp_path, kill_at=survived)
    try:
        async with server:
            try:
                await server.encryption.change({"stage": "rotate_keys"})
                await server.until_done()
            except* Killed:
                pass
    finally:
        server.mend()
    async with Server(backend, tmp_path) as server:
        assert len(await server.names()) == 5
        await server.until_done()
        status = server.encryption.status()
        assert await used_keys(backend) == {status["activekey"]["name"]}
        assert status["stage"] in ("start", "reencrypt_finished")
    async with Server(backend, tmp_path) as server:
        assert len(await server.names()) == 5


@pytest.mark.parametrize("request_body", [{}, {"stage": "burn"}, {"stage": "rotate"}, {"enable": "yes"}])
async def test_steps_that_are_none_change_nothing(backend, tmp_path, request_body):
    async with Server(backend, tmp_path) as server:
        before = server.encryption.status()
        with pytest.raises(RotationRefused):
            await server.encryption.change(request_body)
        assert server.encryption.status() == before


async def test_status_shows_no_secret(backend, tmp_path):
    async with Server(backend, tmp_path) as server:
        [key] = server.files.load(wanted=True, provider="aescbc").keys
        assert key.secret not in str(server.encryption.status())
    for file in tmp_path.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600


async def test_keys_are_in_the_datastore_before_they_are_on_the_disk_or_not_at_all(backend, tmp_path):
    async with Server(backend, tmp_path) as server:
        await server.encryption.change({"stage": "prepare"})
        assert server.shared[-1]["EncryptionConfig"] == (tmp_path / "encryption-config.json").read_bytes()
        assert server.shared[-1]["EncryptionHash"] == (tmp_path / "encryption-state.json").read_bytes()
        server.refuses, before = True, server.encryption.status()
        with pytest.raises(K3pyError, match="another server"):
            await server.encryption.change({"stage": "rotate"})
        assert server.encryption.status() == before
        assert server.shared[-1]["EncryptionConfig"] == (tmp_path / "encryption-config.json").read_bytes()


class Peers:
    """Another server, which takes keys when it is told to."""

    def __init__(self, encryption, *, other=None):
        self.encryption, self.other, self.own = encryption, other, ""
        self.seen, self.changed = [], asyncio.Event()

    async def tell(self, keys_hash):
        self.own = keys_hash
        self.changed.set()

    def keys_hashes(self):
        return {"own": self.own, "other": self.own if self.other is None else self.other}

    async def wait_changed(self):
        self.seen.append(self.encryption.status())
        self.other = self.own
        await self.changed.wait()
        self.changed.clear()


async def test_a_new_key_seals_only_when_the_other_server_has_it(backend, tmp_path):
    async with Server(backend, tmp_path) as server:
        await server.fill(3)
        peers = Peers(server.encryption)
        await server.encryption.follow(peers)
        peers.other = "stale"
        await server.encryption.change({"stage": "rotate_keys"})
        first = peers.seen[0]
        assert first["hashmatch"] is False
        assert "other" in first["hasherror"]
        assert first["activekey"]["name"] == "aescbckey", "the old key must seal until the other server knows the new one"
        assert len(first["inactivekeys"]) == 1
        assert server.encryption.status()["activekey"]["name"] == first["inactivekeys"][0]["name"]
        peers.other = None
        server.encryption.lead(whether=True)
        await server.until_done()
        assert server.encryption.status()["hashmatch"] is True
        assert "aescbckey" not in await used_keys(backend)


async def test_a_server_that_does_not_take_the_new_key_is_named_and_the_old_key_goes_on(backend, tmp_path, monkeypatch):
    monkeypatch.setattr("k3py.server.secrets_encryption.rotation._AGREE_S", 0.01)
    async with Server(backend, tmp_path) as server:
        peers = Peers(server.encryption, other="stale")
        peers.wait_changed = asyncio.Event().wait
        await server.encryption.follow(peers)
        with pytest.raises(K3pyError, match="other: has other keys"):
            await server.encryption.change({"stage": "rotate_keys"})
        assert server.encryption.status()["activekey"]["name"] == "aescbckey"


async def test_keys_of_another_server_are_taken_into_use(backend, tmp_path):
    async with Server(backend, tmp_path / "a") as one, Server(backend, tmp_path / "b") as two:
        await two.encryption.adopt(one.encryption_files())
        await one.encryption.change({"stage": "prepare"})
        await two.encryption.adopt(one.shared[-1])
        assert two.encryption.status()["hash"] == one.encryption.status()["hash"]
        assert (tmp_path / "b/encryption-config.json").read_bytes() == one.shared[-1]["EncryptionConfig"]
        await two.encryption.adopt({})
        assert two.encryption.status()["hash"] == one.encryption.status()["hash"]


async def test_of_several_servers_the_leader_re_encrypts_whoever_was_asked(backend, tmp_path):
    async with Server(backend, tmp_path / "a") as asked, Server(backend, tmp_path / "b") as leader:
        await leader.encryption.adopt(asked.encryption_files())
        await asked.fill(3)
        for one in (asked, leader):
            await one.encryption.follow(Peers(one.encryption))
        async with TaskScope() as scope:
            for one in (asked, leader):
                scope.spawn(one.encryption.run(lambda: None), name="encryption")
            await asked.encryption.change({"stage": "rotate_keys"})
            await leader.encryption.adopt(asked.shared[-1])
            for _ in range(20):
                await asyncio.sleep(0)
            assert leader.encryption.status()["stage"] == "reencrypt_request", "nobody leads"
            assert await used_keys(backend) == {"aescbckey"}
            leader.encryption.lead(whether=True)
            async with asyncio.timeout(30):
                while leader.encryption.status()["stage"] in BUSY:
                    await asyncio.sleep(0.001)
            assert "aescbckey" not in await used_keys(backend)
            assert asked.encryption.status()["stage"] == "reencrypt_request", "it does not know yet"
            asked.encryption.lead(whether=True)  # and when it leads next, it does it once more or is told that it is done
            await asked.encryption.adopt(leader.shared[-1])
            async with asyncio.timeout(30):
                while asked.encryption.status()["stage"] in BUSY:
                    await asyncio.sleep(0.001)
            assert asked.encryption.status()["hash"] == leader.encryption.status()["hash"]
            scope.cancel()
