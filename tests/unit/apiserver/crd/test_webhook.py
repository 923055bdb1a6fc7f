"""Conversion by webhook: what is asked, and which answers count (api-machinery.md §5.3)."""

from __future__ import annotations

from contextlib import asynccontextmanager

import orjson
import pytest

from k3py.api.status import ApiError
from k3py.apiserver.crd.webhook import ConversionWebhook

CONFIG = {
    "clientConfig": {"service": {"name": "hook", "namespace": "ns", "path": "/convert"}},
    "conversionReviewVersions": ["v2", "v1"],
}


def widget(**spec):
    metadata = {
        "name": "x",
        "namespace": "default",
        "uid": "u",
        "resourceVersion": "7",
        "finalizers": ["a/b"],
    }
    return {"apiVersion": "example.com/v1", "kind": "W", "metadata": metadata, "spec": spec}


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
    """Answers each review by `convert(request) -> response`."""

    def __init__(self, convert, status=200):
        self._convert = convert
        self._status = status
        self.asked = []

    @asynccontextmanager
    async def post(self, url, *, data, **_):
        review = orjson.loads(data)
        self.asked.append((url, review))
        answer = self._convert(review["request"])
        yield Response(self._status, orjson.dumps({"kind": "ConversionReview", "response": answer}))


def succeed(request, change=lambda one: one):
    objects = [change({**one, "apiVersion": request["desiredAPIVersion"]}) for one in request["objects"]]
    return {"uid": request["uid"], "result": {"status": "Success"}, "convertedObjects": objects}


async def convert(answer, documents=None, status=200):
    session = Session(answer, status)
    webhook = ConversionWebhook(CONFIG, "example.com, Kind=W", lambda: session)
    return session, await webhook.convert(documents or [widget(a=1)], "example.com/v2")


async def test_the_review_holds_all_objects_without_revisions():
    session, converted = await convert(succeed, [widget(a=1), widget(a=2)])
    ((url, review),) = session.asked
    assert url == "https://hook.ns.svc:443/convert?timeout=30s"
    assert review["apiVersion"] == "apiextensions.k8s.io/v1"
    assert [one["spec"] for one in review["request"]["objects"]] == [{"a": 1}, {"a": 2}]
    assert "resourceVersion" not in review["request"]["objects"][0]["metadata"]
    assert [one["metadata"]["resourceVersion"] for one in converted] == ["7", "7"]
    assert [one["apiVersion"] for one in converted] == ["example.com/v2"] * 2


async def test_of_metadata_only_labels_and_annotations_may_change():
    def change(one):
        return {**one, "metadata": {**one["metadata"], "labels": {"l": "1"}, "finalizers": []}}

    _, (converted,) = await convert(lambda request: succeed(request, change))
    assert (converted["metadata"]["labels"], converted["metadata"]["finalizers"]) == ({"l": "1"}, ["a/b"])


def renamed(one):
    return {**one, "metadata": {**one["metadata"], "name": "other"}}


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda request: {**succeed(request), "uid": "other"}, "response.uid"),
        (
            lambda request: {**succeed(request), "result": {"status": "Failure", "message": "no"}},
            "failed: no",
        ),
        (lambda request: {**succeed(request), "convertedObjects": []}, "returned 0 objects, expected 1"),
        (lambda request: succeed(request, renamed), "metadata.name must not change"),
        (lambda request: succeed(request, lambda one: {**one, "kind": "V"}), "kind must not change"),
        (lambda request: succeed(request, lambda one: {**one, "apiVersion": "v9"}), "apiVersion must be"),
    ],
)
async def test_a_wrong_answer_is_an_error(answer, text):
    with pytest.raises(ApiError) as caught:
        await convert(answer)
    assert caught.value.code == 500
    assert text in caught.value.message


async def test_an_http_error_is_an_error():
    with pytest.raises(ApiError, match="answered 503"):
        await convert(succeed, status=503)
