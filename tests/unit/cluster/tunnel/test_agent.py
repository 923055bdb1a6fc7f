"""An agent keeps a tunnel to every server, tells its load balancer how they are, and comes back."""

import asyncio
import ssl
from contextlib import asynccontextmanager

import pytest

from k3py.apiserver.connection import ConnectionServer
from k3py.cluster.load_balancer import LoadBalancer
from k3py.cluster.server_list import ServerList
from k3py.cluster.tunnel import agent as module
from k3py.cluster.tunnel.agent import AgentTunnels
from k3py.cluster.tunnel.dial_policy import DialPolicy
from k3py.cluster.tunnel.gateway import TunnelGateway
from k3py.kubelet.server.access import user_of_certificate
from k3py.pki.authority import LeafRequest
from k3py.util.supervise import TaskScope
from tests.support.throwaway_pki import make_pki
from tests.support.tunnels import listening

pytestmark = pytest.mark.timeout(60)


class PlayedServer:
    """A server of the registration endpoint that knows tunnels only."""

    def __init__(self, folder):
        self.gateway = TunnelGateway()
        self.opened = 0
        self.port = 0
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(folder / "s.crt", folder / "s.key")
        self._tls.load_verify_locations(folder / "ca.crt")
        self._tls.verify_mode = ssl.CERT_REQUIRED

    async def start(self):
        async def handle(request):
            self.opened += 1
            return await self.gateway.serve(request, user_of_certificate(request.get_extra_info("peercert")))

        self._connections = ConnectionServer(handle)
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._connections, "127.0.0.1", self.port, ssl=self._tls)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def stop(self):
        self._listener.close()
        self._connections.pre_shutdown()
        await self._connections.shutdown(0.1)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"


@asynccontextmanager
async def world(folder, monkeypatch, count=1, join=None, kubelet_port=10250):
    monkeypatch.setattr(module, "FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(module, "LONGEST_RETRY_S", 0.02)
    monkeypatch.setattr(module, "_LAST_RESORT_S", 0.01)
    pki = make_pki(folder)
    pki.issue("s", LeafRequest(common_name="s", names=("127.0.0.1",), usage="server"))
    certificate, key = pki.issue("n2", LeafRequest(common_name="system:node:n2", organizations=("system:nodes",)))
    tls = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    tls.load_cert_chain(certificate, key)
    played = [PlayedServer(folder) for _ in range(count)]
    for one in played:
        await one.start()
    servers = ServerList(folder / "servers.json", f"https://{join or played[0].address}")
    balancer = LoadBalancer(servers, port=0)
    policy = DialPolicy(mode="agent", kubelet_port=kubelet_port, pods=list, nodes=list, cluster_cidrs=())
    tunnels = AgentTunnels(servers, balancer, tls=tls, server_hostname="127.0.0.1", dial_policy=policy)
    async with TaskScope() as scope:
        _ = scope.spawn(tunnels.run(lambda: None), name="tunnels")
        try:
            yield played, servers, balancer, tunnels
        finally:
            scope.cancel()
    for one in played:
        await one.stop()
    for _ in range(10):  # closing transports
        await asyncio.sleep(0)


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.002)


async def test_the_kubelet_is_reached_and_nothing_else(tmp_path, monkeypatch):
    async def greet(reader, writer):
        writer.write(b"kubelet")
        writer.close()

    async with listening(greet) as port, world(tmp_path, monkeypatch, kubelet_port=port) as ((server,), *_):
        await until(lambda: server.gateway.find("n2"))
        session = server.gateway.find("n2")
        reader, writer = await asyncio.open_unix_connection(sock=await session.connect(f"127.0.0.1:{port}"))
        assert await reader.read() == b"kubelet"
        writer.close()
        with pytest.raises(OSError, match="must not be dialled"):
            await session.connect(f"127.0.0.1:{server.port}")


async def test_a_server_that_ends_is_unwell_until_its_tunnel_stands_again(tmp_path, monkeypatch):
    async with world(tmp_path, monkeypatch, count=2) as ((first, second), servers, balancer, tunnels):
        await servers.learn([first.address, second.address])
        await until(lambda: tunnels.connected == {first.address, second.address})
        await first.stop()
        await until(lambda: tunnels.connected == {second.address})
        assert balancer.order() == [second.address, first.address]
        await first.start()
        await until(lambda: tunnels.connected == {first.address, second.address})
        balancer.mark_bad(second.address)
        assert balancer.order() == [first.address, second.address]


async def test_the_address_to_join_is_used_while_no_server_is_reached(tmp_path, monkeypatch):
    async with world(tmp_path, monkeypatch, count=2) as ((join, real), servers, _, tunnels):
        await until(lambda: tunnels.connected == {join.address})
        await servers.learn(["127.0.0.1:1"])  # nobody is there
        await asyncio.sleep(0.02)
        assert tunnels.connected == {join.address}
        await servers.learn([real.address])
        await until(lambda: tunnels.connected == {real.address})
        await until(lambda: join.gateway.count() == 0)
        await real.stop()
        await until(lambda: tunnels.connected == {join.address})
        await real.start()


async def test_a_machine_that_moves_opens_its_tunnels_anew(tmp_path, monkeypatch):
    async with world(tmp_path, monkeypatch) as ((server,), servers, _, tunnels):
        await servers.learn([server.address])
        await until(lambda: tunnels.connected)
        tunnels.reconnect()
        await until(lambda: server.opened == 2)
        await until(lambda: server.gateway.count() == 1)


async def test_a_tunnel_whose_server_cannot_be_dialled_is_doubted(tmp_path, monkeypatch):
    async with world(tmp_path, monkeypatch, count=2) as ((first, second), servers, balancer, tunnels):
        await servers.learn([first.address, second.address])
        await until(lambda: len(tunnels.connected) == 2)
        first._listener.close()  # what stands, stands; nobody new is let in
        async with balancer.listening():
            balancer._health[first.address] = min(balancer._health.values())
            balancer._rank[first.address] = -1.0
            _, writer = await asyncio.open_connection("127.0.0.1", balancer.port)
            await until(lambda: tunnels.connected == {second.address})
            writer.close()
        await first.start()
