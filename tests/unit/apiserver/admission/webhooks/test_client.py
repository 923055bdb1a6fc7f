"""Asking a webhook: what is sent, and which answers count."""

from __future__ import annotations

from contextlib import asynccontextmanager

import aiohttp
import orjson
import pytest

from k3py.apiserver.admission.webhooks.client import CallFault, WebhookClient
from k3py.apiserver.admission.webhooks.index import Webhook

SERVICE = {"name": "s", "namespace": "n", "path": "p"}


class Content:
    """Comes in two pieces."""

    def __init__(self, body):
        self._pieces = [piece for piece in (body[:9], body[9:]) if piece]

    async def readany(self):
        return self._pieces.pop(0) if self._pieces else b""


class Response:
    def __init__(self, status, body):
        self.status = status
        self.content = Content(body)


class Session:
    """Answers each review by `answer(review)`; an exception is raised, bytes are sent as they are."""

    def __init__(self, answer, status=200):
        self._answer = answer
        self._status = status
        self.asked = []
        self.closed = 0

    @asynccontextmanager
    async def post(self, url, *, data, headers, **_):
        review = orjson.loads(data)
        self.headers = headers
        self.asked.append((url, review))
        answer = self._answer(review)
        if isinstance(answer, Exception):
            raise answer
        yield Response(self._status, answer if isinstance(answer, bytes) else orjson.dumps(answer))

    async def close(self):
        self.closed += 1


def webhook(**fields):
    return Webhook("c", 0, {"name": "w", "clientConfig": {"service": SERVICE}, "admissionReviewVersions": ["v1"], **fields})


def respond(**fields):
    def answer(review):
        response = {"uid": review["request"]["uid"], "allowed": True, **fields}
        return {"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}

    return answer


async def ask(answer, *, hook=None, status=200, may_patch=True):
    session = Session(answer, status)
    response = await WebhookClient(lambda: session).ask(hook or webhook(), {"name": "x"}, may_patch=may_patch)
    return session.asked, response


async def test_what_is_sent():
    asked, response = await ask(respond(warnings=["w"]), hook=webhook(timeoutSeconds=3))
    ((url, review),) = asked
    assert url == "https://s.n.svc:443/p?timeout=3s"
    assert (review["apiVersion"], review["kind"], review["request"]["name"]) == ("admission.k8s.io/v1", "AdmissionReview", "x")
    assert response["warnings"] == ["w"]


async def test_the_first_version_that_both_know_is_spoken():
    old = webhook(admissionReviewVersions=["v7", "v1beta1", "v1"])
    asked, response = await ask(respond(uid="other", patch="W10="), hook=old)
    assert asked[0][1]["apiVersion"] == "admission.k8s.io/v1beta1"
    assert response["patch"] == "W10="
    _, response = await ask(respond(patch="W10="), hook=old, may_patch=False)
    assert "patch" not in response


@pytest.mark.parametrize(
    ("answer", "text", "options"),
    [
        (lambda _: b"hello", "not JSON", {}),
        (lambda _: [], "not an AdmissionReview", {}),
        (lambda _: {}, "response was absent", {}),
        (respond(uid="other"), "expected response.uid", {}),
        (lambda review: respond()(review) | {"kind": "Other"}, "expected webhook response of", {}),
        (respond(patch="W10="), "not response.patchType", {}),
        (respond(patch="W10=", patchType="Merge"), "invalid response.patchType", {}),
        (respond(patchType="JSONPatch"), "but not response.patch", {}),
        (respond(patch="W10=", patchType="JSONPatch"), "validating webhook", {"may_patch": False}),
        (respond(), "status 503", {"status": 503}),
        (lambda _: aiohttp.ClientConnectionError("refused"), 'Post "https://s.n.svc:443/p.timeout=10s": refused', {}),
        (lambda _: TimeoutError(), "context deadline exceeded", {}),
        (respond(), "root certificates", {"hook": webhook(clientConfig={"url": "https://h/", "caBundle": "YWJj"})}),
    ],
)  # fmt: skip
async def test_what_is_no_answer(answer, text, options):
    with pytest.raises(CallFault, match=text):
        await ask(answer, **options)


async def test_the_session_is_opened_once_and_closed():
    session = Session(respond())
    client = WebhookClient(lambda: session)
    for _ in range(2):
        await client.ask(webhook(), {}, may_patch=True)
    await client.close()
    await client.close()
    assert (len(session.asked), session.closed) == (2, 1)
