"""The in-process client: calls the API server's dispatcher with dicts, skips HTTP and encoding and no rule.

What it returns is shared with the watch cache and READ-ONLY. What it sends is copied first: the server completes documents in place,
and callers like to build new objects out of parts of cached ones.
"""

from __future__ import annotations

from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

from k3py.api import status
from k3py.api.object import deep_copy
from k3py.api.status import ApiError
from k3py.apiserver.interface import ApiRequest, ListResult, ObjectResult, WatchResult
from k3py.client.interface import ObjectList, PatchType, WatchEvent
from k3py.storage.interface import RevisionExpired, StorageError, StoreDropped

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from k3py.api.kind import Kind
    from k3py.api.resource import Resource
    from k3py.api.user import User
    from k3py.apiserver.interface import Dispatcher, Result
    from k3py.client.interface import Client
    from k3py.jsontypes import JsonObject, JsonValue
    from k3py.storage.interface import ObjectView, WatchItem


class LocalClient:
    """A client of the API server in this process, acting as `user`.

    Args:
        dispatcher: the API server.
        user: on whose behalf; authorization and admission apply.
        user_agent: names the component; its text before the first "/" is the default field manager.
    """

    def __init__(self, dispatcher: Dispatcher, user: User, user_agent: str) -> None:
        self._dispatcher = dispatcher
        self._user = user
        self._user_agent = user_agent

    @property
    def user(self) -> User:
        """On whose behalf this client acts."""
        return self._user

    @property
    def user_agent(self) -> str:
        """The component's name."""
        return self._user_agent

    def acting_as(self, user: User, user_agent: str = "") -> LocalClient:
        """Return a client for somebody else on the same API server."""
        return LocalClient(self._dispatcher, user, user_agent or self._user_agent)

    async def get(
        self,
        resource: Resource,
        name: str,
        *,
        namespace: str = "",
        subresource: str = "",
        options: Mapping[str, str] | None = None,
    ) -> JsonObject:
        """Return an object."""
        return _document(
            await self._dispatch(
                "get", resource, namespace=namespace, name=name, subresource=subresource, options=options
            )
        )

    async def list(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
    ) -> ObjectList:
        """Return all matching objects."""
        options = _selectors(label_selector, field_selector)
        if resource_version:
            options["resourceVersion"] = resource_version
        items: list[JsonObject] = []
        while True:
            result = await self._dispatch("list", resource, namespace=namespace, options=options)
            if not isinstance(result, ListResult):
                raise _unexpected(result)
            page = result.page
            items += [document_of(result.kind, view) for view in page.items]
            if not page.continue_token:
                return ObjectList(items, str(page.revision))
            options = {**options, "continue": page.continue_token}
            options.pop("resourceVersion", None)

    def watch(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
    ) -> AbstractAsyncContextManager[AsyncIterator[WatchEvent]]:
        """Follow changes behind `resource_version`."""
        options = _selectors(label_selector, field_selector)
        options["allowWatchBookmarks"] = "true"
        if resource_version:
            options["resourceVersion"] = resource_version
        return self._watch(resource, namespace, options)

    @asynccontextmanager
    async def _watch(
        self, resource: Resource, namespace: str, options: Mapping[str, str]
    ) -> AsyncIterator[AsyncIterator[WatchEvent]]:
        async with self.watch_items(resource, namespace=namespace, options=options) as (kind, batches):

            async def events() -> AsyncGenerator[WatchEvent, None]:
                async for batch in batches:
                    for item in batch:
                        yield WatchEvent(item.type.value, document_of(kind, item.object))

            async with aclosing(events()) as stream:
                yield stream

    @asynccontextmanager
    async def watch_items(
        self, resource: Resource, *, namespace: str = "", options: Mapping[str, str]
    ) -> AsyncIterator[tuple[Kind, AsyncIterator[Sequence[WatchItem]]]]:
        """Open a watch with these query options; yields the kind and batches of items, nothing parsed."""
        result = await self._dispatch("watch", resource, namespace=namespace, options=options)
        if not isinstance(result, WatchResult):
            raise _unexpected(result)
        try:
            async with result.events as batches:
                yield result.kind, batches
        except (RevisionExpired, StoreDropped) as error:
            raise status.expired(str(error)) from error
        except StorageError as error:
            raise ApiError(503, "ServiceUnavailable", str(error)) from error

    async def create(
        self,
        resource: Resource,
        obj: JsonObject,
        *,
        namespace: str = "",
        name: str = "",
        subresource: str = "",
    ) -> JsonObject:
        """Create an object, or POST to a subresource."""
        if not namespace and resource.namespaced:
            namespace = (obj.get("metadata") or {}).get("namespace", "")
        return _document(
            await self._dispatch(
                "create",
                resource,
                namespace=namespace,
                name=name,
                subresource=subresource,
                body=deep_copy(obj),
            )
        )

    async def update(self, resource: Resource, obj: JsonObject, *, subresource: str = "") -> JsonObject:
        """Replace an object."""
        metadata = obj["metadata"]
        return _document(
            await self._dispatch(
                "update",
                resource,
                namespace=metadata.get("namespace", ""),
                name=metadata["name"],
                subresource=subresource,
                body=deep_copy(obj),
            )
        )

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: JsonValue,
        *,
        patch_type: PatchType = PatchType.STRATEGIC,
        namespace: str = "",
        subresource: str = "",
        field_manager: str = "",
        force: bool = False,
    ) -> JsonObject:
        """Patch an object."""
        options = {}
        if field_manager:
            options["fieldManager"] = field_manager
        if force:
            options["force"] = "true"
        return _document(
            await self._dispatch(
                "patch",
                resource,
                namespace=namespace,
                name=name,
                subresource=subresource,
                body=deep_copy(patch),
                patch_type=patch_type.value,
                options=options,
            )
        )

    async def delete(
        self,
        resource: Resource,
        name: str,
        *,
        namespace: str = "",
        grace_period_s: int | None = None,
        propagation_policy: str = "",
        uid: str = "",
        resource_version: str = "",
    ) -> None:
        """Delete an object."""
        body = make_delete_options(grace_period_s, propagation_policy, uid, resource_version)
        await self._dispatch("delete", resource, namespace=namespace, name=name, body=body)

    async def _dispatch(
        self,
        verb: str,
        resource: Resource,
        *,
        namespace: str = "",
        name: str = "",
        subresource: str = "",
        options: Mapping[str, str] | None = None,
        body: JsonValue = None,
        patch_type: str = "",
    ) -> Result:
        return await self._dispatcher.dispatch(
            ApiRequest(
                verb=verb,
                resource=resource,
                user=self._user,
                namespace=namespace if resource.namespaced else "",
                name=name,
                subresource=subresource,
                options=options or {},
                body=body,
                patch_type=patch_type,
                user_agent=self._user_agent,
            )
        )


def document_of(kind: Kind, view: ObjectView) -> JsonObject:
    """Return the document of a view in the version of `kind` (views are in the version in which they are stored)."""
    document = view.parsed
    if kind.from_storage is not None and document["apiVersion"] != kind.api_version:
        return kind.from_storage(document)
    return document


def make_delete_options(
    grace_period_s: int | None, propagation_policy: str, uid: str, resource_version: str
) -> JsonObject | None:
    """Return the DeleteOptions of a delete request, None when there is nothing to say."""
    options: JsonObject = {}
    if grace_period_s is not None:
        options["gracePeriodSeconds"] = grace_period_s
    if propagation_policy:
        options["propagationPolicy"] = propagation_policy
    preconditions = {}
    if uid:
        preconditions["uid"] = uid
    if resource_version:
        preconditions["resourceVersion"] = resource_version
    if preconditions:
        options["preconditions"] = preconditions
    return {"kind": "DeleteOptions", "apiVersion": "v1", **options} if options else None


def _selectors(labels: str, fields: str) -> dict[str, str]:
    options = {}
    if labels:
        options["labelSelector"] = labels
    if fields:
        options["fieldSelector"] = fields
    return options


def _document(result: Result) -> JsonObject:
    if not isinstance(result, ObjectResult):
        raise _unexpected(result)
    if result.document is not None:
        return result.document
    if result.view is None:
        raise _unexpected(result)
    return result.view.parsed if result.kind is None else document_of(result.kind, result.view)


def _unexpected(result: Result) -> ApiError:
    return ApiError(500, "InternalError", f"unexpected answer of the API server: {type(result).__name__}")


if TYPE_CHECKING:

    def _check(one: LocalClient) -> Client:
        return one
