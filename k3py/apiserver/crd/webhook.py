"""Conversion between versions by a webhook.

Source: k8s.io/apiextensions-apiserver/pkg/apiserver/conversion/webhook_converter.go v0.35.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ssl
import uuid
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson

from k3py.api.status import ApiError
from k3py.api.webhook_client import url_of
from k3py.apiserver.registry.conversion import STORED_VERSION
from k3py.util.body import BodyTooLong, read_bounded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from k3py.jsontypes import JsonObject, JsonValue

_TIMEOUT_S: Final = 30
_REVIEWS: Final = ("v1", "v1beta1")
_LONGEST_ANSWER: Final = 64 * 1024 * 1024


class ConversionWebhook:
    """Converts objects of one definition.

    Args:
        config: spec.conversion.webhook.
        kind: of the objects, for messages.
        session: for calls.
    """

    def __init__(self, config: JsonObject, kind: str, session: Callable[[], aiohttp.ClientSession]) -> None:
        self._session = session
        self._kind = kind
        client = config["clientConfig"]
        self._url = url_of(client)
        self._bundle: str = client.get("caBundle") or ""
        self._context: ssl.SSLContext | None = None
        known = [one for one in config.get("conversionReviewVersions") or () if one in _REVIEWS]
        self._version = known[0] if known else "v1"

    async def convert(self, documents: Sequence[JsonObject], api_version: str) -> list[JsonObject]:
        """Return the documents in another version; they are read-only and of one version.

        Raises:
            ApiError: 500, the webhook cannot be reached or did wrong.
        """
        originals = [_without_revision(one) for one in documents]
        uid = str(uuid.uuid4())
        answer = await self._call(uid, originals, api_version)
        response = answer.get("response") or {}
        if response.get("uid") != uid:
            raise self._fault(f'expected response.uid="{uid}", got "{response.get("uid", "")}"')
        result = response.get("result") or {}
        if result.get("status") != "Success":
            raise self._fault(str(result.get("message") or "no message"))
        converted = response.get("convertedObjects") or []
        if len(converted) != len(originals):
            raise self._fault(f"webhook returned {len(converted)} objects, expected {len(originals)}")
        return [
            self._accept(document, original, one, api_version)
            for document, original, one in zip(documents, originals, converted, strict=True)
        ]

    async def _call(self, uid: str, objects: list[JsonObject], api_version: str) -> JsonObject:
        review = {
            "kind": "ConversionReview",
            "apiVersion": f"apiextensions.k8s.io/{self._version}",
            "request": {"uid": uid, "desiredAPIVersion": api_version, "objects": objects},
            "response": {"uid": "", "convertedObjects": None, "result": {"metadata": {}}},
        }
        if self._context is None:
            self._context = self._make_context()
        try:
            async with (
                asyncio.timeout(_TIMEOUT_S),
                self._session().post(
                    f"{self._url}?timeout={_TIMEOUT_S}s",
                    data=orjson.dumps(review),
                    headers={"Content-Type": "application/json", "Accept": "application/json"},
                    ssl=self._context,
                    allow_redirects=False,
                ) as response,
            ):
                body = await read_bounded(response.content, _LONGEST_ANSWER)
                if response.status >= 300:
                    raise self._fault(f"the server answered {response.status}")
        except (aiohttp.ClientError, BodyTooLong, OSError, TimeoutError) as error:
            raise self._fault(f'Post "{self._url}": {error}') from error
        try:
            answer: JsonValue = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise self._fault(f"the answer is not JSON: {error}") from error
        if not isinstance(answer, dict) or answer.get("kind") != "ConversionReview":
            raise self._fault("the answer is not a ConversionReview")
        return answer

    def _make_context(self) -> ssl.SSLContext:
        try:
            bundle = base64.b64decode(self._bundle).decode()
            return ssl.create_default_context(cadata=bundle or None)
        except (binascii.Error, UnicodeDecodeError, ssl.SSLError, ValueError) as error:
            raise self._fault(f"unusable caBundle: {error}") from error

    def _accept(
        self, document: JsonObject, original: JsonObject, converted: JsonValue, api_version: str
    ) -> JsonObject:
        """Return a converted document with the original's metadata but for labels and annotations."""
        if not isinstance(converted, dict):
            raise self._fault("a converted object is not an object")
        if converted.get("apiVersion") != api_version:
            raise self._fault(f"invalid converted object: apiVersion must be {api_version}")
        if converted.get("kind") != original.get("kind"):
            raise self._fault("invalid converted object: kind must not change")
        theirs = converted.get("metadata")
        if not isinstance(theirs, dict):
            raise self._fault("invalid converted object: metadata is missing")
        for key in ("name", "namespace", "uid"):
            if theirs.get(key) != original["metadata"].get(key):
                raise self._fault(f"invalid converted object: metadata.{key} must not change")
        metadata: dict[str, Any] = dict(document["metadata"])
        for key in ("labels", "annotations"):
            metadata.pop(key, None)
            if theirs.get(key):
                metadata[key] = theirs[key]
        return {**converted, "metadata": metadata}

    def _fault(self, text: str) -> ApiError:
        return ApiError(500, "", f"conversion webhook for {self._kind} failed: {text}")


def _without_revision(document: JsonObject) -> JsonObject:
    metadata = {key: value for key, value in document["metadata"].items() if key != "resourceVersion"}
    source = document.get(STORED_VERSION) or document["apiVersion"]
    rest = {key: value for key, value in document.items() if key != STORED_VERSION}
    return {**rest, "apiVersion": source, "metadata": metadata}
