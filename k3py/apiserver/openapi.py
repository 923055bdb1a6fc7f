"""/openapi/v2 and /openapi/v3: documents with ETags, built when they are first asked for and kept compressed.

Source: k8s.io/kube-openapi/pkg/{handler,handler3} (api-machinery.md §1.2).
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import orjson
from aiohttp import web

from k3py.apiserver.encoding.answer import TEXT, answer_bytes, answer_not_found, make_headers
from k3py.apiserver.encoding.negotiation import JSON

if TYPE_CHECKING:
    from k3py.api.registry import KindRegistry
    from k3py.apiserver.exchange import Exchange
    from k3py.jsontypes import JsonObject

_PREFIX: Final = "/openapi/v3"


class OpenApiBuilder(Protocol):
    """Builds the documents from kinds and schemas."""

    def build_v2(self, kinds: KindRegistry) -> JsonObject:
        """Return the Swagger 2.0 document of all kinds."""

    def build_v3(self, kinds: KindRegistry, group: str, version: str) -> JsonObject:
        """Return the OpenAPI 3.0 document of one group and version."""


@dataclass(frozen=True, slots=True)
class _Built:
    """A document, gzipped (megabytes otherwise), and its hash."""

    packed: bytes
    digest: str


class OpenApi:
    """Serves OpenAPI; `builder` None = this server publishes none."""

    def __init__(self, kinds: KindRegistry, builder: OpenApiBuilder | None) -> None:
        self._kinds = kinds
        self._builder = builder
        self._generation = -1
        self._built: dict[str, _Built] = {}

    def answer(self, exchange: Exchange, path: str) -> web.Response:
        """Answer GET of a path below /openapi."""
        if self._builder is None:
            return answer_not_found(exchange)
        if self._generation != self._kinds.generation:
            self._generation = self._kinds.generation
            self._built.clear()
        if path == "/openapi/v2":
            built = self._v2(self._builder)
            return self._answer(exchange, built)
        if path == _PREFIX:
            return self._answer_index(exchange)
        if not path.startswith(f"{_PREFIX}/"):
            return answer_not_found(exchange)
        key = path.removeprefix(f"{_PREFIX}/")
        if key not in self._paths():
            return answer_not_found(exchange)
        built = self._v3(self._builder, key)
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

    def _paths(self) -> dict[str, tuple[str, str]]:
        found = {}
        for kind in self._kinds:
            path = f"apis/{kind.group}/{kind.version}" if kind.group else f"api/{kind.version}"
            found[path] = (kind.group, kind.version)
        return found

    def _answer_index(self, exchange: Exchange) -> web.Response:
        builder = self._builder
        assert builder is not None
        paths = {
            key: {"serverRelativeURL": f"{_PREFIX}/{key}?hash={self._digest(key)}"} for key in self._paths()
        }
        return answer_bytes(exchange, orjson.dumps({"paths": paths}), TEXT)

    def _digest(self, key: str) -> str:
        """Return a document's hash, which the index needs before anybody asks for the document."""
        assert self._builder is not None
        return self._v3(self._builder, key).digest

    def _v2(self, builder: OpenApiBuilder) -> _Built:
        built = self._built.get("")
        if built is None:
            built = self._built[""] = _pack(builder.build_v2(self._kinds))
        return built

    def _v3(self, builder: OpenApiBuilder, key: str) -> _Built:
        built = self._built.get(key)
        if built is None:
            group, version = self._paths()[key]
            built = self._built[key] = _pack(builder.build_v3(self._kinds, group, version))
        return built

    def _answer(self, exchange: Exchange, built: _Built) -> web.Response:
        tag = f'"{built.digest}"'
        request = exchange.request
        if request.headers.get("If-None-Match") == tag:
            answer = answer_bytes(exchange, b"", JSON, 304)
        else:
            zipped = "gzip" in request.headers.get("Accept-Encoding", "")
            body = built.packed if zipped else zlib.decompress(built.packed, 31)
            answer = answer_bytes(exchange, body, JSON, compress=False)
            if zipped:
                answer.headers["Content-Encoding"] = "gzip"
                answer.headers.add("Vary", "Accept-Encoding")
        answer.headers["ETag"] = tag
        answer.headers.add("Vary", "Accept")
        return answer


def _pack(document: JsonObject) -> _Built:
    body = orjson.dumps(document)
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return _Built(packer.compress(body) + packer.flush(), hashlib.sha512(body).hexdigest().upper())
