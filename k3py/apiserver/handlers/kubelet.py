"""Requests that a kubelet answers: logs, exec, attach, port-forward and proxies.

The client's request goes on to the kubelet with the API server's credential in place of the client's.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from aiohttp import web

from k3py.api.status import ApiError, bad_request
from k3py.apiserver.encoding.answer import make_headers
from k3py.apiserver.handlers.forwarding import (
    forward_body,
    iter_body,
    read_head,
    relay,
    relay_page,
    request_head,
    tunnel,
)
from k3py.apiserver.handlers.websocket import MessageStream, is_websocket

if TYPE_CHECKING:
    from k3py.apiserver.exchange import Exchange
    from k3py.apiserver.handlers.forwarding import Head
    from k3py.apiserver.interface import KubeletConnector, StreamResult

_FAULT_BYTES: Final = 50_000
_DIAL_S: Final = 15.0
_HEAD_S: Final = 60.0


class KubeletProxy:
    """Passes requests on to kubelets; `connector` None = this server reaches none (503)."""

    def __init__(self, connector: KubeletConnector | None) -> None:
        self._connector = connector

    async def answer(self, exchange: Exchange, result: StreamResult) -> web.StreamResponse:
        """Forward the request to `result.target` and the answer to the client. Raises ApiError."""
        if _lacks_slash(exchange):
            return _redirect_to_slash(exchange)
        reader, writer = await self._connect(result)
        try:
            # Browsers read logs as WebSocket messages; kubelets only know them as bytes.
            as_messages = exchange.info.subresource == "log" and is_websocket(exchange.request)
            upgrade = "" if as_messages else exchange.request.headers.get("Upgrade", "")
            writer.write(request_head(exchange, result.target, upgrade))
            await forward_body(exchange, writer)
            async with asyncio.timeout(_HEAD_S):
                head = await read_head(reader)
            if head.status == 101 and upgrade:
                return await tunnel(exchange, head, reader, writer)
            if exchange.info.subresource == "log" and not 200 <= head.status <= 206:
                raise await _log_fault(exchange, head, reader)
            if as_messages:
                return await MessageStream(exchange, text=False).run(iter_body(head, reader))
            if exchange.info.subresource == "proxy":
                return await relay_page(exchange, result.target, head, reader)
            return await relay(exchange, head, reader)
        except TimeoutError as error:
            raise _unreachable(result.target, "no answer") from error
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            raise _unreachable(result.target, str(error)) from error
        finally:
            writer.close()

    async def _connect(self, result: StreamResult) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._connector is None:
            raise ApiError(503, "ServiceUnavailable", "this server has no way to kubelets")
        try:
            async with asyncio.timeout(_DIAL_S):
                return await self._connector.connect(result.target, is_kubelet=result.is_kubelet)
        except TimeoutError as error:
            raise _unreachable(result.target, "timed out") from error
        except OSError as error:
            raise _unreachable(result.target, str(error)) from error


def _lacks_slash(exchange: Exchange) -> bool:
    info = exchange.info
    bare = info.subresource == "proxy" and not info.rest and not info.path.endswith("/")
    return bare and info.method in ("GET", "HEAD")


def _redirect_to_slash(exchange: Exchange) -> web.Response:
    """Send readers of `…/proxy` to `…/proxy/`, so that relative links of what is behind it work."""
    path, _, query = exchange.request.raw_path.partition("?")
    headers = make_headers(exchange, "text/plain; charset=utf-8")
    headers["Location"] = f"{path}/?{query}" if query else f"{path}/"
    return web.Response(status=301, headers=headers)


async def _log_fault(exchange: Exchange, head: Head, reader: asyncio.StreamReader) -> ApiError:
    """Make a Status of what a kubelet says instead of logs.

    Source: k8s.io/apiserver/pkg/registry/generic/rest/response_checker.go v0.35.
    """
    body = b""
    async for data in iter_body(head, reader):
        body += data
        if len(body) >= _FAULT_BYTES:
            break
    text = body[:_FAULT_BYTES].decode("utf-8", "replace").rstrip("\n")
    if head.status == 400:
        return bad_request(text)
    if head.status == 404:
        message = f"the server could not find the requested resource ( pods {exchange.info.name})"
        return ApiError(404, "NotFound", message, details={"name": exchange.info.name, "kind": "pods"})
    message = f"Internal error occurred: {text}"
    return ApiError(500, "InternalError", message, details={"causes": [{"message": text}]})


def _unreachable(target: str, reason: str) -> ApiError:
    host = urlsplit(target).netloc
    return ApiError(
        500,
        "InternalError",
        f"Internal error occurred: error dialing backend: {host}: {reason or 'connection lost'}",
        details={"causes": [{"message": f"error dialing backend: {reason}"}]},
    )
