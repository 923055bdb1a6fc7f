"""Servers that share a datastore agree on arguments and keys."""

import asyncio
import logging

import pytest

from k3py.cluster.bootstrap_data.document import SharedFile
from k3py.config.critical import critical_arguments
from k3py.config.server import load_server_config
from k3py.datastore.factory import open_backend
from k3py.errors import ConfigError
from k3py.server.living_servers import PREFIX, LivingServer
from k3py.server.peers import KeysFollower, check_peers
from k3py.server.shared_identity import share_identity
from k3py.util import clock
from k3py.util.supervise import TaskScope
from tests.support.backends import put


@pytest.fixture
async def backend():
    async with open_backend("memory://") as opened:
        yield opened


def config_of(*flags):
    given = ["--data-dir=/nowhere", "--node-name=n2", "--node-ip=192.0.2.2", *flags]
    return load_server_config(given, {})


async def other_server(backend, *flags, address="192.0.2.1"):
    arguments = critical_arguments(config_of(*flags), "password")
    server = LivingServer(address=address, port=6443, node_name="n1", arguments=arguments)
    await put(backend, PREFIX + address.encode(), server.document)


async def test_a_living_server_with_other_arguments_is_named_with_the_flag(backend):
    await other_server(backend)
    await check_peers(config_of(), backend, "password")
    with pytest.raises(ConfigError, match=r"--service-cidr: '10.96.0.0/16': must be '10.43.0.0/16' as on n1 \(192.0.2.1\)"):
        await check_peers(config_of("--service-cidr=10.96.0.0/16"), backend, "password")


async def test_what_this_server_said_in_a_former_life_binds_nobody(backend, caplog):
    await other_server(backend, "--cluster-domain=former", address="192.0.2.2")
    with caplog.at_level(logging.WARNING):
        await check_peers(config_of(), backend, "password")
    assert "--advertise-address" in caplog.text, "the record bears the name of another node"


class Encryption:
    """Remembers what it is to adopt."""

    def __init__(self):
        self.peers, self.adopted = None, asyncio.Queue()

    async def follow(self, peers):
        self.peers = peers

    async def adopt(self, files):
        await self.adopted.put(files)


async def test_keys_that_another_server_stores_are_taken_at_once(backend, tmp_path, caplog):
    shared = await share_identity(load_server_config([f"--data-dir={tmp_path}", "--node-name=n"], {}), backend)
    encryption, living = Encryption(), object()
    async with TaskScope() as scope:
        started = asyncio.Event()
        scope.spawn(KeysFollower(backend, shared, encryption, living).run(started.set), name="follower")
        await started.wait()
        assert encryption.peers is living
        assert await encryption.adopted.get() == {}
        stored = await shared.store.read()
        new = {"EncryptionConfig": SharedFile(b"new", clock.now())}
        await shared.store.write({**stored.files, **new}, expected=stored.revision)
        async with asyncio.timeout(30):
            assert await encryption.adopted.get() == {"EncryptionConfig": b"new"}
            with caplog.at_level(logging.WARNING):
                await shared.store.move("another-password")
                while "restart this one with the new --token" not in caplog.text:
                    await asyncio.sleep(0.005)
        scope.cancel()
