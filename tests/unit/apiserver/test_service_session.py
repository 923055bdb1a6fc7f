"""Webhooks behind Services, over real TLS: called at a ready endpoint, verified under the Service's name."""

from __future__ import annotations

import base64
import ssl
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from k3py.apiserver.admission.webhooks.client import CallFault, WebhookClient
from k3py.apiserver.admission.webhooks.index import Webhook
from k3py.apiserver.aggregation.endpoints import Unavailable
from k3py.apiserver.service_session import ServiceResolver
from k3py.pki.authority import LeafRequest
from tests.support.throwaway_pki import make_pki


class Endpoints:
    """Every Service leads to one port of loopback; `gone` ones nowhere."""

    def __init__(self, port):
        self._port = port
        self.asked = []

    async def resolve(self, service):
        self.asked.append((service.namespace, service.name, service.port))
        if service.name == "gone":
            raise Unavailable("MissingEndpoints", "it has no endpoints")
        return "127.0.0.1", self._port


async def answer(request):
    review = await request.json()
    response = {"uid": review["request"]["uid"], "allowed": True, "warnings": ["w" * 1_000_000]}
    return web.json_response({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response})


@asynccontextmanager
async def webhook_client(folder):
    """Run a webhook with a certificate for the Service s of n; yield (client, its CA as a bundle, who was looked for)."""
    pki = make_pki(folder)
    certificate, key = pki.issue("hook", LeafRequest(common_name="s.n.svc", names=("s.n.svc",), usage="server"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = web.Server(answer)
    runner = web.ServerRunner(server)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    endpoints = Endpoints(runner.addresses[0][1])
    client = WebhookClient(
        lambda: aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=ServiceResolver(endpoints), use_dns_cache=False))
    )
    try:
        yield client, base64.b64encode((folder / "ca.crt").read_bytes()).decode(), endpoints.asked
    finally:
        await client.close()
        await runner.cleanup()


def hook(name, bundle):
    service = {"name": name, "namespace": "n", "port": 8443, "path": "/x"}
    client = {"service": service, "caBundle": bundle}
    return Webhook("c", 0, {"name": "w", "clientConfig": client, "admissionReviewVersions": ["v1"]})


async def test_a_webhook_is_called_at_an_endpoint_of_its_service(tmp_path):
    async with webhook_client(tmp_path) as (client, bundle, asked):
        for _ in range(2):
            response = await client.ask(hook("s", bundle), {"name": "x"}, may_patch=True)
            assert (response["allowed"], len(response["warnings"][0])) == (True, 1_000_000)
        assert asked[0] == ("n", "s", 8443)


@pytest.mark.parametrize(
    ("name", "trusted", "text"),
    [("other", True, "certificate"), ("s", False, "certificate"), ("gone", True, "it has no endpoints")],
)
async def test_who_cannot_be_reached_or_believed_is_not_asked(tmp_path, name, trusted, text):
    async with webhook_client(tmp_path) as (client, bundle, _):
        with pytest.raises(CallFault, match=text):
            await client.ask(hook(name, bundle if trusted else ""), {}, may_patch=True)
