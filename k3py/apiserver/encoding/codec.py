"""Documents from and to bytes in every media type.

JSON is orjson's; YAML and protobuf are loaded when somebody first speaks them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import orjson

from k3py.api.status import ApiError, bad_request
from k3py.apiserver.encoding.negotiation import JSON, PROTOBUF, YAML

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3py.apiserver.encoding.negotiation import Negotiated
    from k3py.jsontypes import JsonObject, JsonValue

PATCH_TYPES: Final = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
_APPLY: Final = "application/apply-patch+yaml"


class ProtobufCodec(Protocol):
    """Kubernetes' protobuf in envelopes; `k3py.wire.kubernetes_protobuf.KubernetesProtobuf` is one."""

    def decode_object(self, data: bytes) -> JsonObject:
        """Return the object. Raises ValueError."""

    def encode_object(self, obj: JsonObject) -> bytes:
        """Return the envelope. Raises KeyError for kinds without such a form."""

    def encode_watch_event(self, kind: str, obj: JsonObject) -> bytes:
        """Return a frame of a watch stream. Raises KeyError."""

    def open_list(self, document: JsonObject) -> ListEncoder:
        """Return the encoder of a list whose items come one by one; `document` has none. Raises KeyError."""


class ListEncoder(Protocol):
    """A list in protobuf, item by item."""

    tail: bytes

    def put_item(self, out: bytearray, item: JsonObject) -> None:
        """Append an item."""

    def frame_head(self, size: int) -> bytes:
        """Return what stands before items of `size` bytes."""


class Codec:
    """Reads request bodies and writes answers; `load_protobuf` makes the protobuf codec (its tables are big), None = none."""

    def __init__(self, load_protobuf: Callable[[], ProtobufCodec] | None = None) -> None:
        self._load_protobuf = load_protobuf
        self._protobuf: ProtobufCodec | None = None

    def decode_body(
        self, body: bytes, content_type: str, *, api_version: str = "", kind: str = ""
    ) -> JsonValue:
        """Return the document in a create, update or delete body; protobuf may leave out its type, then it is the given one.

        Raises:
            ApiError: 400 or 415.
        """
        media_type = media_type_of(content_type)
        if media_type in ("", JSON):
            return decode_json(body)
        if media_type == YAML:
            return decode_yaml(body)
        if media_type == PROTOBUF and self._load_protobuf is not None:
            try:
                return self._protobuf_codec().decode_object(_with_type(body, api_version, kind))
            except (ValueError, KeyError, IndexError) as error:
                text = "the object provided is unrecognized (must be of type protobuf)"
                raise bad_request(f"{text}: {error}") from error
        raise _unsupported((JSON, YAML, PROTOBUF))

    def decode_patch(
        self, body: bytes, content_type: str, *, is_custom: bool = False
    ) -> tuple[JsonValue, str]:
        """Return the patch and its type; `is_custom`: of a custom resource. Raises ApiError 400 or 415."""
        media_type = media_type_of(content_type)
        if media_type not in PATCH_TYPES:
            error = _unsupported(PATCH_TYPES)
            if not is_custom:
                error.details = {}
            raise error
        return (decode_yaml(body) if media_type == _APPLY else decode_json(body)), media_type

    def encode(self, document: JsonObject, form: Negotiated, *, pretty: bool) -> bytes:
        """Return a document in the negotiated media type. Raises ApiError 406 for types without a protobuf form."""
        if form.media_type == JSON:
            if pretty or form.parameters.get("pretty") == "1":
                return orjson.dumps(document, option=orjson.OPT_INDENT_2)
            return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)
        if form.media_type == YAML:
            from k3py.api import yaml_codec  # noqa: PLC0415 - PyYAML is big and rarely needed

            return yaml_codec.dump(document)
        try:
            typed = document if "apiVersion" in document else {"apiVersion": "v1", **document}
            return self._protobuf_codec().encode_object(typed)
        except KeyError as error:
            raise _no_protobuf(document) from error

    def open_list(self, document: JsonObject) -> ListEncoder:
        """Return the protobuf encoder of a list. Raises ApiError 406."""
        try:
            return self._protobuf_codec().open_list(document)
        except KeyError as error:
            raise _no_protobuf(document) from error

    def encode_event(self, event_type: str, document: JsonObject, form: Negotiated) -> bytes:
        """Return one event of a watch stream."""
        if form.media_type != PROTOBUF:
            return orjson.dumps({"type": event_type, "object": document}, option=orjson.OPT_APPEND_NEWLINE)
        try:
            return self._protobuf_codec().encode_watch_event(event_type, document)
        except KeyError as error:
            raise _no_protobuf(document) from error

    def _protobuf_codec(self) -> ProtobufCodec:
        if self._protobuf is None:
            if self._load_protobuf is None:
                raise KeyError("protobuf")
            self._protobuf = self._load_protobuf()
        return self._protobuf


def _with_type(body: bytes, api_version: str, kind: str) -> bytes:
    """Put the type into an envelope that names none. Raises ValueError."""
    from k3py.wire.kubernetes_protobuf import MAGIC, split_envelope  # noqa: PLC0415 - needed with the codec only
    from k3py.wire.varint import put_bytes  # noqa: PLC0415

    found_version, found_kind, raw = split_envelope(body)
    if found_kind and found_version:
        return body
    meta, out = bytearray(), bytearray(MAGIC)
    put_bytes(meta, 1, (found_version or api_version).encode())
    put_bytes(meta, 2, (found_kind or kind).encode())
    put_bytes(out, 1, meta)
    put_bytes(out, 2, raw)
    return bytes(out)


def media_type_of(content_type: str) -> str:
    """Return a Content-Type without its parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


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
    from k3py.api import yaml_codec  # noqa: PLC0415 - PyYAML is big and rarely needed

    return yaml_codec.load(body)


def raw_json_of(body: bytes, content_type: str) -> bytes:
    """Return a body as JSON text with its repeated keys, b"" for protobuf, which has none. Raises ApiError 400."""
    media_type = media_type_of(content_type)
    if media_type in ("", JSON):
        return body
    if media_type not in (YAML, _APPLY):
        return b"" if media_type == PROTOBUF else body
    if body[:1] == b"{":
        try:
            orjson.loads(body)
        except orjson.JSONDecodeError:
            pass  # YAML's flow style looks the same at first
        else:
            return body
    from k3py.api import yaml_codec  # noqa: PLC0415 - PyYAML is big and rarely needed

    return yaml_codec.to_raw_json(body)


def repeated_keys_of(body: bytes, document: JsonValue, raw_json: bytes) -> list[str]:
    """Return what a strict decoder says of keys that stand twice in YAML; documents without, nearly all, are found out by counting."""
    if raw_json.count(b'":') == orjson.dumps(document).count(b'":'):
        return []
    from k3py.api import yaml_codec  # noqa: PLC0415 - PyYAML is big and rarely needed

    return yaml_codec.find_repeated_keys(body)


def _unsupported(accepted: tuple[str, ...]) -> ApiError:
    return ApiError(
        415,
        "UnsupportedMediaType",
        "the body of the request was in an unknown format - accepted media types include: "
        + ", ".join(accepted),
    )


def _no_protobuf(document: JsonObject) -> ApiError:
    return ApiError(406, "NotAcceptable", f"object {document.get('kind')!r} has no protobuf form")
