"""Asking others: cut off answers, failing servers, forged ones, memory."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from k3py.network.dns.upstream import NoAnswer, Upstream
from k3py.wire.dns import SERVFAIL, A, Answer, Record, build_response, parse_query
from tests.support.dns import make_query, read_response

MANY = tuple(Record("www.example.com", A, 60, f"192.0.2.{number}") for number in range(1, 101))


class NameServer(asyncio.DatagramProtocol):
    """A name server by hand."""

    def __init__(self, answer, *, forge=None):
        self.answer, self.forge, self.asked = answer, forge, []

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, peer):
        self.asked.append("udp")
        if self.forge is not None:
            self.transport.sendto(self.forge(data), peer)
        query = parse_query(data)
        self.transport.sendto(build_response(query, self.answer, limit=512), peer)

    async def stream(self, reader, writer):
        self.asked.append("tcp")
        size = int.from_bytes(await reader.readexactly(2), "big")
        found = build_response(parse_query(await reader.readexactly(size)), self.answer)
        writer.write(len(found).to_bytes(2, "big") + found)
        writer.close()


@asynccontextmanager
async def running(server):
    stream = await asyncio.start_server(server.stream, "127.0.0.1", 0)
    port = stream.sockets[0].getsockname()[1]
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: server, local_addr=("127.0.0.1", port))
    try:
        yield f"127.0.0.1:{port}"
    finally:
        transport.close()
        stream.close()


def ask(upstream, *, size=0, stream=False, number=7):
    data = make_query("www.example.com", A, size=size, number=number)
    return upstream.ask(data, parse_query(data), stream=stream)


async def test_an_answer_that_was_cut_off_is_asked_for_over_tcp_and_given_as_far_as_the_client_takes_it():
    server = NameServer(Answer(0, MANY))
    async with running(server) as address:
        upstream = Upstream(lambda: [address])
        whole = read_response(await ask(upstream, size=4096))
        assert (len(whole["answers"]), server.asked) == (100, ["udp", "tcp"])
        small = read_response(await ask(upstream))
        assert (small["truncated"], small["answers"]) == (True, [])
        assert len(read_response(await ask(upstream, stream=True))["answers"]) == 100


async def test_an_answer_is_asked_for_once():
    server = NameServer(Answer(0, MANY[:1]))
    async with running(server) as address:
        upstream = Upstream(lambda: [address])
        numbers = [read_response(await ask(upstream, number=number))["id"] for number in (1, 2, 3)]
        assert (numbers, server.asked) == ([1, 2, 3], ["udp"])
        upstream.forget()
        await ask(upstream)
        assert server.asked == ["udp", "udp"]


async def test_a_server_that_fails_is_passed_over_and_its_failure_told_when_there_is_no_better():
    bad, good = NameServer(Answer(SERVFAIL)), NameServer(Answer(0, MANY[:1]))
    async with running(bad) as one, running(good) as two:
        assert read_response(await ask(Upstream(lambda: [one, two])))["code"] == 0
        assert read_response(await ask(Upstream(lambda: [one])))["code"] == SERVFAIL
    with pytest.raises(NoAnswer):
        await ask(Upstream(lambda: ["not an address"]))


async def test_an_answer_to_another_question_is_no_answer():
    def forge(data):
        other = parse_query(data[:2] + make_query("evil.example.com", A)[2:])
        return build_response(other, Answer(0, (Record("evil.example.com", A, 60, "203.0.113.66"),)))

    server = NameServer(Answer(0, MANY[:1]), forge=forge)
    async with running(server) as address:
        assert read_response(await ask(Upstream(lambda: [address])))["answers"] == [("www.example.com", A, "192.0.2.1")]
