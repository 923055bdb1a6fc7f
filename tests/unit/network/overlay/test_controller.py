"""The overlay follows nodes and this node's address; nothing is written again when nothing has changed."""

import asyncio

from k3py.api.resource import NODES
from k3py.network.interface import Peer
from k3py.network.overlay.controller import OverlayController
from k3py.util.supervise import TaskScope
from tests.support.fake_client import FakeClient, FakeInformerFactory


class Recorder:
    """Overlay and masquerade that note what is asked of them."""

    def __init__(self):
        self.calls = asyncio.Queue()

    outer_ipv6 = False

    async def set_up(self, *, ranges):
        self.calls.put_nowait(("set up", *ranges))

    async def apply(self, peers=(), *, ranges=()):
        self.calls.put_nowait(("masquerade", *ranges) if ranges else ("peers", peers))

    async def before(self):
        self.calls.put_nowait("route")


def node(name, address, cidr):
    addresses = [{"type": "InternalIP", "address": address}]
    return {"metadata": {"name": name}, "spec": {"podCIDR": cidr}, "status": {"addresses": addresses}}


async def test_peers_and_the_own_address_are_followed():
    client, recorder = FakeClient(), Recorder()
    client.seed(NODES, node("n1", "192.0.2.1", "10.42.0.0/24"))
    client.seed(NODES, node("n2", "192.0.2.2", "10.42.1.0/24"))
    controller = OverlayController(
        FakeInformerFactory(client), recorder, recorder, node_name="n1", before=recorder.before
    )
    first = ("peers", (Peer("10.42.1.0/24", "192.0.2.2"),))
    moved = ("peers", (Peer("10.42.1.0/24", "192.0.2.7"),))
    async with TaskScope() as scope, asyncio.timeout(30):
        _ = scope.spawn(controller.run(lambda: None), name="overlay")
        assert [await recorder.calls.get() for _ in range(3)] == [("masquerade", "10.42.0.0/24"), ("set up", "10.42.0.0/24"), first]
        status = {"addresses": node("n2", "192.0.2.7", "")["status"]["addresses"]}
        await client.patch(NODES, "n2", {"status": status}, subresource="status")
        assert await recorder.calls.get() == moved
        controller.address_changed()
        expected = ["route", ("masquerade", "10.42.0.0/24"), ("set up", "10.42.0.0/24"), moved]
        assert [await recorder.calls.get() for _ in range(4)] == expected
        assert recorder.calls.empty()
        scope.cancel()
