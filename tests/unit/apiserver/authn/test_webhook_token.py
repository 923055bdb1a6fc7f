"""A webhook says whose tokens are; its answers are remembered, its failures are not."""

import pytest

from k3py.apiserver.authn.webhook_token import WebhookTokenAuthenticator
from k3py.apiserver.interface import Credentials
from k3py.apiserver.review_webhook import ReviewWebhook
from k3py.client.kubeconfig import load_kubeconfig
from tests.support.https_answers import run_answers, write_webhook_kubeconfig
from tests.support.throwaway_pki import make_pki

ALICE = {"username": "alice", "uid": "1", "groups": ["dev"], "extra": {"k": ["v"]}}


@pytest.fixture
async def server(tmp_path):
    make_pki(tmp_path)

    def answer(_path, body):
        known = body["spec"]["token"] == "good"
        return 200, {"status": {"authenticated": known, "user": ALICE if known else {}}}

    async with run_answers(tmp_path, answer) as server:
        kubeconfig = load_kubeconfig(write_webhook_kubeconfig(tmp_path, f"{server.url}/review", token="ours"))
        webhook = ReviewWebhook(kubeconfig, name="token")
        server.make = lambda **more: WebhookTokenAuthenticator(webhook, audiences=("api",), **{"version": "v1", **more})
        yield server
        await webhook.close()


async def test_it_is_asked_with_our_credential_and_its_answer_is_remembered(server):
    one = server.make()
    for _ in range(2):
        user = await one.authenticate(Credentials(bearer="good"))
        assert (user.name, user.uid, user.groups, user.extra) == ("alice", "1", ("dev",), {"k": ("v",)})
        assert await one.authenticate(Credentials(bearer="bad")) is None
    [(path, body, headers), _] = server.requests
    assert (path, headers["Authorization"]) == ("/review", "Bearer ours")
    assert body["spec"] == {"token": "good", "audiences": ["api"]}
    assert body["apiVersion"] == "authentication.k8s.io/v1"


async def test_the_old_version_knows_no_audiences(server):
    await server.make(version="v1beta1").authenticate(Credentials(bearer="good"))
    [(_, body, _)] = server.requests
    assert (body["spec"], body["apiVersion"]) == ({"token": "good"}, "authentication.k8s.io/v1beta1")


@pytest.mark.parametrize(
    "answer",
    [
        (403, {}),
        (200, []),
        (200, {"status": {"authenticated": True, "user": {}}}),
        (200, {"status": {"authenticated": True, "user": ALICE, "audiences": ["other"]}}),
        (200, {"status": {"authenticated": "true", "user": {}}}),
    ],
)
async def test_wrong_answers_name_nobody_and_the_next_right_one_counts(server, answer):
    good = server.answer
    one = server.make(ttl_s=0.0)
    server.answer = lambda path, body: answer
    assert await one.authenticate(Credentials(bearer="good")) is None
    server.answer = good
    assert (await one.authenticate(Credentials(bearer="good"))).name == "alice"


async def test_no_token_is_no_question(server):
    assert await server.make().authenticate(Credentials()) is None
    assert server.requests == []
