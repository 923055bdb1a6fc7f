"""A server joins another: what it takes, and what it refuses before anything is written."""

import base64
import datetime as dt
import hashlib

import orjson
import pytest

from k3py.cluster.bootstrap_data.document import BadBootstrapData, SharedFile, encode
from k3py.cluster.server_client import NotReachable
from k3py.config.critical import critical_arguments
from k3py.config.server import load_server_config
from k3py.errors import ConfigError, K3pyError
from k3py.server import joining

CA = b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"
WHEN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
FILES = {name: SharedFile(CA, WHEN) for name in ("ServerCA", "ServerCAKey", "ClientCA", "ClientCAKey", "ServiceKey")}
PINNED = f"K10{hashlib.sha256(CA).hexdigest()}::server:secret"


def config_of(folder, *flags, token=PINNED):
    arguments = [f"--data-dir={folder}", "--server=https://192.0.2.1:6443", f"--token={token}", "--node-name=n"]
    return load_server_config([*arguments, "--datastore-endpoint=postgres://h/d", *flags], {})


@pytest.fixture
def other(monkeypatch, tmp_path):
    """What another server answers, by path; an exception is raised once."""
    answers = {
        "/v1-k3py/critical-arguments": orjson.dumps(critical_arguments(config_of(tmp_path), "secret")),
        "/v1-k3py/server-bootstrap": encode(FILES),
    }
    asked = []

    def fetch(address, method, path, body=None):
        asked.append(path)
        answer = answers[path]
        if isinstance(answer, tuple):
            error, answers[path] = answer
            raise error
        return answer

    monkeypatch.setattr(joining, "fetch", fetch)
    answers["asked"] = asked
    return answers


async def test_the_shared_files_are_fetched_once(other, tmp_path):
    await joining.join_servers(config_of(tmp_path))
    assert (tmp_path / "server/tls/server-ca.key").read_bytes() == CA
    assert other["asked"] == ["/v1-k3py/critical-arguments", "/v1-k3py/server-bootstrap"]
    await joining.join_servers(config_of(tmp_path))
    assert len(other["asked"]) == 2


async def test_a_server_that_is_starting_is_waited_for(other, tmp_path, monkeypatch):
    monkeypatch.setattr(joining, "_FIRST_S", 0.001)
    other["/v1-k3py/critical-arguments"] = (NotReachable("not yet"), other["/v1-k3py/critical-arguments"])
    await joining.join_servers(config_of(tmp_path))
    assert (tmp_path / "server/tls/service.key").exists()


async def test_a_refusal_is_final(other, tmp_path):
    other["/v1-k3py/server-bootstrap"] = (K3pyError("--token: the server does not accept it"), b"")
    with pytest.raises(K3pyError, match="does not accept"):
        await joining.join_servers(config_of(tmp_path))


async def test_a_critical_argument_that_differs_is_named(other, tmp_path):
    with pytest.raises(ConfigError, match=r"--cluster-domain: 'b.local': must be 'cluster.local' as on https://192.0.2.1:6443"):
        await joining.join_servers(config_of(tmp_path, "--cluster-domain=b.local"))
    assert not (tmp_path / "server").exists()


async def test_another_agents_token_is_named_but_not_shown(other, tmp_path):
    with pytest.raises(ConfigError, match=r"--agent-token: must be as on https://192.0.2.1:6443") as caught:
        await joining.join_servers(config_of(tmp_path, "--agent-token=for-agents"))
    assert "for-agents" not in str(caught.value)


@pytest.mark.parametrize(
    "document",
    [
        encode({name: one for name, one in FILES.items() if name != "ServiceKey"}),
        encode(FILES | {"ServerCA": SharedFile(b"another", WHEN)}),
        orjson.dumps({"../../../etc/cron.d/x": {"Content": base64.b64encode(b"x").decode()}}),
        b"[" * 500,
    ],
)
async def test_what_a_rogue_server_sends_is_written_nowhere(other, tmp_path, document):
    other["/v1-k3py/server-bootstrap"] = document
    with pytest.raises(BadBootstrapData, match="bootstrap data"):
        await joining.join_servers(config_of(tmp_path))
    assert not (tmp_path / "server").exists()


def test_joining_takes_a_token_and_a_datastore(tmp_path):
    arguments = [f"--data-dir={tmp_path}", "--server=https://192.0.2.1:6443", "--node-name=n"]
    with pytest.raises(ConfigError, match="--token"):
        load_server_config([*arguments, "--datastore-endpoint=postgres://h/d"], {})
    with pytest.raises(ConfigError, match="--datastore-endpoint"):
        load_server_config([*arguments, "--datastore-endpoint=sqlite:///x", "--token=x"], {})
