"""Who the server is to which webhook."""

import ssl

import pytest

from k3py.apiserver.admission.webhooks.client import CallFault, WebhookClient
from k3py.apiserver.admission.webhooks.credentials import WebhookCredentials, load_credentials
from k3py.client.errors import KubeconfigError
from k3py.client.kubeconfig import Kubeconfig
from tests.support.throwaway_pki import make_pki
from tests.unit.apiserver.admission.webhooks.test_client import Session, respond, webhook

NAMES = ("s.n.svc", "*.m.svc", "*.svc:8443", "hooks.example.com:444", "*.example.com")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://s.n.svc:443/p", "s.n.svc"),
        ("https://s.n.svc/p", "s.n.svc"),
        ("https://s.n.svc:8443/p", "*.svc:8443"),
        ("https://t.m.svc:443/", "*.m.svc"),
        ("https://hooks.example.com:444", "hooks.example.com:444"),
        ("https://hooks.example.com", "*.example.com"),
        ("https://a.b.example.com:443", "*.example.com"),
        ("https://example.com:443", "the rest"),
        ("https://t.o.svc:443", "the rest"),
    ],
)
def test_the_user_is_the_one_named_most_closely_like_the_host(url, name):
    users = {one: Kubeconfig(server="", token=one) for one in (*NAMES, "the rest")}
    assert WebhookCredentials(users, "the rest").find(url).token == name
    assert WebhookCredentials(users | {"*": Kubeconfig(server="", token="*")}, "the rest").find("https://x").token == "*"
    assert WebhookCredentials({}).find(url) is None


CONFIG = """
apiVersion: v1
kind: Config
users:
- {name: s.n.svc, user: {token: secret}}
- {name: "*", user: {tokenFile: token.txt}}
- {name: certified, user: {client-certificate: admin.crt, client-key: admin.key}}
contexts: [{name: c, context: {user: certified, cluster: none}}]
current-context: c
"""


async def sent(credentials, hook, *, may_patch):
    session = Session(respond())
    await WebhookClient(lambda: session, mutating=credentials).ask(hook, {"name": "x"}, may_patch=may_patch)
    return session.headers.get("Authorization")


async def test_tokens_go_to_the_webhooks_of_their_kind_only(tmp_path):
    file = tmp_path / "hooks.yaml"
    file.write_text(CONFIG)
    credentials = load_credentials(file)
    assert await sent(credentials, webhook(), may_patch=True) == "Bearer secret"
    assert await sent(credentials, webhook(), may_patch=False) is None
    elsewhere = webhook(clientConfig={"url": "https://hooks.example.com/x"})
    (tmp_path / "token.txt").write_text("from a file\n")
    assert await sent(credentials, elsewhere, may_patch=True) == "Bearer from a file"
    (tmp_path / "token.txt").unlink()
    with pytest.raises(CallFault, match="unable to read the token"):
        await sent(credentials, elsewhere, may_patch=True)


async def test_a_certificate_is_shown(tmp_path, monkeypatch):
    make_pki(tmp_path)
    file = tmp_path / "hooks.yaml"
    file.write_text(CONFIG.replace('"*"', "other"))
    loaded = []
    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", lambda _self, *files: loaded.append(files), raising=False)
    hook = webhook(clientConfig={"url": "https://hooks.example.com/x"})
    assert await sent(load_credentials(file), hook, may_patch=True) is None
    assert loaded == [(tmp_path / "admin.crt", tmp_path / "admin.key")]


@pytest.mark.parametrize("text", ["users: [{}]", "users: 1", "[", "current-context: c"])
def test_a_kubeconfig_that_is_none_is_named(tmp_path, text):
    file = tmp_path / "hooks.yaml"
    file.write_text(text)
    with pytest.raises(KubeconfigError, match=r"hooks\.yaml"):
        load_credentials(file)
