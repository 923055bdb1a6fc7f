"""Requests of this process's own clients (controllers) for groups that other servers serve: as JSON, over the front proxy's way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

import orjson

from k3py.api.kind import Kind, StoragePolicy
from k3py.api.status import ApiError, method_not_allowed
from k3py.apiserver.aggregation.endpoints import Unavailable
from k3py.apiserver.interface import ListResult, ObjectResult
from k3py.storage.document_view import DocumentView
from k3py.storage.interface import ListPage

if TYPE_CHECKING:
    from k3py.api.resource import Resource
    from k3py.apiserver.aggregation.api_services import ApiServices
    from k3py.apiserver.aggregation.client import ExtensionAnswer, ExtensionClient
    from k3py.apiserver.interface import ApiRequest, Result
    from k3py.jsontypes import JsonObject

_ANSWER_S: Final = 30.0
_METHODS: Final = {
    "get": "GET",
    "list": "GET",
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
    "deletecollection": "DELETE",
}


class ExtensionRequests:
    """Carries out requests that are authorized already."""

    def __init__(self, services: ApiServices, client: ExtensionClient) -> None:
        self._services = services
        self._client = client

    def serves(self, resource: Resource) -> bool:
        """Say whether another server serves a resource's version."""
        return (
            self._services.has_remotes
            and self._services.find_remote(resource.group, resource.version) is not None
        )

    async def dispatch(self, request: ApiRequest) -> Result:
        """Send a request; watches are not passed on. Raises ApiError."""
        resource = request.resource
        registration = self._services.find_remote(resource.group, resource.version)
        method = _METHODS.get(request.verb)
        if method is None:
            raise method_not_allowed(resource.group, resource.plural, request.verb)
        if registration is None or not registration.available:
            raise ApiError(503, "ServiceUnavailable", "service unavailable")
        body = b"" if request.body is None else orjson.dumps(request.body)
        content_type = request.patch_type or "application/json"
        headers = [("Accept", "application/json"), *((("Content-Type", content_type),) if body else ())]
        try:
            async with asyncio.timeout(_ANSWER_S):
                answer = await self._client.send(
                    registration, method, _path(request), user=request.user, headers=headers, body=body
                )
        except Unavailable as error:
            raise ApiError(503, "ServiceUnavailable", error.message) from error
        except (OSError, TimeoutError) as error:
            text = f"error trying to reach service: {str(error) or 'timed out'}"
            raise ApiError(503, "ServiceUnavailable", text) from error
        return _result(request, answer)


def _path(request: ApiRequest) -> str:
    path = quote(request.resource.path(request.namespace, request.name, request.subresource), safe="/*")
    query = urlencode(dict(request.options))
    return f"{path}?{query}" if query else path


def _result(request: ApiRequest, answer: ExtensionAnswer) -> Result:
    document = answer.document
    if not isinstance(document, dict):
        code = answer.status if answer.status >= 400 else 502
        text = answer.body[:500].decode("utf-8", "replace").strip()
        raise ApiError(code, "", f"the server answered {answer.status}: {text}")
    if answer.status >= 400:
        message = str(document.get("message") or f"the server answered {answer.status}")
        raise ApiError(
            answer.status, str(document.get("reason") or ""), message, details=document.get("details")
        )
    if request.verb != "list":
        return ObjectResult(kind=None, document=document, status_code=answer.status)
    items: list[JsonObject] = document.get("items") or []
    metadata = document.get("metadata") or {}
    page = ListPage(
        items=[DocumentView(one) for one in items],
        revision=_revision(metadata),
        continue_token=str(metadata.get("continue") or ""),
    )
    return ListResult(kind=_kind(request.resource), page=page)


def _revision(metadata: JsonObject) -> int:
    text = str(metadata.get("resourceVersion") or "0")
    return int(text) if text.isdigit() else 0


def _kind(resource: Resource) -> Kind:
    return Kind(
        group=resource.group,
        version=resource.version,
        kind=resource.kind,
        plural=resource.plural,
        namespaced=resource.namespaced,
        storage=StoragePolicy(prefix=""),
    )
