"""The HTTP face of the API server: filters from top to bottom, then a handler (ARCHITECTURE §2).

Used with aiohttp's low-level server (`connection.ConnectionServer`), without its router::

    api = ApiServer(dispatcher=…, kinds=…, authenticator=…, authorizer=…, health=…, metrics=…, server_address="10.0.0.1:6443")
    listener = Listener(api.handle, drain=api.drain, …)
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import orjson

from k3py.api.status import ApiError, bad_request
from k3py.api.timestamps import parse_duration
from k3py.apiserver.discovery import Discovery
from k3py.apiserver.encoding.answer import answer_error, answer_overloaded
from k3py.apiserver.encoding.codec import Codec
from k3py.apiserver.encoding.negotiation import Negotiator
from k3py.apiserver.exchange import Exchange
from k3py.apiserver.filters.audit_id import choose_audit_id
from k3py.apiserver.filters.authn import Authentication
from k3py.apiserver.filters.impersonate import impersonate, is_impersonating
from k3py.apiserver.filters.recover import to_api_error
from k3py.apiserver.filters.request_info import parse_request_info
from k3py.apiserver.flow_control.flow_control import FlowControl, Overloaded
from k3py.apiserver.flow_control.metrics import flow_metrics
from k3py.apiserver.handlers.kubelet import KubeletProxy
from k3py.apiserver.handlers.paths import PathHandler
from k3py.apiserver.handlers.resource import ResourceHandler, is_watch_wanted
from k3py.apiserver.handlers.watch import WatchStreams
from k3py.apiserver.metrics import RequestMetrics
from k3py.apiserver.openapi import OpenApi
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web

    from k3py.api.registry import KindRegistry
    from k3py.apiserver.aggregation.extensions import Extensions
    from k3py.apiserver.audit.recorder import AuditRecorder
    from k3py.apiserver.encoding.codec import ProtobufCodec
    from k3py.apiserver.health import HealthChecks
    from k3py.apiserver.interface import Authenticator, Authorizer, Dispatcher, KubeletConnector
    from k3py.apiserver.openapi import OpenApiBuilder
    from k3py.jsontypes import JsonObject
    from k3py.util.metrics import Registry

_DEADLINE_S: Final = 60.0


class ApiServer:
    """Answers HTTP requests.

    Args:
        dispatcher: carries out resource requests (authorization, admission, storage).
        kinds: what is served; may change while the server runs.
        authenticator: who asks; None from it means anonymous.
        authorizer: for non-resource paths, impersonation and paths that lead nowhere.
        health: checks behind /livez, /readyz and /healthz.
        metrics: what /metrics shows; the server adds its own.
        server_address: "host:port" that /api names.
        kubelet_connector: ways to kubelets, for logs, exec and the like; None: 503.
        extensions: groups and versions that other servers serve; None: there are none.
        openapi_builder: builds OpenAPI documents; None: 404.
        load_protobuf: makes the codec of Kubernetes' protobuf when it is first needed; None: 415 and 406.
        openid_configuration, jwks: documents about service-account tokens; None: 404.
        anonymous_auth: requests without credentials are system:anonymous rather than 401; anonymous_paths: on these only, None = on all.
        audit: writes who did what, None = nothing is written.
        flow_control: who waits or gets 429 when many come; None: one with the defaults.
    """

    def __init__(
        self,
        *,
        dispatcher: Dispatcher,
        kinds: KindRegistry,
        authenticator: Authenticator,
        authorizer: Authorizer,
        health: HealthChecks,
        metrics: Registry,
        server_address: str,
        kubelet_connector: KubeletConnector | None = None,
        extensions: Extensions | None = None,
        openapi_builder: OpenApiBuilder | None = None,
        load_protobuf: Callable[[], ProtobufCodec] | None = None,
        openid_configuration: JsonObject | None = None,
        jwks: JsonObject | None = None,
        anonymous_auth: bool = True,
        anonymous_paths: frozenset[str] | None = None,
        audit: AuditRecorder | None = None,
        flow_control: FlowControl | None = None,
    ) -> None:
        self._audit = audit
        self._authentication = Authentication(
            authenticator, anonymous=anonymous_auth, anonymous_paths=anonymous_paths
        )
        self._authorizer = authorizer
        self._flows = flow_control or FlowControl()
        self._metrics = RequestMetrics(metrics, self._flows)
        metrics.add(*flow_metrics(self._flows))
        self._kinds = kinds
        self._negotiator = Negotiator()
        self._codec = Codec(load_protobuf)
        self._watches = WatchStreams()
        self._resources = ResourceHandler(
            dispatcher=dispatcher,
            kinds=kinds,
            authorizer=authorizer,
            negotiator=self._negotiator,
            watches=self._watches,
            kubelets=KubeletProxy(kubelet_connector),
        )
        self._extensions = extensions.proxy if extensions is not None else None
        services = extensions.services if extensions is not None else None
        self._paths = PathHandler(
            authorizer=authorizer,
            negotiator=self._negotiator,
            discovery=Discovery(kinds, server_address=server_address, services=services),
            openapi=OpenApi(kinds, openapi_builder, extensions.documents if extensions is not None else None),
            health=health,
            metrics=metrics,
            openid_configuration=openid_configuration,
            jwks=jwks,
        )

    def drain(self) -> None:
        """End watches cleanly, before the listener closes connections."""
        self._watches.drain()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; never raises but for a client that has gone."""
        started_s = clock.monotonic_s()
        raw_path, _, query = request.raw_path.partition("?")
        info = parse_request_info(
            request.method, raw_path, watch=bool(query) and "watch" in query and is_watch_wanted(query)
        )
        exchange = Exchange(request, info, query, choose_audit_id(request.headers), self._codec)
        response: web.StreamResponse
        try:
            response = await self._filter(exchange)
        except ConnectionError:
            if exchange.trail is not None:
                exchange.trail.completed(200 if exchange.streaming else 499)
            raise
        except Overloaded:
            response = answer_overloaded(exchange)
        except Exception as error:
            failure = to_api_error(error, exchange)
            if self._audit is not None:
                self._tell_failure(exchange, error, failure)
            if exchange.streaming or exchange.begun:
                raise ConnectionResetError("failed in the middle of an answer") from error
            response = answer_error(exchange, failure, self._negotiator)
        else:
            if exchange.trail is not None:
                exchange.trail.completed(response.status)
        self._metrics.observe(
            info,
            response.status,
            clock.monotonic_s() - started_s,
            dry_run=exchange.options.get("dryRun", ""),
            size_bytes=_size_of(response),
        )
        kind = self._kinds.find(info.group, info.version, info.resource) if info.is_resource else None
        if kind is not None and kind.deprecation:
            self._metrics.observe_deprecated(info)
        return response

    def _tell_failure(self, exchange: Exchange, error: Exception, failure: ApiError) -> None:
        trail, status = exchange.trail, failure.to_status()
        if trail is not None:
            if trail.wants_response:
                trail.take_response(orjson.dumps(status))
            is_expected = failure.code != 500 or isinstance(error, ApiError)
            (trail.completed if is_expected else trail.panicked)(failure.code, status)
        elif failure.code == 401 and self._audit is not None:
            self._audit.refuse_login(exchange)

    async def _filter(self, exchange: Exchange) -> web.StreamResponse:
        request = exchange.request
        info = exchange.info
        exchange.user = await self._authentication.authenticate(request)
        if self._audit is not None:
            exchange.trail = await self._audit.begin(exchange)
        if is_impersonating(request.headers):
            exchange.user = await impersonate(request.headers, exchange.user, self._authorizer)
            if exchange.trail is not None:
                exchange.trail.impersonated(exchange.user)
        is_own = self._extensions is None or not self._extensions.serves(info)
        handle = self._choose_handler(exchange, is_own=is_own)
        if info.is_long_running or (not is_own and "Upgrade" in request.headers):
            self._metrics.count_long_running(info, 1)
            if info.verb == "watch":  # its beginning costs as much as a list
                exchange.seat = await self._flows.enter(exchange.user, info, exchange.options)
            try:
                return await handle(exchange)
            finally:
                self._metrics.count_long_running(info, -1)
                exchange.leave_seat()
        exchange.seat = await self._flows.enter(exchange.user, info, exchange.options)
        try:
            async with asyncio.timeout(_find_deadline_s(exchange)):
                return await handle(exchange)
        finally:
            exchange.leave_seat()

    def _choose_handler(
        self, exchange: Exchange, *, is_own: bool
    ) -> Callable[[Exchange], Awaitable[web.StreamResponse]]:
        if self._extensions is not None and not is_own:
            return self._extensions.handle
        return self._resources.handle if exchange.info.is_resource else self._paths.handle


def _size_of(response: web.StreamResponse) -> int:
    body = getattr(response, "body", None)
    return len(body) if isinstance(body, bytes) else 0


def _find_deadline_s(exchange: Exchange) -> float:
    """Return how long the request may take: a minute, or less where the client says so. Raises ApiError 400."""
    wish = exchange.options.get("timeout")
    if not wish:
        return _DEADLINE_S
    try:
        seconds = parse_duration(wish) / 1e9
    except ValueError as error:
        raise bad_request(f"invalid timeout specified in the request URL: {error}") from error
    return min(seconds, _DEADLINE_S) if seconds > 0 else _DEADLINE_S
