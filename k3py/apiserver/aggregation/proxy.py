"""Requests for groups and versions that extension API servers serve.

Authentication and authorization are done here; who asks goes on in X-Remote-… headers.
Source: k8s.io/kube-aggregator/pkg/apiserver/handler_proxy.go v0.35.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from k3py.apiserver.aggregation.dialer import remote_headers
from k3py.apiserver.aggregation.endpoints import Unavailable
from k3py.apiserver.encoding.answer import answer_text
from k3py.apiserver.filters.authz import authorize_path, authorize_resource
from k3py.apiserver.handlers.forwarding import forward_body, read_head, relay, request_head, tunnel

if TYPE_CHECKING:
    from aiohttp import web

    from k3py.apiserver.aggregation.api_services import ApiServices, Registration
    from k3py.apiserver.aggregation.dialer import ExtensionDialer
    from k3py.apiserver.exchange import Exchange
    from k3py.apiserver.filters.request_info import RequestInfo
    from k3py.apiserver.interface import Authorizer

_HEAD_S: Final = 60.0
_REDIRECT: Final = "the backend attempted to redirect this request, which is not permitted"


class ExtensionProxy:
    """Passes requests on to extension API servers."""

    def __init__(self, services: ApiServices, dialer: ExtensionDialer, authorizer: Authorizer) -> None:
        self._services = services
        self._dialer = dialer
        self._authorizer = authorizer

    def serves(self, info: RequestInfo) -> bool:
        """Say whether another server serves a path."""
        return self._services.has_remotes and self._find(info) is not None

    def _find(self, info: RequestInfo) -> Registration | None:
        if info.is_resource:
            return self._services.find_remote(info.group, info.version)
        parts = info.path.rstrip("/").split("/")
        if len(parts) == 4 and parts[1] == "apis":
            return self._services.find_remote(parts[2], parts[3])
        return None

    async def handle(self, exchange: Exchange) -> web.StreamResponse:
        """Pass a request on and answer it. Raises ApiError 403."""
        registration = self._find(exchange.info)
        if exchange.info.is_resource:
            await authorize_resource(self._authorizer, exchange.info, exchange.user)
        else:
            await authorize_path(self._authorizer, exchange.info, exchange.user)
        if registration is None or not registration.available:
            return answer_text(exchange, "service unavailable\n", 503)
        try:
            reader, writer, where = await self._dialer.connect(registration)
        except Unavailable:
            return answer_text(exchange, "service unavailable\n", 503)
        except (OSError, TimeoutError) as error:
            return _failure(exchange, f"error trying to reach service: {_text(error)}")
        try:
            return await _forward(exchange, reader, writer, f"https://{where}{exchange.request.raw_path}")
        except (
            OSError,
            asyncio.IncompleteReadError,
            asyncio.LimitOverrunError,
            TimeoutError,
            ValueError,
        ) as error:
            if exchange.streaming:
                raise ConnectionResetError("the extension API server failed in its answer") from error
            return _failure(exchange, f"error trying to reach service: {_text(error)}")
        finally:
            writer.close()


async def _forward(
    exchange: Exchange, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str
) -> web.StreamResponse:
    request = exchange.request
    upgrade = request.headers.get("Upgrade", "")
    more = [
        *remote_headers(exchange.user),
        ("X-Forwarded-For", request.remote or ""),
        ("Audit-Id", exchange.audit_id),
    ]
    writer.write(request_head(exchange, target, upgrade, more=more, encodings=True))
    await forward_body(exchange, writer)
    if exchange.info.is_long_running:
        head = await read_head(reader)
        exchange.leave_seat()  # what streams for hours must not keep others waiting
    else:
        async with asyncio.timeout(_HEAD_S):
            head = await read_head(reader)
    if head.status == 101 and upgrade:
        return await tunnel(exchange, head, reader, writer)
    if 300 <= head.status < 400 and head.get("location"):
        # Clients would send their credentials wherever the extension API server says.
        return answer_text(exchange, _REDIRECT, 502)
    return await relay(exchange, head, reader)


def _failure(exchange: Exchange, text: str) -> web.Response:
    return answer_text(exchange, f"{text}\n", 503)


def _text(error: BaseException) -> str:
    return str(error) or ("timed out" if isinstance(error, TimeoutError) else type(error).__name__)
