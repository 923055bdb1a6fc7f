"""Request bodies: size limit, content type, and the document inside.

Source: k8s.io/apiserver/pkg/endpoints/handlers/{create,patch,rest}.go v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from k3py.api.status import ApiError, bad_request
from k3py.apiserver.encoding.negotiation import JSON, PROTOBUF, YAML

if TYPE_CHECKING:
    from aiohttp import web

    from k3py.jsontypes import JsonValue

MOST_BODY_BYTES: Final = 3 * 1024 * 1024
PATCH_TYPES: Final = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
_APPLY: Final = "application/apply-patch+yaml"


async def read_body(request: web.BaseRequest) -> bytes:
    """Return the whole body, decompressed. Raises ApiError 413 over 3 MiB."""
    if not request.can_read_body:
        return b""
    if (request.content_length or 0) > MOST_BODY_BYTES:
        raise _too_large()
    chunks: list[bytes] = []
    size = 0
    while chunk := await request.content.readany():
        size += len(chunk)
        if size > MOST_BODY_BYTES:
            raise _too_large()
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def media_type_of(content_type: str) -> str:
    """Return a Content-Type without its parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def decode_body(body: bytes, content_type: str) -> JsonValue:
    """Return the document in a create, update or delete body. Raises ApiError 400 or 415."""
    media_type = media_type_of(content_type)
    if media_type in ("", JSON):
        return decode_json(body)
    if media_type == YAML:
        return decode_yaml(body)
    if media_type == PROTOBUF:
        return _decode_protobuf(body)
    raise ApiError(
        415,
        "UnsupportedMediaType",
        f"the body of the request was in an unknown format - accepted media types include: "
        f"{JSON}, {YAML}, {PROTOBUF}",
    )


def decode_patch(body: bytes, content_type: str) -> tuple[JsonValue, str]:
    """Return the patch and its type. Raises ApiError 400 or 415."""
    media_type = media_type_of(content_type)
    if media_type not in PATCH_TYPES:
        raise ApiError(
            415,
            "UnsupportedMediaType",
            f"the body of the request was in an unknown format - accepted media types include: "
            f"{', '.join(PATCH_TYPES)}",
            details={},
        )
    if media_type == _APPLY:
        return decode_yaml(body), media_type
    return decode_json(body), media_type


def decode_json(body: bytes) -> JsonValue:
    """Parse JSON. Raises ApiError 400."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"the object provided is unrecognized (must be of type JSON): {error}") from error


def decode_yaml(body: bytes) -> JsonValue:
    """Parse the first document of YAML as JSON would read: keys are strings. Raises ApiError 400."""
    if body[:1] == b"{":
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            pass  # YAML's flow style looks the same at first
    from k3py.apiserver.encoding import yaml_codec  # noqa: PLC0415 - PyYAML is big and rarely needed

    return yaml_codec.load(body)


def _decode_protobuf(body: bytes) -> JsonValue:
    from k3py.apiserver.encoding import protobuf_codec  # noqa: PLC0415 - its field table is big

    return protobuf_codec.decode(body)


def _too_large() -> ApiError:
    return ApiError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {MOST_BODY_BYTES}")
