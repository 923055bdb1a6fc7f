"""Front proxies name users in headers; nobody else can, and their certificates make nobody a user."""

import ssl

import aiohttp
import pytest

from k3py.apiserver.authn.request_header import (
    FrontProxies,
    RequestHeaderAuthenticator,
    describe_authentication,
)
from k3py.apiserver.interface import Credentials
from k3py.pki.authority import LeafRequest, make_authority, make_key, sign_leaf
from tests.support.api_server import run_api_server

REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
HEADERS = [
    ("X-Remote-User", "alice"),
    ("X-Remote-Uid", "u-1"),
    ("X-Remote-Group", "a"),
    ("X-Remote-Group", "b"),
    ("X-Remote-Extra-Example.com%2fKey", "v"),
]


async def ask(server, folder, leaf, headers):
    context = ssl.create_default_context(cafile=folder / "ca.crt")
    context.load_cert_chain(folder / f"{leaf}.crt", folder / f"{leaf}.key")
    connector = aiohttp.TCPConnector(ssl=context)
    async with (
        aiohttp.ClientSession(server.url, connector=connector) as session,
        session.post(REVIEW, json={}, headers=headers) as answer,
    ):
        return answer.status, (await answer.json()).get("status")


async def test_over_tls(tmp_path):
    async with run_api_server(tmp_path) as server:
        status, found = await ask(server, tmp_path, "front-proxy", HEADERS)
        assert status == 201
        assert found["userInfo"] == {
            "username": "alice",
            "uid": "u-1",
            "groups": ["a", "b", "system:authenticated"],
            "extra": {"example.com/key": ["v"]},
        }
        # Without headers its own certificate makes it nobody; with a client's certificate headers are worth nothing.
        assert (await ask(server, tmp_path, "front-proxy", []))[0] == 403
        status, found = await ask(server, tmp_path, "admin", HEADERS)
        assert (status, found["userInfo"]["username"]) == (201, "system:admin")


@pytest.mark.parametrize(("name", "believed"), [("system:auth-proxy", True), ("system:masters", False)])
async def test_only_allowed_names_are_believed(tmp_path, name, believed):
    authority = make_authority("front")
    (tmp_path / "ca.crt").write_bytes(authority.certificate)
    leaf = sign_leaf(authority, LeafRequest(common_name=name), key=make_key())
    credentials = Credentials(
        peer_certificate=ssl.PEM_cert_to_DER_cert(leaf[: leaf.index(b"-----END")].decode() + END),
        peer_authorities=(ssl.PEM_cert_to_DER_cert(authority.certificate.decode()),),
        headers={"x-remote-user": ["alice"]},
    )
    user = await RequestHeaderAuthenticator(FrontProxies(tmp_path / "ca.crt")).authenticate(credentials)
    assert (user is not None) is believed


async def test_authority_that_also_signs_clients_makes_nobody_a_proxy(tmp_path):
    authority = make_authority("both")
    (tmp_path / "ca.crt").write_bytes(authority.certificate)
    proxies = FrontProxies(tmp_path / "ca.crt", tmp_path / "ca.crt")
    chain = (ssl.PEM_cert_to_DER_cert(authority.certificate.decode()),)
    assert not proxies.issued(Credentials(peer_certificate=b"x", peer_authorities=chain))


def test_what_extension_servers_are_told(tmp_path):
    for name in ("client", "front"):
        (tmp_path / name).write_text(name)
    told = describe_authentication(tmp_path / "client", tmp_path / "front")
    assert told["requestheader-allowed-names"] == '["system:auth-proxy"]'
    assert told["requestheader-extra-headers-prefix"] == '["X-Remote-Extra-"]'
    assert (told["client-ca-file"], told["requestheader-client-ca-file"]) == ("client", "front")


END = "-----END CERTIFICATE-----\n"
