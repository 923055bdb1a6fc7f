"""An in-memory Dispatcher for tests of the HTTP face: no authorization, no admission, no validation."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

from k3py.api.status import already_exists, not_found
from k3py.apiserver.interface import ListResult, ObjectResult, StreamResult, WatchResult
from k3py.storage.interface import ListPage, WatchType

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from k3py.api.kind import Kind
    from k3py.api.registry import KindRegistry
    from k3py.apiserver.interface import ApiRequest, Result
    from k3py.jsontypes import JsonObject


@dataclass(frozen=True, slots=True)
class FakeView:
    """An object at a revision."""

    parsed: JsonObject
    revision: int

    @property
    def namespace(self) -> str:
        return str(self.parsed["metadata"].get("namespace", ""))

    @property
    def name(self) -> str:
        return str(self.parsed["metadata"]["name"])

    @property
    def uid(self) -> str:
        return str(self.parsed["metadata"].get("uid", ""))

    @property
    def served(self) -> bytes:
        return orjson.dumps(self.parsed)

    @property
    def labels(self) -> Mapping[str, str]:
        labels: Mapping[str, str] = self.parsed["metadata"].get("labels", {})
        return labels

    @property
    def fields(self) -> Mapping[str, str]:
        return {"metadata.name": self.name}


@dataclass(frozen=True, slots=True)
class FakeItem:
    """A watch event."""

    type: WatchType
    object: FakeView
    ends_initial_events: bool = False

    @property
    def json_line(self) -> bytes:
        return orjson.dumps({"type": self.type.value, "object": self.object.parsed}) + b"\n"


@dataclass
class FakeDispatcher:
    """Keeps objects in a dict; `error` is raised by the next request; `requests` are all that came."""

    kinds: KindRegistry
    error: Exception | None = None
    target: str = ""
    watch_timeout_s: float = 30
    requests: list[ApiRequest] = field(default_factory=list)
    watch_error: Exception | None = None
    closed_watches: int = 0
    _objects: dict[tuple[str, str, str], FakeView] = field(default_factory=dict)
    _revision: int = 0
    _watchers: list[asyncio.Queue[FakeItem | Exception]] = field(default_factory=list)

    async def dispatch(self, request: ApiRequest) -> Result:
        """Carry out a request."""
        self.requests.append(request)
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        resource = request.resource
        kind = self.kinds.find(resource.group, resource.version, resource.plural)
        assert kind is not None
        if request.subresource in ("log", "exec", "attach", "portforward", "proxy"):
            return StreamResult(target=self.target)
        key = (resource.plural, request.namespace, request.name)
        if request.verb == "create":
            return self._create(kind, request)
        if request.verb == "list":
            return ListResult(kind=kind, page=self._page(kind, request))
        if request.verb == "watch":
            return WatchResult(kind=kind, events=self._watch(), timeout_s=self.watch_timeout_s)
        view = self._objects.get(key)
        if view is None:
            raise not_found(resource.group, resource.plural, request.name)
        if request.verb == "delete":
            del self._objects[key]
            self._publish(FakeItem(WatchType.DELETED, view))
            return ObjectResult(
                kind=None,
                document={"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"},
            )
        if request.verb in ("update", "patch"):
            view = self._put(kind, {**view.parsed, **request.body}, key)
            self._publish(FakeItem(WatchType.MODIFIED, view))
        return ObjectResult(kind=kind, view=view)

    def fail_watches(self, error: Exception) -> None:
        """Have all open watches raise."""
        for queue in self._watchers:
            queue.put_nowait(error)

    def _create(self, kind: Kind, request: ApiRequest) -> ObjectResult:
        name = request.body["metadata"]["name"]
        key = (kind.plural, request.namespace, name)
        if key in self._objects:
            raise already_exists(kind.group, kind.plural, name)
        view = self._put(kind, request.body, key)
        self._publish(FakeItem(WatchType.ADDED, view))
        return ObjectResult(kind=kind, view=view, status_code=201)

    def _put(self, kind: Kind, body: JsonObject, key: tuple[str, str, str]) -> FakeView:
        self._revision += 1
        metadata = {**body["metadata"], "resourceVersion": str(self._revision)}
        if key[1]:
            metadata["namespace"] = key[1]
        document = {"kind": kind.kind, "apiVersion": kind.api_version, **body, "metadata": metadata}
        ordered = {one: document[one] for one in ("kind", "apiVersion", "metadata")} | document
        view = self._objects[key] = FakeView(ordered, self._revision)
        return view

    def _page(self, kind: Kind, request: ApiRequest) -> ListPage:
        items = [
            view
            for (plural, namespace, _), view in sorted(self._objects.items(), key=lambda one: one[0])
            if plural == kind.plural and request.namespace in ("", namespace)
        ]
        return ListPage(items=items, revision=self._revision)

    def _publish(self, item: FakeItem) -> None:
        for queue in self._watchers:
            queue.put_nowait(item)

    @asynccontextmanager
    async def _watch(self) -> AsyncIterator[AsyncIterator[Sequence[FakeItem]]]:
        queue: asyncio.Queue[FakeItem | Exception] = asyncio.Queue()
        if self.watch_error is not None:
            raise self.watch_error
        self._watchers.append(queue)
        try:
            yield self._events(queue)
        finally:
            self._watchers.remove(queue)
            self.closed_watches += 1

    async def _events(self, queue: asyncio.Queue[FakeItem | Exception]) -> AsyncIterator[Sequence[FakeItem]]:
        while True:
            item = await queue.get()
            if isinstance(item, Exception):
                raise item
            yield [item]
