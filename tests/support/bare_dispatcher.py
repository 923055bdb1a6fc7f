"""A dispatcher with stores and nothing else (no authorization, admission, defaults): for tests of the in-process client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from k3py.api import status
from k3py.api.selectors import parse_field_selector, parse_label_selector
from k3py.apiserver.interface import ListResult, ObjectResult, WatchResult
from k3py.storage.errors import ObjectExists, ObjectNotFound
from k3py.storage.interface import Deleted, ListQuery, WatchQuery

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.api.kind import Kind
    from k3py.apiserver.interface import ApiRequest, Dispatcher, Result
    from k3py.jsontypes import JsonObject
    from k3py.storage.interface import ObjectView, Storage


class BareDispatcher:
    """Verbs on stores of `kinds`; a patch is a shallow merge."""

    def __init__(self, storage: Storage, kinds: Iterable[Kind]) -> None:
        self._storage = storage
        self._kinds = {kind.plural: kind for kind in kinds}
        self.requests: list[ApiRequest] = []

    async def dispatch(self, request: ApiRequest) -> Result:
        self.requests.append(request)
        kind = self._kinds[request.resource.plural]
        store = await self._storage.store_for(kind)
        options = request.options
        labels = parse_label_selector(options["labelSelector"]) if "labelSelector" in options else None
        fields = parse_field_selector(options["fieldSelector"]) if "fieldSelector" in options else None
        common: dict[str, Any] = {"namespace": request.namespace, "labels": labels, "fields": fields}
        try:
            match request.verb:
                case "get":
                    view = await store.get(request.namespace, request.name)
                    return ObjectResult(kind=kind, view=view)
                case "list":
                    page = await store.list(
                        ListQuery(
                            **common,
                            limit=int(options.get("limit", 0)),
                            continue_token=options.get("continue", ""),
                        )
                    )
                    return ListResult(kind=kind, page=page)
                case "watch":
                    query = WatchQuery(
                        **common,
                        after=int(options.get("resourceVersion", 0)) or None,
                        initial_events="sendInitialEvents" in options,
                        bookmarks="allowWatchBookmarks" in options,
                    )
                    return WatchResult(kind=kind, events=store.watch(query), timeout_s=3600)
                case "create":
                    return ObjectResult(kind=kind, view=await store.create(request.body), status_code=201)
                case "update" | "patch":
                    return ObjectResult(kind=kind, view=await self._write(store, request))
                case _:
                    return ObjectResult(kind=kind, view=await self._delete(store, request))
        except ObjectNotFound as error:
            raise status.not_found(kind.group, kind.plural, request.name) from error
        except ObjectExists as error:
            raise status.already_exists(kind.group, kind.plural, error.key) from error

    async def _write(self, store: Any, request: ApiRequest) -> ObjectView:
        async def change(view: ObjectView) -> JsonObject:
            body: JsonObject = request.body
            wanted = (body.get("metadata") or {}).get("resourceVersion")
            if wanted and wanted != str(view.revision):
                kind = store.kind
                raise status.conflict(kind.group, kind.plural, view.name, "the object has been modified")
            return {**view.parsed, **body} if request.verb == "patch" else body

        result: ObjectView = await store.update(request.namespace, request.name, change)
        return result

    async def _delete(self, store: Any, request: ApiRequest) -> ObjectView:
        async def change(view: ObjectView) -> Deleted:
            return Deleted()

        result: ObjectView = await store.update(request.namespace, request.name, change)
        return result


if TYPE_CHECKING:

    def _check(one: BareDispatcher) -> Dispatcher:
        return one
