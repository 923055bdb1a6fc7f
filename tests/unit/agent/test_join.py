"""Joining: the CA is checked before anything is shown, the right things are asked for, and what is got is kept (J-10 to J-54, acceptance 1 to 4)."""

import asyncio
import base64
import ssl
import stat
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from cryptography import x509

from k3py.agent.errors import JoinRefused, ServerUnreachable, TokenRefused, WrongAuthority
from k3py.agent.join import Joiner, find_joined
from k3py.api.resource import NODES
from k3py.apiserver.connection import ConnectionServer
from k3py.cluster.node_password import NodePasswords
from k3py.cluster.supervisor import Supervisor
from k3py.cluster.token import hash_ca
from k3py.kubelet.server.access import user_of_certificate
from k3py.pki.authority import KeyPair, LeafRequest, make_authority, make_key, sign_leaf
from tests.support.fake_client import FakeClient

SETTINGS = {"clusterCIDR": "10.42.0.0/16"}


class World:
    """A registration endpoint on loopback that remembers the headers of every request."""

    def __init__(self, folder):
        self.folder = folder
        self.authorities = {"server-ca": make_authority("server"), "client-ca": make_authority("client")}
        self.client = FakeClient()
        self.seen = []
        self.authenticates = True
        self.url = ""
        self.supervisor = Supervisor(
            authorities=self.authorities,
            token="K10" + "0" * 64 + "::server:secret",
            authenticate=self._authenticate,
            passwords=NodePasswords(self.client),
            settings=SETTINGS,
        )
        self.supervisor.ready = True

    async def _authenticate(self, request):
        certificate = request.get_extra_info("peercert")
        return user_of_certificate(certificate) if certificate and self.authenticates else None

    async def handle(self, request):
        self.seen.append((request.path, dict(request.headers)))
        return await self.supervisor.handle(request)

    @property
    def ca(self):
        return self.authorities["server-ca"].certificate

    def token(self, password="secret", digest=None):
        return f"K10{digest or hash_ca(self.ca)}::server:{password}"

    def joiner(self, token, *, name="n1", password="p" * 32, folder="agent"):
        return Joiner(
            server=self.url,
            token=token,
            folder=self.folder / folder,
            node_name=name,
            node_ip="192.0.2.7",
            node_password=password,
        )


@asynccontextmanager
async def running(folder):
    world = World(folder)
    key = make_key()
    leaf = LeafRequest(common_name="s", names=("127.0.0.1",), usage="server")
    pair = KeyPair(certificate=sign_leaf(world.authorities["server-ca"], leaf, key=key), key=key)
    pem = folder / "serving.pem"
    pem.write_bytes(pair.certificate + pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    context.load_verify_locations(cadata=world.authorities["client-ca"].certificate.decode())
    context.verify_mode = ssl.CERT_OPTIONAL
    connections = ConnectionServer(world.handle)
    server = await asyncio.get_running_loop().create_server(connections, "127.0.0.1", 0, ssl=context)
    world.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield world
    finally:
        server.close()
        connections.pre_shutdown()
        await connections.shutdown(1)


async def test_certificates_and_settings_come_and_are_kept(tmp_path):
    async with running(tmp_path) as world:
        joined = await world.joiner(world.token()).join()
    assert joined.settings == SETTINGS
    assert find_joined(tmp_path / "agent") == replace(joined, is_remembered=True)
    assert not joined.is_remembered
    kubelet = x509.load_pem_x509_certificate((joined.folder / "client-kubelet.crt").read_bytes())
    assert kubelet.subject.rfc4514_string() == "CN=system:node:n1,O=system:nodes"
    serving = x509.load_pem_x509_certificate((joined.folder / "serving-kubelet.crt").read_bytes())
    names = serving.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {str(one.value) for one in names} == {"n1", "localhost", "127.0.0.1", "192.0.2.7"}
    for key in joined.folder.glob("*.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    keys = {path: path.read_bytes() for path in joined.folder.glob("*.key")}
    async with running(tmp_path) as world:
        await world.joiner(world.token()).join()
    assert keys == {path: path.read_bytes() for path in joined.folder.glob("*.key")}, "joining again keeps the keys"


async def test_a_wrong_hash_stops_before_any_credential_is_sent(tmp_path):
    async with running(tmp_path) as world:
        with pytest.raises(WrongAuthority, match="another cluster"):
            await world.joiner(world.token(digest="a" * 64)).join()
        assert [path for path, _ in world.seen] == ["/cacerts"]
        assert not any("Authorization" in headers for _, headers in world.seen)
    assert not (tmp_path / "agent").exists()


async def test_a_wrong_password_and_a_taken_name_are_refused(tmp_path):
    async with running(tmp_path) as world:
        with pytest.raises(JoinRefused, match="--token") as caught:
            await world.joiner(world.token("guess")).join()
        assert "guess" not in str(caught.value)
        await world.joiner(world.token()).join()
        with pytest.raises(JoinRefused, match="another machine"):
            await world.joiner(world.token(), password="q" * 32, folder="other").join()
        await world.joiner(world.token(), name="n2", password="q" * 32, folder="other").join()


async def test_a_token_for_agents_is_shown_as_one_and_as_no_password(tmp_path):
    bare = "abc123.0123456789abcdef"
    for text in (bare, "K10{}::" + bare):
        async with running(tmp_path) as world:
            with pytest.raises(TokenRefused):
                await world.joiner(text.format(hash_ca(world.ca)), folder=f"agent{len(text)}").join()
            shown = [headers["Authorization"] for _, headers in world.seen if "Authorization" in headers]
            assert set(shown) == {f"Bearer {bare}"}


async def test_a_server_that_is_away_or_starting_is_worth_another_try(tmp_path):
    async with running(tmp_path) as world:
        world.supervisor.ready = False
        with pytest.raises(ServerUnreachable, match="starting"):
            await world.joiner(world.token()).join()
        joiner = world.joiner(world.token())
    with pytest.raises(ServerUnreachable):
        await joiner.join()


async def test_a_node_that_was_deleted_gets_nothing_by_its_certificate(tmp_path):
    async with running(tmp_path) as world:
        await world.joiner(world.token()).join()
        with pytest.raises(TokenRefused):
            await world.joiner(world.token("rotated")).join()


async def test_certificates_are_renewed_by_the_one_that_the_node_has(tmp_path):
    async with running(tmp_path) as world:
        joiner = world.joiner(world.token())
        await joiner.join()
        world.client.seed(NODES, {"metadata": {"name": "n1"}})
        before = {file.name: file.read_bytes() for file in (tmp_path / "agent").glob("*.*")}
        world.seen.clear()
        joiner.node_ip = "192.0.2.8"
        joined = await joiner.renew()
        assert joined.settings == SETTINGS
        assert not any("Authorization" in headers for _, headers in world.seen), "no token is needed"
        assert "/cacerts" not in [path for path, _ in world.seen], "the authority that is known vouches for the server"
    after = {file.name: file.read_bytes() for file in (tmp_path / "agent").glob("*.*")}
    assert {name for name in before if before[name] != after[name]} == {"serving-kubelet.crt", "client-kubelet.crt", "client-kube-proxy.crt"}
    names = x509.load_pem_x509_certificate(after["serving-kubelet.crt"]).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert "192.0.2.8" in {str(one.value) for one in names.value}


async def test_a_token_that_counts_no_longer_is_made_up_for_by_the_certificate(tmp_path):
    async with running(tmp_path) as world:
        await world.joiner(world.token()).join()
        world.client.seed(NODES, {"metadata": {"name": "n1"}})
        rotated = world.joiner(world.token("rotated"))
        await rotated.join()
        with pytest.raises(TokenRefused):
            await world.joiner(world.token("rotated"), folder="other").join()


async def test_a_certificate_that_counts_no_longer_is_made_up_for_by_the_token(tmp_path):
    async with running(tmp_path) as world:
        joiner = world.joiner(world.token())
        await joiner.join()
        world.authenticates = False
        await joiner.renew()


async def test_a_renewal_does_not_believe_another_server(tmp_path):
    async with running(tmp_path) as world:
        joiner = world.joiner(world.token())
        await joiner.join()
        (tmp_path / "agent/server-ca.crt").write_bytes(make_authority("rogue").certificate)
        world.seen.clear()
        with pytest.raises(ServerUnreachable):
            await joiner.renew()
        assert world.seen == []


async def get(world, path, user="", password="secret", method="GET"):
    import aiohttp

    headers = {}
    if user:
        headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    context = ssl.create_default_context(cadata=world.ca.decode())
    async with aiohttp.ClientSession() as session, session.request(method, world.url + path, ssl=context, headers=headers) as answer:
        return answer.status


@pytest.mark.parametrize(
    ("path", "user", "password", "method", "code"),
    [
        ("/cacerts", "", "", "GET", 200),
        ("/ping", "", "", "GET", 200),
        ("/v1-k3py/config", "node", "secret", "GET", 200),
        ("/v1-k3py/config", "server", "secret", "GET", 403),
        ("/v1-k3py/config", "node", "wrong", "GET", 401),
        ("/v1-k3py/config", "", "", "GET", 401),
        ("/v1-k3py/nothing", "node", "secret", "GET", 404),
        ("/v1-k3py/client-kubelet.crt", "node", "secret", "GET", 405),
        ("/v1-k3py/client-kubelet.crt", "node", "secret", "POST", 400),
        ("/v1-k3py/client-kube-proxy.crt", "node", "secret", "POST", 400),
    ],
)
async def test_who_may_ask_for_what(tmp_path, path, user, password, method, code):
    async with running(tmp_path) as world:
        assert await get(world, path, user, password, method) == code
