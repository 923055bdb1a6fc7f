"""/openapi/v2 and /openapi/v3: documents with ETags, built when they are first asked for and kept compressed.

Source: k8s.io/kube-openapi/pkg/{handler,handler3} (api-machinery.md §1.2).
"""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import orjson
from aiohttp import web

from k3py.apiserver.encoding.answer import TEXT, answer_bytes, answer_not_found, make_headers
from k3py.apiserver.encoding.negotiation import JSON, Negotiator
from k3py.wire import openapi_protobuf

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from k3py.api.kind import Kind
    from k3py.api.registry import KindRegistry
    from k3py.apiserver.aggregation.documents import RemoteDocument
    from k3py.apiserver.exchange import Exchange
    from k3py.jsontypes import JsonObject

_PREFIX: Final = "/openapi/v3"
# Keys of the two forms of /openapi/v2; all others are paths below /openapi/v3/.
_V2: Final = ""
_V2_PROTOBUF: Final = "+protobuf"


class OpenApiBuilder(Protocol):
    """Builds the documents from kinds and schemas."""

    def build_v2(self, kinds: Iterable[Kind]) -> JsonObject:
        """Return the Swagger 2.0 document of all kinds."""

    def build_v3(self, kinds: Iterable[Kind], group: str, version: str) -> JsonObject:
        """Return the OpenAPI 3.0 document of one group and version."""


class RemoteDocuments(Protocol):
    """What other servers say of the groups and versions that they serve."""

    async def read_v2(self) -> Sequence[RemoteDocument]:
        """Return their OpenAPI v2 documents."""

    async def read_v3(self) -> Sequence[RemoteDocument]:
        """Return the OpenAPI v3 documents of their versions."""


@dataclass(frozen=True, slots=True)
class _Built:
    """A document, gzipped (megabytes otherwise), its hash and type, and the kinds that it was built from."""

    kinds: tuple[Kind, ...]
    packed: bytes
    digest: str
    media_type: str = JSON


class OpenApi:
    """Serves OpenAPI; `builder` None = this server publishes none.

    A document is built when it is asked for and is kept until one of its kinds changes. `remote`: what other servers say of theirs.
    """

    def __init__(
        self, kinds: KindRegistry, builder: OpenApiBuilder | None, remote: RemoteDocuments | None = None
    ) -> None:
        self._kinds = kinds
        self._builder = builder
        self._remote = remote
        self._merged: tuple[str, ...] = ()  # hashes of other servers' documents within our v2 document
        self._negotiator = Negotiator()
        self._generation = -1
        self._paths: dict[str, tuple[Kind, ...]] = {}
        self._built: dict[str, _Built] = {}

    async def answer(self, exchange: Exchange, path: str) -> web.Response:
        """Answer GET of a path below /openapi."""
        if self._builder is None:
            return answer_not_found(exchange)
        self._refresh()
        if path == "/openapi/v2":
            others = await self._remote.read_v2() if self._remote is not None else []
            return self._answer(exchange, self._find(self._builder, self._choose_v2(exchange), others))
        others = await self._remote.read_v3() if self._remote is not None else []
        if path == _PREFIX:
            return await self._answer_index(exchange, self._builder, others)
        key = path.removeprefix(f"{_PREFIX}/")
        other = next((one for one in others if one.base[1:] == key), None)
        if other is None and (key == path or key not in self._paths):
            return answer_not_found(exchange)
        built = self._find(self._builder, key) if other is None else _pack(other)
        wanted = exchange.options.get("hash")
        if wanted is not None and wanted != built.digest:
            headers = make_headers(exchange, TEXT)
            headers["Location"] = f"{path}?hash={built.digest}"
            return web.Response(status=301, headers=headers)
        answer = self._answer(exchange, built)
        if wanted is not None:
            answer.headers["Cache-Control"] = "public, immutable"
            answer.headers["Expires"] = "Fri, 31 Dec 9999 23:59:59 GMT"
        return answer

    def _refresh(self) -> None:
        if self._generation == self._kinds.generation:
            return
        self._generation = self._kinds.generation
        paths: dict[str, list[Kind]] = {}
        for kind in self._kinds:
            paths.setdefault(kind.resource.base_path[1:], []).append(kind)
        self._paths = {path: tuple(kinds) for path, kinds in paths.items()}
        self._built = {key: built for key, built in self._built.items() if built.kinds == self._kinds_of(key)}

    def _kinds_of(self, key: str) -> tuple[Kind, ...]:
        return tuple(self._kinds) if key in (_V2, _V2_PROTOBUF) else self._paths.get(key, ())

    async def _answer_index(
        self, exchange: Exchange, builder: OpenApiBuilder, others: Sequence[RemoteDocument]
    ) -> web.Response:
        paths = {}
        for key in tuple(self._paths):
            if key not in self._built:
                await asyncio.sleep(0)  # each takes some ten milliseconds: let others run
            if key in self._paths:
                digest = self._find(builder, key).digest
                paths[key] = {"serverRelativeURL": f"{_PREFIX}/{key}?hash={digest}"}
        for one in others:
            key = one.base[1:]
            paths[key] = {"serverRelativeURL": f"{_PREFIX}/{key}?hash={one.digest}"}
        return answer_bytes(exchange, orjson.dumps({"paths": paths}), TEXT)

    def _choose_v2(self, exchange: Exchange) -> str:
        offers = (JSON, *openapi_protobuf.ALIASES)
        chosen = self._negotiator.negotiate_document(exchange.accept, offers)
        return _V2 if chosen.media_type == JSON else _V2_PROTOBUF

    def _find(self, builder: OpenApiBuilder, key: str, others: Sequence[RemoteDocument] = ()) -> _Built:
        """Return the document of a path below /openapi/v3/, or `_V2`, `_V2_PROTOBUF` with `others` in it."""
        if key in (_V2, _V2_PROTOBUF):
            merged = tuple(one.digest for one in others)
            if merged != self._merged:
                self._merged = merged
                for stale in (_V2, _V2_PROTOBUF):
                    _ = self._built.pop(stale, None)
        built = self._built.get(key)
        if built is None:
            kinds = self._kinds_of(key)
            media_type = JSON
            if key == _V2_PROTOBUF:
                body = openapi_protobuf.encode_document(_join(builder.build_v2(kinds), others))
                media_type = openapi_protobuf.MEDIA_TYPE
            elif key == _V2:
                body = orjson.dumps(_join(builder.build_v2(kinds), others))
            else:
                body = orjson.dumps(builder.build_v3(kinds, kinds[0].group, kinds[0].version))
            digest = hashlib.sha512(body).hexdigest().upper()
            built = self._built[key] = _Built(kinds, _gzip(body), digest, media_type)
        return built

    def _answer(self, exchange: Exchange, built: _Built) -> web.Response:
        tag = f'"{built.digest}"'
        request = exchange.request
        if request.headers.get("If-None-Match") == tag:
            answer = answer_bytes(exchange, b"", built.media_type, 304)
        else:
            zipped = "gzip" in request.headers.get("Accept-Encoding", "")
            body = built.packed if zipped else zlib.decompress(built.packed, 31)
            answer = answer_bytes(exchange, body, built.media_type, compress=False)
            if zipped:
                answer.headers["Content-Encoding"] = "gzip"
                answer.headers.add("Vary", "Accept-Encoding")
        answer.headers["ETag"] = tag
        answer.headers.add("Vary", "Accept")
        return answer


def _join(document: JsonObject, others: Sequence[RemoteDocument]) -> JsonObject:
    if not others:
        return document
    from k3py.apiserver.aggregation.merging import merge_v2  # noqa: PLC0415 - few clusters have extensions

    return merge_v2(document, ((one.base, one.document) for one in others))


def _pack(document: RemoteDocument) -> _Built:
    return _Built((), _gzip(document.body), document.digest)


def _gzip(body: bytes) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return packer.compress(body) + packer.flush()
