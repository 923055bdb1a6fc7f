"""Request bodies. Source of the limit: k8s.io/apiserver/pkg/server/config.go v0.35."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from k3py.api.status import ApiError, bad_request

MOST_BODY_BYTES: Final = 3 * 1024 * 1024


async def read_body(request: web.BaseRequest) -> bytes:
    """Return the whole body. Raises ApiError 413 over 3 MiB, 400 for a broken one."""
    if not request.can_read_body:
        return b""
    if (request.content_length or 0) > MOST_BODY_BYTES:
        raise _too_large()
    chunks: list[bytes] = []
    size = 0
    try:
        while chunk := await request.content.readany():
            size += len(chunk)
            if size > MOST_BODY_BYTES:
                raise _too_large()
            chunks.append(chunk)
    except web.RequestPayloadError as error:
        raise bad_request(f"the body of the request cannot be read: {error}") from error
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large() -> ApiError:
    return ApiError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {MOST_BODY_BYTES}")
