"""`k3py token` against a running server, and what the tokens open."""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from k3py.cluster.token import hash_ca
from tests.support.server_process import ServerProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with ServerProcess(tmp_path_factory.mktemp("tokens"), "--disable", "metrics-server") as running:
        yield running


def token(server, *arguments):
    where = ["--kubeconfig", str(server.kubeconfig)]
    if arguments[0] == "rotate":
        where = ["--data-dir", str(server.folder / "data"), "--server", server.url]
    command = [sys.executable, "-m", "k3py", "token", *arguments, *where]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


def status(server, path, authorization):
    context = ssl.create_default_context(cafile=str(server.ca))
    request = urllib.request.Request(server.url + path, headers={"Authorization": authorization})
    try:
        with urllib.request.urlopen(request, context=context, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_a_token_for_agents_lets_them_ask_until_it_is_taken_back(server):
    created = token(server, "create", "--ttl", "1h", "--description", "for the shed")
    assert created.returncode == 0, created.stderr
    hashed, _, bare = created.stdout.strip().partition("::")
    assert hashed == "K10" + hash_ca(server.ca.read_bytes())
    assert status(server, "/v1-k3py/config", f"Bearer {bare}") == 200
    assert status(server, "/v1-k3py/server-bootstrap", f"Bearer {bare}") == 403
    (listed,) = json.loads(token(server, "list", "-o", "json").stdout)
    assert (listed["token"], listed["description"]) == (bare, "for the shed")
    table = token(server, "list").stdout.splitlines()
    assert table[0].split() == ["TOKEN", "TTL", "EXPIRES", "USAGES", "DESCRIPTION", "EXTRA", "GROUPS"]
    assert table[1].split()[:2] == [bare, "59m"]
    deleted = token(server, "delete", created.stdout.strip())
    assert deleted.returncode == 0, deleted.stderr
    assert status(server, "/v1-k3py/config", f"Bearer {bare}") == 401
    assert token(server, "delete", bare).returncode == 1


def test_a_rotated_token_opens_and_the_old_one_does_not(server):
    file = server.folder / "data/server/token"
    old = file.read_text().strip().rpartition(":")[2]
    assert status(server, "/v1-k3py/config", basic("node", old)) == 200
    rotated = token(server, "rotate", "--new-token", "another-password")
    assert rotated.returncode == 0, rotated.stderr
    assert file.read_text().strip().endswith("::server:another-password")
    assert rotated.stdout.splitlines()[0].endswith(file.read_text().strip())
    assert status(server, "/v1-k3py/config", basic("node", old)) == 401
    assert status(server, "/v1-k3py/config", basic("node", "another-password")) == 200
    short = token(server, "rotate", "--new-token", "short")
    assert (short.returncode, "at least 8" in short.stderr) == (1, True)
    assert token(server, "rotate").returncode == 0
    random = file.read_text().strip().rpartition(":")[2]
    assert len(random) == 32


def test_agents_with_a_token_of_their_own_are_no_servers(tmp_path):
    with ServerProcess(tmp_path, "--disable", "metrics-server", "--agent-token", "for-agents") as server:
        password = (tmp_path / "data/server/token").read_text().strip().rpartition(":")[2]
        paths = ("/v1-k3py/config", "/v1-k3py/critical-arguments")
        found = {
            (user, secret): [status(server, path, basic(user, secret)) for path in paths]
            for user in ("node", "server")
            for secret in ("for-agents", password)
        }
        assert found == {
            ("node", "for-agents"): [200, 403],
            ("node", password): [401, 401],
            ("server", "for-agents"): [401, 401],
            ("server", password): [403, 200],
        }
