"""Connections of the API server through a real tunnel: TLS from end to end, names verified, and straight where no tunnel leads."""

import asyncio
import ssl
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver

from k3py.apiserver.egress import EgressConnector, LateEgress, open_egress
from k3py.pki.authority import LeafRequest
from tests.support.https_answers import run_answers
from tests.support.throwaway_pki import make_pki
from tests.support.tunnels import tunnel

POD = "203.0.113.7"  # nobody is there


class Names(AbstractResolver):
    async def resolve(self, host, port=0, family=0):
        return [{"hostname": host, "host": POD, "port": port, "family": 2, "proto": 0, "flags": 0}]

    async def close(self):
        pass


@asynccontextmanager
async def world(folder):
    """Yield (egress, TLS settings of a client, the answers of what is behind the tunnel at POD, targets that were dialled)."""
    pki = make_pki(folder)
    leaf = LeafRequest(common_name="web", names=("web.default.svc", POD), usage="server")
    for source, name in zip(pki.issue("pod", leaf), ("server.crt", "server.key"), strict=True):
        (folder / name).write_bytes(source.read_bytes())
    targets = []
    async with run_answers(folder, lambda path, body: (200, {"path": path})) as answers:

        async def dial(target):
            targets.append(target)
            host, _, port = answers.url.removeprefix("https://").rpartition(":")
            return await asyncio.open_connection(host, int(port))

        async with tunnel(dial) as ends:

            class Egress:
                async def connect(self, host, port):
                    return await ends.session.connect(f"{host}:{port}") if host == POD else None

            yield Egress(), ssl.create_default_context(cafile=str(folder / "ca.crt")), answers, targets


async def test_a_stream_with_tls_goes_through_the_tunnel(tmp_path):
    async with world(tmp_path) as (egress, tls, answers, targets):
        late = LateEgress()
        late.inner = egress
        reader, writer = await open_egress(late, POD, 443, tls=tls)
        writer.write(b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
        writer.close()
        with pytest.raises(ssl.SSLCertVerificationError):
            await open_egress(late, POD, 443, tls=tls, server_hostname="other.default.svc")
        assert targets == [f"{POD}:443"] * 2
        assert [path for path, _, _ in answers.requests] == ["/a"]


async def test_aiohttp_goes_through_the_tunnel_too(tmp_path):
    async with world(tmp_path) as (egress, tls, _, targets):
        connector = EgressConnector(egress, resolver=Names(), use_dns_cache=False)
        async with aiohttp.ClientSession(connector=connector) as http:
            async with http.get("https://web.default.svc/b", ssl=tls) as answer:
                assert await answer.json() == {"path": "/b"}
            with pytest.raises(aiohttp.ClientConnectorError):
                await http.get("https://other.default.svc/", ssl=tls)
        assert targets == [f"{POD}:443"] * 2


async def test_without_a_tunnel_it_goes_straight(tmp_path):
    async with world(tmp_path) as (egress, _, answers, targets):
        host, _, port = answers.url.removeprefix("https://").rpartition(":")
        (await open_egress(None, host, int(port), tls=None))[1].close()
        (await open_egress(egress, host, int(port), tls=None))[1].close()
        (await open_egress(LateEgress(), host, int(port), tls=None))[1].close()
        assert targets == []
