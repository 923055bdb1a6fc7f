"""OpenAPI documents of extension API servers, fetched when somebody asks for ours and kept while they say the same.

Source: k8s.io/kube-aggregator/pkg/controllers/{openapi,openapiv3} v0.35, which ask every minute instead.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.apiserver.aggregation.endpoints import Unavailable
from k3py.apiserver.aggregation.local_services import API_SERVER
from k3py.util import clock
from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3py.apiserver.aggregation.api_services import ApiServices, Registration
    from k3py.apiserver.aggregation.client import ExtensionClient
    from k3py.jsontypes import JsonObject

log = logging.getLogger(__name__)

_FRESH_S: Final = 10.0
_ANSWER_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteDocument:
    """A document: of which base path ("/apis/group/version"), its bytes, and their hash."""

    base: str
    document: JsonObject
    body: bytes
    digest: str


@dataclass(slots=True)
class _Kept:
    uid: str
    fetched_s: float
    etag: str
    document: RemoteDocument | None


class ExtensionDocuments:
    """Keeps the last documents by path and APIService."""

    def __init__(
        self,
        services: ApiServices,
        client: ExtensionClient,
        *,
        monotonic_s: Callable[[], float] = clock.monotonic_s,
    ) -> None:
        self._services = services
        self._client = client
        self._monotonic_s = monotonic_s
        self._kept: dict[tuple[str, str], _Kept] = {}

    async def read_v2(self) -> list[RemoteDocument]:
        """Return the OpenAPI v2 documents of all servers that are available and have one."""
        return await self._read_all(lambda _: "/openapi/v2")

    async def read_v3(self) -> list[RemoteDocument]:
        """Return the OpenAPI v3 documents of all versions whose servers are available and have one."""
        return await self._read_all(lambda base: f"/openapi/v3{base}")

    async def _read_all(self, path_of: Callable[[str], str]) -> list[RemoteDocument]:
        if not self._services.has_remotes:
            self._kept.clear()
            return []
        async with TaskScope() as scope:
            tasks = [
                scope.spawn(self._read(one, path_of), name=f"openapi-{one.name}")
                for one in self._services.list_remotes()
                if one.available
            ]
        return [found for task in tasks if (found := task.result()) is not None]

    async def _read(self, registration: Registration, path_of: Callable[[str], str]) -> RemoteDocument | None:
        base = f"/apis/{registration.group}/{registration.version}"
        path = path_of(base)
        key = (path, registration.name)
        kept = self._kept.get(key)
        if kept is not None and kept.uid != registration.uid:
            kept = None
        now_s = self._monotonic_s()
        if kept is not None and now_s - kept.fetched_s < _FRESH_S:
            return kept.document
        etag = kept.etag if kept is not None and kept.document is not None else ""
        try:
            async with asyncio.timeout(_ANSWER_S):
                answer = await self._client.get(registration, path, user=API_SERVER, etag=etag)
        except (Unavailable, OSError, TimeoutError) as error:
            log.info(
                "no OpenAPI of an APIService", extra={"api_service": registration.name, "error": str(error)}
            )
            return kept.document if kept is not None else None
        document = kept.document if kept is not None and answer.status == 304 else None
        if answer.status == 200 and isinstance(answer.document, dict):
            digest = hashlib.sha512(answer.body).hexdigest().upper()
            document = RemoteDocument(base=base, document=answer.document, body=answer.body, digest=digest)
        self._kept[key] = _Kept(registration.uid, now_s, answer.etag or etag, document)
        return document
