"""The list of servers follows the endpoints of the Service `kubernetes`."""

import asyncio

from k3py.agent.server_watch import ServerWatch
from k3py.api.resource import ENDPOINT_SLICES
from k3py.cluster.server_list import ServerList
from k3py.util.supervise import TaskScope
from tests.support.fake_client import FakeClient, FakeInformerFactory


def slice_(*addresses):
    return {
        "metadata": {"namespace": "default", "name": "kubernetes", "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [one]} for one in addresses],
        "ports": [{"name": "https", "port": 6443}],
    }


async def test_a_server_that_comes_or_goes_is_learned(tmp_path):
    client = FakeClient()
    client.seed(ENDPOINT_SLICES, slice_("192.0.2.1"))
    servers = ServerList(tmp_path / "servers.json", "https://192.0.2.1:6443")
    learned = asyncio.Queue()
    servers.on_change(lambda: learned.put_nowait(servers.learned))
    async with TaskScope() as scope, asyncio.timeout(30):
        _ = scope.spawn(ServerWatch(servers, FakeInformerFactory(client)).run(lambda: None), name="watch")
        assert await learned.get() == ("192.0.2.1:6443",)
        await client.patch(ENDPOINT_SLICES, "kubernetes", {"endpoints": slice_("192.0.2.1", "192.0.2.2")["endpoints"]}, namespace="default")
        assert await learned.get() == ("192.0.2.1:6443", "192.0.2.2:6443")
        scope.cancel()
