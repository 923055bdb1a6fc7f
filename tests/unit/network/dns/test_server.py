"""The server over real sockets: UDP, TCP, truncation, names of others."""

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest

from k3py.api.resource import CONFIG_MAPS, NODES, SERVICES
from k3py.network.dns.records import ClusterRecords
from k3py.network.dns.server import DnsServer
from k3py.network.dns.upstream import Upstream
from k3py.util.supervise import TaskScope
from k3py.wire.dns import NXDOMAIN, SERVFAIL, A
from tests.support.dns import make_query, read_response
from tests.support.fake_client import FakeClient, FakeInformerFactory


@asynccontextmanager
async def serving(upstream, *services):
    client = FakeClient()
    for one in services:
        client.seed(SERVICES, one)
    informers = FakeInformerFactory(client)
    records = ClusterRecords(informers, domain="cluster.local")
    server = DnsServer(informers, records, upstream, node_name="n", address="127.0.0.1", port=0)
    async with TaskScope() as scope:
        _ = scope.spawn(server.run(lambda: None), name="dns")
        while not server.port:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        try:
            yield server
        finally:
            scope.cancel()


SERVICE = {"metadata": {"name": "s", "namespace": "a"}, "spec": {"clusterIP": "10.43.0.7", "clusterIPs": ["10.43.0.7"]}}
NOBODY = Upstream(tuple)


async def ask_udp(port, query):
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        await loop.sock_connect(sender, ("127.0.0.1", port))
        await loop.sock_sendall(sender, query)
        async with asyncio.timeout(5):
            return read_response(await loop.sock_recv(sender, 65535))


async def ask_tcp(port, *queries):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found = []
    for query in queries:
        writer.write(len(query).to_bytes(2, "big") + query)
        size = int.from_bytes(await reader.readexactly(2), "big")
        found.append(read_response(await reader.readexactly(size)))
    writer.close()
    return found


async def test_services_are_found_over_udp_and_tcp():
    async with serving(NOBODY, SERVICE) as server:
        query = make_query("s.a.svc.cluster.local", A, number=11)
        assert (await ask_udp(server.port, query))["answers"] == [("s.a.svc.cluster.local", A, "10.43.0.7")]
        answers = await ask_tcp(server.port, query, make_query("no.a.svc.cluster.local", A))
        assert [one["code"] for one in answers] == [0, NXDOMAIN]
        assert answers[1]["authority"], "a negative answer says how long it holds"


async def test_other_names_are_asked_upstream_with_an_id_of_our_own():
    async with serving(NOBODY, SERVICE) as other:
        upstream = Upstream(lambda: ["127.0.0.1"], port=other.port)
        client = FakeClient()
        informers = FakeInformerFactory(client)
        elsewhere = ClusterRecords(informers, domain="else.where")
        server = DnsServer(informers, elsewhere, upstream, node_name="n")
        query = make_query("s.a.svc.cluster.local", A, number=4711)
        for stream in (False, True):
            answer = read_response(await server.answer(query, stream=stream))
            assert (answer["id"], answer["answers"]) == (4711, [("s.a.svc.cluster.local", A, "10.43.0.7")])


async def test_without_anybody_upstream_the_failure_is_told():
    async with serving(NOBODY) as server:
        assert (await ask_udp(server.port, make_query("example.com", A)))["code"] == SERVFAIL


@pytest.mark.parametrize("data", [b"", b"x", b"\0" * 11])
async def test_rubbish_gets_nothing_or_an_error(data):
    async with serving(NOBODY) as server:
        assert len(await server.answer(data, stream=False)) in (0, 12)


async def test_the_operators_names_and_zones_and_those_of_nodes():
    client = FakeClient()
    informers = FakeInformerFactory(client)
    server = DnsServer(informers, ClusterRecords(informers, domain="cluster.local"), NOBODY, node_name="n")
    status = {"addresses": [{"type": "InternalIP", "address": "192.0.2.7"}, {"type": "Hostname", "address": "n1"}]}
    client.seed(NODES, {"metadata": {"name": "n1"}, "status": status})

    async def ask(name):
        return read_response(await server.answer(make_query(name, A), stream=False))

    async with serving(NOBODY, SERVICE) as stub:
        async with TaskScope() as scope:
            _ = scope.spawn(informers.run(lambda: None), name="informers")
            zone = f"s.a.svc.cluster.local {{\n forward . 127.0.0.1:{stub.port}\n}}"
            elsewhere = ClusterRecords(informers, domain="else.where")
            server = DnsServer(informers, elsewhere, NOBODY, node_name="n")
            data = {"a.server": zone, "b.override": "hosts {\n 192.0.2.9 printer.example\n}"}
            client.seed(CONFIG_MAPS, {"metadata": {"name": "coredns-custom", "namespace": "kube-system"}, "data": data})
            assert (await ask("n1"))["answers"] == [("n1", A, "192.0.2.7")]
            assert (await ask("Printer.example"))["answers"] == [("Printer.example", A, "192.0.2.9")]
            assert (await ask("s.a.svc.cluster.local"))["answers"] == [("s.a.svc.cluster.local", A, "10.43.0.7")]
            assert (await ask("other.example"))["code"] == SERVFAIL
            client.remove(CONFIG_MAPS, "coredns-custom", "kube-system")
            assert (await ask("printer.example"))["code"] == SERVFAIL
            scope.cancel()
