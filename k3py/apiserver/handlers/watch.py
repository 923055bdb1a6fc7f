"""Watches over HTTP: a stream of events that ends with its deadline, the server's or the client's going away.

Source: k8s.io/apiserver/pkg/endpoints/handlers/watch.go v0.35.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson
from aiohttp import web

from k3py.api.status import ApiError, expired
from k3py.apiserver.encoding import object_view
from k3py.apiserver.encoding.answer import make_headers
from k3py.apiserver.encoding.negotiation import JSON, PROTOBUF, TABLE
from k3py.apiserver.encoding.table import Table
from k3py.apiserver.handlers.websocket import MessageStream, is_websocket
from k3py.storage.errors import RevisionExpired, StoreDropped, TooManyWatchers
from k3py.util.turns import Turns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from k3py.api.kind import Kind
    from k3py.apiserver.encoding.negotiation import Negotiated
    from k3py.apiserver.exchange import Exchange
    from k3py.apiserver.interface import WatchResult
    from k3py.jsontypes import JsonObject
    from k3py.storage.interface import WatchItem


class WatchStreams:
    """The watches that are open; `drain` ends them cleanly, so that their clients reconnect elsewhere or later."""

    def __init__(self) -> None:
        self._deadlines: set[asyncio.Timeout] = set()
        self._draining = False

    def __len__(self) -> int:
        return len(self._deadlines)

    def drain(self) -> None:
        """End all watches after the event that they are writing, and those still to come at once."""
        self._draining = True
        now = asyncio.get_running_loop().time()
        for deadline in tuple(self._deadlines):
            if not deadline.expired():
                deadline.reschedule(now)

    async def answer(self, exchange: Exchange, result: WatchResult, form: Negotiated) -> web.StreamResponse:
        """Stream events until the end of the watch."""
        content_type = f"{PROTOBUF};stream=watch" if form.media_type == PROTOBUF else JSON
        response = web.StreamResponse(headers=make_headers(exchange, content_type))
        response.enable_chunked_encoding()
        encode = _encoder(exchange, result.kind, form)
        deadline = asyncio.timeout(0 if self._draining else result.timeout_s)
        try:
            async with deadline:
                self._deadlines.add(deadline)
                if is_websocket(exchange.request):
                    messages = _iter_messages(exchange, result, encode, form)
                    return await MessageStream(exchange, text=True).run(messages)
                await _stream(exchange, response, result, encode, form)
        except TimeoutError:
            if not deadline.expired():
                raise
        except (TooManyWatchers, StoreDropped):
            pass  # it fell behind, or its kind has changed: ending the stream makes it list again
        finally:
            self._deadlines.discard(deadline)
        if not response.prepared:
            await response.prepare(exchange.request)
        await response.write_eof()
        return response


async def _stream(
    exchange: Exchange,
    response: web.StreamResponse,
    result: WatchResult,
    encode: Callable[[WatchItem], bytes] | None,
    form: Negotiated,
) -> None:
    try:
        async with result.events as events:
            await response.prepare(exchange.request)
            exchange.streaming = True
            exchange.leave_seat()
            turns = Turns()
            if encode is None:
                async for batch in events:
                    if len(batch) == 1:
                        await response.write(batch[0].json_line)
                    else:
                        await response.write(b"".join([item.json_line for item in batch]))
                        await turns.take()
            else:
                async for batch in events:
                    lines = []
                    for item in batch:
                        lines.append(encode(item))
                        await turns.take()
                    await response.write(b"".join(lines))
    except RevisionExpired as error:
        await _write_error(exchange, response, expired(str(error)), form)
    except ApiError as error:
        if not response.prepared:
            raise
        await _write_error(exchange, response, error, form)


async def _iter_messages(
    exchange: Exchange,
    result: WatchResult,
    encode: Callable[[WatchItem], bytes] | None,
    form: Negotiated,
) -> AsyncIterator[bytes]:
    try:
        async with result.events as events:
            exchange.leave_seat()
            async for batch in events:
                for item in batch:
                    yield (encode(item) if encode is not None else item.json_line).rstrip(b"\n")
    except RevisionExpired as error:
        yield exchange.codec.encode_event("ERROR", expired(str(error)).to_status(), form)


async def _write_error(
    exchange: Exchange, response: web.StreamResponse, error: ApiError, form: Negotiated
) -> None:
    """Tell the client in the stream; its reflector lists again."""
    if not response.prepared:
        await response.prepare(exchange.request)
    await response.write(exchange.codec.encode_event("ERROR", error.to_status(), form))


def _encoder(exchange: Exchange, kind: Kind, form: Negotiated) -> Callable[[WatchItem], bytes] | None:
    """Return how events are written, None for the bytes that all watchers share."""
    if form.is_plain_json:
        return None
    codec = exchange.codec
    options = exchange.options
    if form.view == TABLE:
        return _TableEvents(exchange, kind, form).encode

    def encode(item: WatchItem) -> bytes:
        document: JsonObject = orjson.loads(item.json_line)["object"]
        shown = object_view.object_document(kind, document, form, options)
        return codec.encode_event(item.type.value, shown, form)

    return encode


class _TableEvents:
    """Events as one-row tables; only the first names the columns."""

    def __init__(self, exchange: Exchange, kind: Kind, form: Negotiated) -> None:
        self._codec = exchange.codec
        self._table = Table(kind, form.view_version, exchange.options)
        self._form = form
        self._with_columns = True

    def encode(self, item: WatchItem) -> bytes:
        document: JsonObject = orjson.loads(item.json_line)["object"]
        revision = (document.get("metadata") or {}).get("resourceVersion", "")
        table = self._table.to_document(
            [document], {"resourceVersion": revision}, with_columns=self._with_columns
        )
        self._with_columns = False
        return self._codec.encode_event(item.type.value, table, self._form)
