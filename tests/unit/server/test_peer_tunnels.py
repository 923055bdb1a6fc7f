"""A server with a node follows the other servers, never itself."""

import asyncio

from k3py.api.resource import ENDPOINT_SLICES
from k3py.server.peer_tunnels import PeerServers
from k3py.util.supervise import TaskScope
from tests.support.fake_client import FakeClient, FakeInformerFactory


def endpoints(*addresses):
    return [{"addresses": [one]} for one in addresses]


async def test_the_others_are_followed(tmp_path):
    client = FakeClient()
    metadata = {"namespace": "default", "name": "kubernetes", "labels": {"kubernetes.io/service-name": "kubernetes"}}
    ports = [{"name": "https", "port": 6443}]
    client.seed(ENDPOINT_SLICES, {"metadata": metadata, "endpoints": endpoints("192.0.2.1", "192.0.2.2"), "ports": ports})
    servers = PeerServers(FakeInformerFactory(client), lambda: ["192.0.2.1"], 6443)
    learned = asyncio.Queue()
    servers.on_change(lambda: learned.put_nowait(servers.learned))
    async with TaskScope() as scope, asyncio.timeout(30):
        _ = scope.spawn(servers.run(lambda: None), name="peers")
        assert await learned.get() == ("192.0.2.2:6443",)
        more = endpoints("192.0.2.1", "192.0.2.2", "192.0.2.3")
        await client.patch(ENDPOINT_SLICES, "kubernetes", {"endpoints": more}, namespace="default")
        assert await learned.get() == ("192.0.2.2:6443", "192.0.2.3:6443")
        await client.patch(ENDPOINT_SLICES, "kubernetes", {"endpoints": endpoints("192.0.2.1")}, namespace="default")
        assert await learned.get() == ()
        scope.cancel()
