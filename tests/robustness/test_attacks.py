"""What a stranger, a thief and a bad neighbour can try on a server's one port (docs/threat-model.md). Each test names the rule that it guards."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import json
import socket
import ssl

import aiohttp
import pytest
from cryptography import x509
from yarl import URL

from k3py.agent.errors import WrongAuthority
from k3py.agent.join import Joiner
from k3py.cluster.token import hash_ca, parse_token
from k3py.pki.authority import LeafRequest, make_authority, make_key, make_signing_request, sign_leaf
from tests.support.https_answers import run_answers
from tests.support.server_process import ServerProcess
from tests.support.throwaway_pki import make_pki

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

PUBLIC = ("/healthz", "/livez", "/readyz", "/version", "/cacerts", "/ping")
CLOSED = (
    "/",
    "/api",
    "/apis",
    "/api/v1/secrets",
    "/api/v1/nodes",
    "/api/v1/namespaces/kube-system/secrets",
    "/openapi/v2",
    "/openapi/v3",
    "/metrics",
    "/logs/",
    "/debug/pprof/",
    "/configz",
    "/openid/v1/jwks",
    "/.well-known/openid-configuration",
    "/v1-k3py/config",
    "/v1-k3py/client-ca.crt",
    "/v1-k3py/readyz",
    "/v1-k3py/encrypt/status",
    "/v1-k3py/../cacerts",
    "/v1-k3py/%2e%2e/api/v1/secrets",
    "/static/../../etc/passwd",
    "/..%2f..%2f..%2fetc%2fpasswd",
    "//etc/passwd",
    "/api/v1/namespaces/../../secrets",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("attacked")
    with ServerProcess(folder, "--node-name", "s1") as server:
        server.token = (folder / "data" / "server" / "node-token").read_text().strip()
        yield server


class Client:
    """Asks as somebody: with a client certificate, a user and password, a bearer token, or nothing."""

    def __init__(self, server, *, certificate=None, basic=None, bearer=""):
        self._url = server.url
        self._context = ssl.create_default_context(cafile=str(server.ca))
        if certificate:
            self._context.load_cert_chain(*certificate)
        self._headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        if basic:
            self._headers["Authorization"] = "Basic " + base64.b64encode(":".join(basic).encode()).decode()

    async def ask(self, method, path, body=None, **headers):
        """Send the path as it is, undecoded; return status and body."""
        connection = aiohttp.TCPConnector(ssl=self._context)
        headers = self._headers | {name.replace("_", "-"): value for name, value in headers.items()}
        if isinstance(body, dict):
            body, headers["Content-Type"] = json.dumps(body), "application/json"
        async with aiohttp.ClientSession(connector=connection) as session:
            url = URL(self._url + path, encoded=True)
            async with session.request(method, url, data=body, headers=headers, timeout=aiohttp.ClientTimeout(60)) as answer:
                return answer.status, await answer.read()


def admin(server):
    return Client(server, certificate=(server.admin_cert, server.admin_key))


def password(server):
    return parse_token(server.token).password


async def until_ready(server):
    async with asyncio.timeout(60):
        while (await Client(server, basic=("node", password(server))).ask("GET", "/v1-k3py/readyz"))[0] != 200:
            await asyncio.sleep(0.1)


async def test_strangers_learn_health_version_and_the_authority_and_nothing_else(server):
    await until_ready(server)
    stranger = Client(server)
    for path in PUBLIC:
        assert (await stranger.ask("GET", path))[0] in (200, 500), path  # 500: not all of it is healthy yet
    for path in CLOSED:
        status, body = await stranger.ask("GET", path)
        assert status in (401, 403, 404), (path, status)
        assert b"root:" not in body
    _, told = await stranger.ask("GET", "/cacerts")
    assert b"PRIVATE" not in told


@pytest.mark.parametrize("bearer", ["wrong", "abcdef.0123456789abcdef", "a.b.c", "eyJhbGciOiJub25lIn0.eyJpc3MiOiJ4In0."])
async def test_wrong_tokens_are_nobody(server, bearer):
    await until_ready(server)
    for path in ("/api/v1/secrets", "/v1-k3py/config"):
        assert (await Client(server, bearer=bearer).ask("GET", path))[0] == 401


async def test_a_bootstrap_token_ends_when_it_says(server):
    await until_ready(server)
    now = dt.datetime.now(dt.UTC)
    tokens = {"aaaaaa": now + dt.timedelta(hours=1), "bbbbbb": now - dt.timedelta(seconds=1)}
    for name, ends in tokens.items():
        data = {
            "token-id": name,
            "token-secret": "0123456789abcdef",
            "usage-bootstrap-authentication": "true",
            "expiration": ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        body = {"metadata": {"name": f"bootstrap-token-{name}"}, "type": "bootstrap.kubernetes.io/token", "stringData": data}
        assert (await admin(server).ask("POST", "/api/v1/namespaces/kube-system/secrets", body))[0] == 201
    answers = [
        (await Client(server, bearer=f"{name}.0123456789abcdef").ask("GET", "/v1-k3py/config"))[0] for name in tokens
    ]
    assert answers == [200, 401]


async def test_certificates_of_a_foreign_authority_are_not_even_heard(server, tmp_path):
    authority, key = make_authority("foreign"), make_key()
    leaf = sign_leaf(authority, LeafRequest(common_name="system:admin", organizations=("system:masters",)), key=key)
    (tmp_path / "c").write_bytes(leaf)
    (tmp_path / "k").write_bytes(key)
    with pytest.raises(aiohttp.ClientError):
        await Client(server, certificate=(tmp_path / "c", tmp_path / "k")).ask("GET", "/api/v1/secrets")


async def test_roles_of_the_registration_endpoint_are_apart(server):
    as_node, as_server = (Client(server, basic=(name, password(server))) for name in ("node", "server"))
    assert (await as_node.ask("GET", "/v1-k3py/config"))[0] == 200
    assert (await as_node.ask("GET", "/v1-k3py/encrypt/status"))[0] == 403
    assert (await as_server.ask("GET", "/v1-k3py/encrypt/status"))[0] == 200
    assert (await as_server.ask("GET", "/v1-k3py/config"))[0] == 403
    assert (await Client(server, basic=("admin", password(server))).ask("GET", "/v1-k3py/config"))[0] == 401
    assert (await as_node.ask("GET", "/api/v1/nodes"))[0] in (401, 403)  # the API knows no passwords


NODE = {"k3py_Node_Name": "n1", "k3py_Node_Password": "first machine"}


async def test_malformed_and_oversize_certificate_requests_are_refused_and_subjects_are_ours_to_choose(server):
    await until_ready(server)
    node = Client(server, basic=("node", password(server)))
    path = "/v1-k3py/client-kubelet.crt"
    request = make_signing_request(make_key(), "system:admin")
    broken = bytearray(request)
    broken[-1] ^= 1  # not signed by its own key any more
    for body in (b"", b"garbage", bytes(broken), b"\x30\x84\xff\xff\xff\xff" + bytes(1000), bytes(1_000_000)):
        status, answer = await node.ask("POST", path, body, **NODE)
        assert status in (400, 413), status
        assert b"Traceback" not in answer
    for name in ("", "../../etc", "n1/../s1", "a" * 300, "system:masters"):
        assert (await node.ask("POST", path, request, **NODE | {"k3py_Node_Name": name}))[0] == 400, name
    status, chain = await node.ask("POST", path, request, **NODE)
    assert status == 200
    assert x509.load_pem_x509_certificate(chain).subject.rfc4514_string() == "CN=system:node:n1,O=system:nodes"


async def test_a_replayed_request_names_nobody_else_and_needs_the_nodes_password(server, tmp_path):
    await until_ready(server)
    node = Client(server, basic=("node", password(server)))
    path, key = "/v1-k3py/client-kubelet.crt", make_key()
    request = make_signing_request(key, "n1")
    _, chain = await node.ask("POST", path, request, **NODE)
    thief = NODE | {"k3py_Node_Password": "another machine"}
    assert (await node.ask("POST", path, request, **thief))[0] == 403
    # Overheard, it is of no use without the key; whose certificate has one gets none for another name.
    (tmp_path / "c").write_bytes(chain)
    (tmp_path / "k").write_bytes(key)
    itself = Client(server, certificate=(tmp_path / "c", tmp_path / "k"))
    assert (await itself.ask("POST", path, request, **NODE))[0] == 401, "its Node is not there, or not any more"
    assert (await admin(server).ask("POST", "/api/v1/nodes", {"metadata": {"name": "n1"}}))[0] in (201, 409)
    assert (await itself.ask("POST", path, request, **NODE))[0] == 200
    assert (await itself.ask("POST", path, request, **NODE | {"k3py_Node_Name": "s1"}))[0] in (400, 403)


async def test_a_node_reads_its_own_and_no_other_nodes_secrets(server, tmp_path):
    await until_ready(server)
    node, key = Client(server, basic=("node", password(server))), make_key()
    _, chain = await node.ask("POST", "/v1-k3py/client-kubelet.crt", make_signing_request(key, "n1"), **NODE)
    (tmp_path / "c").write_bytes(chain)
    (tmp_path / "k").write_bytes(key)
    kubelet = Client(server, certificate=(tmp_path / "c", tmp_path / "k"))
    boss, where = admin(server), "/api/v1/namespaces/default"
    for name, node_name in (("mine", "n1"), ("theirs", "s1")):
        body = {"metadata": {"name": name}, "data": {"k": "dg=="}}
        assert (await boss.ask("POST", f"{where}/secrets", body))[0] in (201, 409)
        volume = {"name": "v", "secret": {"secretName": name}}
        spec = {"nodeName": node_name, "containers": [{"name": "c", "image": "i"}], "volumes": [volume]}
        body = {"metadata": {"name": name}, "spec": spec | {"automountServiceAccountToken": False}}
        async with asyncio.timeout(60):  # until the default account is there
            while (await boss.ask("POST", f"{where}/pods", body))[0] not in (201, 409):
                await asyncio.sleep(0.1)
    assert (await kubelet.ask("GET", f"{where}/secrets/mine"))[0] == 200
    for path in (f"{where}/secrets/theirs", f"{where}/secrets", "/api/v1/secrets", "/api/v1/namespaces/kube-system/secrets"):
        assert (await kubelet.ask("GET", path))[0] == 403, path
    forged = {"metadata": {"name": "forged"}, "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]}}
    forged["spec"]["volumes"] = [{"name": "v", "secret": {"secretName": "theirs"}}]
    assert (await kubelet.ask("POST", f"{where}/pods", forged))[0] == 403
    assert (await kubelet.ask("DELETE", "/api/v1/nodes/s1"))[0] in (403, 404)


async def test_guessing_is_slow_and_locks_nobody_out(server):
    wrong = Client(server, basic=("node", "wrong"))
    for _ in range(10):
        assert (await wrong.ask("GET", "/v1-k3py/config"))[0] == 401
    answers = [status for status, _ in await asyncio.gather(*(wrong.ask("GET", "/v1-k3py/config") for _ in range(30)))]
    assert answers.count(429) >= 20
    right = Client(server, basic=("node", password(server)))
    assert (await right.ask("GET", "/v1-k3py/config"))[0] == 200


async def test_hundreds_of_half_open_handshakes_leave_others_alone(server):
    host, port = "127.0.0.1", int(server.url.rpartition(":")[2])
    idle = [socket.socket() for _ in range(500)]
    try:
        for number, one in enumerate(idle):
            one.bind(("127.0.0.2", 0))  # one address has half of the places: others are those who come from elsewhere
            one.setblocking(False)
            one.connect_ex((host, port))
            if number % 2:
                await asyncio.sleep(0)
        for one in idle[::2]:
            try:
                one.send(b"\x16\x03\x01\x02\x00\x01")  # the beginning of a ClientHello, and then nothing
            except OSError:
                continue
        for _ in range(5):
            assert (await admin(server).ask("GET", "/version"))[0] == 200
    finally:
        for one in idle:
            one.close()


async def test_a_rogue_server_learns_no_secret(tmp_path):
    make_pki(tmp_path)
    token = f"K10{hash_ca(make_authority('genuine').certificate)}::server:the secret"
    settings = {"folder": tmp_path, "node_name": "n", "node_ip": "192.0.2.1", "node_password": "p"}
    async with run_answers(tmp_path, lambda path, body: (200, "its own authority")) as rogue:
        with pytest.raises(WrongAuthority):
            await Joiner(server=rogue.url, token=token, **settings).join()
    assert [path for path, _, _ in rogue.requests] == ["/cacerts"]
    assert not any("Authorization" in headers for _, _, headers in rogue.requests)
