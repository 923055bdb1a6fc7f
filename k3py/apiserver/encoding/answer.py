"""HTTP answers: headers that every answer has, compression, and documents in the negotiated media type."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from aiohttp import web
from multidict import CIMultiDict

from k3py.apiserver.encoding.negotiation import JSON, PROTOBUF, Negotiated
from k3py.util.turns import Turns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from k3py.api.status import ApiError
    from k3py.apiserver.encoding.negotiation import Negotiator
    from k3py.apiserver.exchange import Exchange
    from k3py.jsontypes import JsonObject

COMPRESS_FROM_BYTES: Final = 128 * 1024
_LONGEST_WARNING: Final = 256
_MOST_WARNING_BYTES: Final = 4096
TEXT: Final = "text/plain; charset=utf-8"


def make_headers(exchange: Exchange, content_type: str) -> CIMultiDict[str]:
    """Return the headers of an answer."""
    headers: CIMultiDict[str] = CIMultiDict(
        (
            ("Audit-Id", exchange.audit_id),
            ("Cache-Control", "no-cache, private"),
            ("Content-Type", content_type),
        )
    )
    seat = exchange.seat
    if seat is not None and seat.schema.uid:
        headers["X-Kubernetes-PF-FlowSchema-UID"] = seat.schema.uid
        headers["X-Kubernetes-PF-PriorityLevel-UID"] = seat.level.uid
    if exchange.warnings:
        _add_warnings(headers, exchange.warnings)
    return headers


def answer_bytes(
    exchange: Exchange, body: bytes, content_type: str = JSON, status: int = 200, *, compress: bool = True
) -> web.Response:
    """Return an answer with a body that is already encoded."""
    headers = make_headers(exchange, content_type)
    if compress and len(body) > COMPRESS_FROM_BYTES and _accepts_gzip(exchange):
        body = _gzip(body)
        headers["Content-Encoding"] = "gzip"
        headers.add("Vary", "Accept-Encoding")
    return web.Response(body=body, status=status, headers=headers)


async def answer_pieces(
    exchange: Exchange, pieces: AsyncIterator[bytes], content_type: str
) -> web.StreamResponse:
    """Send an answer piece by piece, as fast as the client takes it."""
    headers = make_headers(exchange, content_type)
    packer = None
    if _accepts_gzip(exchange):
        headers["Content-Encoding"] = "gzip"
        headers.add("Vary", "Accept-Encoding")
        packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    response = web.StreamResponse(headers=headers)
    response.enable_chunked_encoding()
    turns = Turns()
    async for piece in pieces:
        if not response.prepared:  # what goes wrong before the first piece is still an error
            exchange.begun = True
            await response.prepare(exchange.request)
        data = packer.compress(piece) if packer is not None else piece
        if data:
            await response.write(data)
        await turns.take()
    if packer is not None:
        await response.write(packer.flush())
    await response.write_eof()
    return response


def answer_text(exchange: Exchange, text: str, status: int = 200) -> web.Response:
    """Return a plain text answer that browsers will not take for something else."""
    answer = answer_bytes(exchange, text.encode(), TEXT, status)
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer


def answer_not_found(exchange: Exchange) -> web.Response:
    """Return what Go's mux answers for a path that nobody serves."""
    return answer_text(exchange, "404 page not found\n", 404)


def answer_overloaded(exchange: Exchange) -> web.Response:
    """Return what who comes too often gets. Source: k8s.io/apiserver/pkg/server/filters/maxinflight.go v0.35."""
    answer = answer_text(exchange, "Too many requests, please try again later.\n", 429)
    answer.headers["Retry-After"] = "1"
    return answer


def answer_document(
    exchange: Exchange,
    document: JsonObject,
    form: Negotiated,
    status: int = 200,
    *,
    compress: bool = True,
) -> web.Response:
    """Return a document as an answer."""
    body = exchange.codec.encode(document, form, pretty=exchange.is_pretty)
    return answer_bytes(exchange, body, form.media_type, status, compress=compress)


def answer_error(exchange: Exchange, error: ApiError, negotiator: Negotiator) -> web.Response:
    """Return the Status of an error, in a media type that the client accepts."""
    form = negotiator.negotiate_status(exchange.accept)
    if error.code == 406 and form.media_type != PROTOBUF:
        form = Negotiated(JSON)
    answer = answer_document(exchange, error.to_status(), form, error.code)
    if error.retry_after_s is not None:
        answer.headers["Retry-After"] = str(error.retry_after_s)
    if error.code == 403:
        answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer


def _add_warnings(headers: CIMultiDict[str], warnings: Sequence[str]) -> None:
    """Add Warning headers, each text once. Source: k8s.io/apiserver/pkg/endpoints/filters/warning.go v0.35."""
    total = sum(len(text) for text in warnings)
    used = 0
    for text in dict.fromkeys(warnings):
        shown = text[:_LONGEST_WARNING] if total > _MOST_WARNING_BYTES else text
        used += len(shown)
        if used > _MOST_WARNING_BYTES:
            return
        headers.add("Warning", f'299 - "{_quote(shown)}"')


def _quote(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text.replace("\\", "\\\\").replace('"', '\\"')
    shown = "".join(one if one.isprintable() else " " for one in text)
    return shown.replace("\\", "\\\\").replace('"', '\\"')


def _accepts_gzip(exchange: Exchange) -> bool:
    """Say whether gzip stands in Accept-Encoding by its bare name, as upstream wants it."""
    accepted = exchange.request.headers.get("Accept-Encoding", "")
    return "gzip" in accepted and any(one.strip() == "gzip" for one in accepted.split(","))


def _gzip(body: bytes) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return packer.compress(body) + packer.flush()
