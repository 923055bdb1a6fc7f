"""Asking a server: nothing is shown before it is known, and its answers are bounded."""

import pytest

from k3py.cluster import server_client
from k3py.cluster.server_client import NotReachable, ServerAddress, ask_server, fetch
from k3py.cluster.token import hash_ca
from k3py.errors import ConfigError, K3pyError
from k3py.pki.authority import make_authority

URL = "https://192.0.2.1:6443"


@pytest.fixture
def answers(monkeypatch):
    """Status and body by path; `asked`: path and headers of each request."""
    ca = make_authority("server").certificate
    found = {"/cacerts": (200, ca), "/x": (200, b'{"a": 1}'), "ca": ca, "asked": []}

    def exchange(host, port, context, method, path, headers, body):
        found["asked"].append((path, dict(headers)))
        return found[path]

    monkeypatch.setattr(server_client, "_exchange", exchange)
    return found


def address(answers, *, pinned=None):
    return ServerAddress(URL, f"K10{pinned or hash_ca(answers['ca'])}::server:secret")


def test_the_token_is_shown_to_the_pinned_authority_only(answers):
    assert ask_server(address(answers), "GET", "/x") == {"a": 1}
    assert [("Authorization" in headers) for _, headers in answers["asked"]] == [False, True]
    answers["asked"].clear()
    with pytest.raises(K3pyError, match="is for another cluster"):
        fetch(address(answers, pinned="0" * 64), "GET", "/x")
    assert [path for path, _ in answers["asked"]] == ["/cacerts"]


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (401, K3pyError, "--token: the server https://192.0.2.1:6443 does not accept it"),
        (403, K3pyError, "forbidden"),
        (503, NotReachable, "forbidden"),
    ],
)
def test_refusals_say_whether_another_try_is_worth_it(answers, status, kind, message):
    answers["/x"] = (status, b"forbidden\n")
    with pytest.raises(kind, match=message) as caught:
        fetch(address(answers), "GET", "/x")
    assert isinstance(caught.value, NotReachable) is (status == 503)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://192.0.2.1", "192.0.2.1:6443", "https://"])
def test_other_urls_are_refused(answers, url):
    with pytest.raises(ConfigError, match="--server"):
        fetch(ServerAddress(url, "secret"), "GET", "/x")


def test_no_token_shows_in_a_representation():
    assert "secret" not in repr(ServerAddress(URL, "secret"))
