"""Resource requests: find the kind, read the body, let the Dispatcher carry it out, write its result.

Source: k8s.io/apiserver/pkg/endpoints/{installer.go,handlers/*.go} v0.35.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import orjson
from aiohttp import HttpVersion11, web

from k3py.api.status import ApiError, bad_request, not_found
from k3py.apiserver.encoding import object_view
from k3py.apiserver.encoding.answer import (
    answer_bytes,
    answer_document,
    answer_not_found,
    answer_pieces,
    make_headers,
)
from k3py.apiserver.encoding.codec import raw_json_of, repeated_keys_of
from k3py.apiserver.encoding.list_pieces import is_long, pieces_of
from k3py.apiserver.encoding.negotiation import JSON
from k3py.apiserver.encoding.request_body import read_body
from k3py.apiserver.filters.authz import authorize_resource
from k3py.apiserver.handlers.websocket import is_websocket
from k3py.apiserver.interface import ApiRequest, ListResult, ObjectResult, StreamResult
from k3py.apiserver.registry.large import run_sized
from k3py.apiserver.registry.options import APPLY
from k3py.util.offload import offload

if TYPE_CHECKING:
    from k3py.api.kind import Kind
    from k3py.api.registry import KindRegistry
    from k3py.api.resource import Resource
    from k3py.apiserver.audit.trail import Trail
    from k3py.apiserver.encoding.negotiation import Negotiated, Negotiator
    from k3py.apiserver.exchange import Exchange
    from k3py.apiserver.filters.request_info import RequestInfo
    from k3py.apiserver.handlers.kubelet import KubeletProxy
    from k3py.apiserver.handlers.watch import WatchStreams
    from k3py.apiserver.interface import Authorizer, Dispatcher, Result
    from k3py.jsontypes import JsonValue

_COLLECTION_METHODS: Final = frozenset(("GET", "POST", "DELETE"))
_OBJECT_METHODS: Final = frozenset(("GET", "PUT", "PATCH", "DELETE"))
_COLLECTION_VERBS: Final = frozenset(("list", "watch", "create", "deletecollection"))
_BODY_VERBS: Final = frozenset(("create", "update"))
_DELETE_VERBS: Final = frozenset(("delete", "deletecollection"))
_STREAMED: Final = frozenset(("exec", "attach", "portforward", "proxy", "log"))
_INTERACTIVE: Final = frozenset(("exec", "attach", "portforward"))
_FALSE: Final = ("", "0", "f", "F", "false", "False", "FALSE")


class UnknownGroup(Exception):
    """The path names an API group that nobody serves."""


class ResourceHandler:
    """Answers requests below /api/<version>/ and /apis/<group>/<version>/."""

    def __init__(
        self,
        *,
        dispatcher: Dispatcher,
        kinds: KindRegistry,
        authorizer: Authorizer,
        negotiator: Negotiator,
        watches: WatchStreams,
        kubelets: KubeletProxy,
    ) -> None:
        self._dispatcher = dispatcher
        self._kinds = kinds
        self._authorizer = authorizer
        self._negotiator = negotiator
        self._watches = watches
        self._kubelets = kubelets
        self._resources: dict[Kind, Resource] = {}

    async def handle(self, exchange: Exchange) -> web.StreamResponse:
        """Answer one request. Raises ApiError."""
        info = exchange.info
        try:
            kind = self._find_kind(info)
            check_path(kind, info)
        except UnknownGroup:
            await authorize_resource(self._authorizer, info, exchange.user)
            return answer_not_found(exchange)
        except ApiError:
            await authorize_resource(self._authorizer, info, exchange.user)
            raise
        if info.verb == "get" and info.subresource in _INTERACTIVE and is_websocket(exchange.request):
            # A GET that acts: like the POST of SPDY it needs leave to create (since 1.35).
            await authorize_resource(self._authorizer, info, exchange.user)
            await authorize_resource(self._authorizer, replace(info, verb="create"), exchange.user)
        form = self._negotiate(exchange, kind)
        request = await self._read_request(exchange, kind)
        request.warnings = exchange.warnings
        trail = exchange.trail
        if trail is not None:
            request.annotations = trail.annotations
            trail.about(request.body)
            if trail.wants_request and request.body is not None:
                trail.take_request(request.raw_body or orjson.dumps(request.body))
        result = await self._dispatcher.dispatch(request)
        if trail is not None and trail.wants_response:
            _take_answer(trail, result)
        return await self._answer(exchange, result, form)

    def _find_kind(self, info: RequestInfo) -> Kind:
        kind = self._kinds.find(info.group, info.version, info.resource)
        if kind is None:
            if info.group and (
                not self._kinds.has_group(info.group) or self._kinds.is_custom_group(info.group)
            ):
                raise UnknownGroup
            raise unknown_path()
        return kind

    def _negotiate(self, exchange: Exchange, kind: Kind) -> Negotiated:
        info = exchange.info
        if info.subresource in _STREAMED:
            return self._negotiator.negotiate_status(exchange.accept)
        shape = {"list": "list", "watch": "watch", "deletecollection": "list"}.get(info.verb, "object")
        return self._negotiator.negotiate_object(exchange.accept, shape, protobuf=bool(kind.schema))

    async def _read_request(self, exchange: Exchange, kind: Kind) -> ApiRequest:
        info = exchange.info
        headers = exchange.request.headers
        resource = self._resources.get(kind)
        if resource is None:
            if len(self._resources) > 4 * len(list(self._kinds)):
                self._resources.clear()  # kinds of deleted CustomResourceDefinitions
            resource = self._resources[kind] = kind.resource
        options = exchange.options
        if info.legacy_watch and info.name:
            selector = options.get("fieldSelector", "")
            pinned = f"metadata.name={info.name}"
            options = {**options, "fieldSelector": f"{selector},{pinned}" if selector else pinned}
        if info.subresource == "proxy":
            options = {**options, "path": _raw_rest(exchange)}
        request = ApiRequest(
            verb=info.verb,
            resource=resource,
            user=exchange.user,
            namespace=info.namespace if kind.namespaced else "",
            name=info.name,
            subresource=info.subresource,
            options=options,
            multi_options=exchange.multi_options,
            user_agent=headers.get("User-Agent", ""),
        )
        if info.subresource not in _STREAMED:
            await _read_document(exchange, request, kind)
        return request

    async def _answer(self, exchange: Exchange, result: Result, form: Negotiated) -> web.StreamResponse:
        if isinstance(result, ObjectResult):
            return _answer_object(exchange, result, form)
        if isinstance(result, ListResult):
            return await _answer_list(exchange, result, form)
        if isinstance(result, StreamResult):
            return await self._kubelets.answer(exchange, result)
        return await self._watches.answer(exchange, result, form)


async def _answer_list(exchange: Exchange, result: ListResult, form: Negotiated) -> web.StreamResponse:
    kind, page, pretty, options = result.kind, result.page, exchange.is_pretty, exchange.options
    if is_long(page) and exchange.request.version >= HttpVersion11:
        pieces = pieces_of(kind, page, form, options, exchange.codec, pretty=pretty)
        if pieces is not None:
            return await answer_pieces(exchange, pieces, form.media_type)
        # Indented or YAML, for a human: rare, and of no use at this size; a thread keeps it out of others' way.
        document = await offload(object_view.list_document, kind, page, form, options)
        body = await offload(exchange.codec.encode, document, form, pretty=pretty)
        return answer_bytes(exchange, body, form.media_type)
    if object_view.is_spliced(form, pretty=pretty):
        return answer_bytes(exchange, object_view.splice_list(kind, page))
    return answer_document(exchange, object_view.list_document(kind, page, form, options), form)


def _take_answer(trail: Trail, result: Result) -> None:
    """Give an audit trail what is answered, whatever the form in which the client gets it."""
    if isinstance(result, ListResult):
        trail.take_response(object_view.splice_list(result.kind, result.page))
    elif isinstance(result, ObjectResult):
        if result.view is not None:
            trail.take_response(result.view.served)
        elif result.document is not None:
            trail.take_response(orjson.dumps(result.document))


async def _read_document(exchange: Exchange, request: ApiRequest, kind: Kind) -> None:
    """Fill in the request's body. Raises ApiError 400, 413, 415."""
    verb = request.verb
    content_type = exchange.request.headers.get("Content-Type", "")
    if verb in _BODY_VERBS:
        body = await read_body(exchange.request)
        shown = kind.find_subresource(request.subresource) if request.subresource else None
        document = await run_sized(
            len(body),
            exchange.codec.decode_body,
            body,
            content_type,
            api_version=f"{shown.group}/{shown.version}" if shown and shown.version else kind.api_version,
            kind=(shown.kind if shown else "") or kind.kind,
        )
        request.body = _as_object(document)
        request.raw_body = raw_json_of(body, content_type)
    elif verb == "patch":
        body = await read_body(exchange.request)
        request.body, request.patch_type = await run_sized(
            len(body), exchange.codec.decode_patch, body, content_type, is_custom=kind.structure is not None
        )
        request.raw_body = raw_json_of(body, content_type)
        if request.patch_type == APPLY:
            request.repeated_keys = await run_sized(
                len(body), repeated_keys_of, body, request.body, request.raw_body
            )
    elif verb in _DELETE_VERBS and exchange.request.can_read_body:
        body = await read_body(exchange.request)
        if body:
            document = exchange.codec.decode_body(body, content_type, api_version="v1", kind="DeleteOptions")
            request.body = _as_object(document)


def _as_object(document: JsonValue) -> JsonValue:
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise bad_request(
            f"the object provided is unrecognized: a JSON object is needed, not {document!r:.40}"
        )
    return document


def _raw_rest(exchange: Exchange) -> str:
    """Return what stands behind `…/proxy/` in the path, as the client encoded it."""
    before = 8 if exchange.info.namespace else 6  # segments up to "proxy", with the empty one in front
    segments = exchange.request.raw_path.partition("?")[0].split("/", before)
    return segments[before] if len(segments) > before else ""


def _answer_object(exchange: Exchange, result: ObjectResult, form: Negotiated) -> web.Response:
    if result.status_code == 204:
        return web.Response(status=204, headers=make_headers(exchange, JSON))
    view = result.view
    if view is not None:
        if object_view.is_spliced(form, pretty=exchange.is_pretty):
            return answer_bytes(exchange, view.served + b"\n", JSON, result.status_code)
        document = object_view.object_document(result.kind, view.parsed, form, exchange.options)
    else:
        document = object_view.object_document(result.kind, result.document or {}, form, exchange.options)
    return answer_document(exchange, document, form, result.status_code)


def check_path(kind: Kind, info: RequestInfo) -> None:
    """Check that a path exists for `kind` and serves the method. Raises ApiError 404 or 405."""
    method = info.method
    if info.subresource:
        subresource = kind.find_subresource(info.subresource)
        if subresource is None and kind.structure is not None:
            raise not_found(kind.group, kind.plural, info.name)
        if subresource is None or (info.rest and info.subresource != "proxy"):
            raise unknown_path()
        _check_scope(kind, info)
        if info.subresource == "proxy":
            return
        if info.verb not in subresource.verbs or method in ("HEAD", "OPTIONS"):
            raise method_not_allowed()
        return
    if info.name and not info.legacy_watch:
        if not any(verb not in _COLLECTION_VERBS for verb in kind.verbs):
            raise unknown_path()
        _check_scope(kind, info)
        if method not in _OBJECT_METHODS or info.verb not in kind.verbs:
            raise method_not_allowed()
        return
    if kind.namespaced != bool(info.namespace):
        if info.namespace and not _is_namespace(kind):
            raise unknown_path()
        if kind.namespaced and "list" not in kind.verbs:
            raise unknown_path()  # what cannot be listed has no path over all namespaces
        if kind.namespaced and (method != "GET" or info.verb not in kind.verbs):
            raise method_not_allowed()
    if method not in _COLLECTION_METHODS or info.verb not in kind.verbs:
        raise method_not_allowed()


def _check_scope(kind: Kind, info: RequestInfo) -> None:
    if kind.namespaced != bool(info.namespace) and not _is_namespace(kind):
        raise unknown_path()


def _is_namespace(kind: Kind) -> bool:
    return kind.plural == "namespaces" and not kind.group


def unknown_path() -> ApiError:
    """404 of the router: no such resource, without details."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", details={})


def method_not_allowed() -> ApiError:
    """405 of the router, without details."""
    return ApiError(
        405, "MethodNotAllowed", "the server does not allow this method on the requested resource", details={}
    )


def is_watch_wanted(query: str) -> bool:
    """Say whether the query parameter `watch` asks for a watch."""
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name == "watch":
            return value not in _FALSE or "=" not in pair
    return False
