"""Informers in the server's process: they hold the watch cache's own views, which are parsed only when somebody asks.

A handler that is called without anybody reading its documents would still parse them; informers without handlers (listers) do not.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from k3py.api.status import ApiError
from k3py.client.informer import SharedInformer
from k3py.client.informer_factory import FeederSet
from k3py.client.local import document_of
from k3py.storage.interface import WatchType
from k3py.util.backoff import Backoff

if TYPE_CHECKING:
    from k3py.api.kind import Kind
    from k3py.api.resource import Resource
    from k3py.client.indexer import Key
    from k3py.client.interface import Client, InformerFactory
    from k3py.client.local import LocalClient
    from k3py.jsontypes import JsonObject
    from k3py.storage.interface import ObjectView

log = logging.getLogger(__name__)

_STREAM: Final = {
    "sendInitialEvents": "true",
    "resourceVersionMatch": "NotOlderThan",
    "allowWatchBookmarks": "true",
}


class LocalInformerFactory(FeederSet):
    """Shared informers over a LocalClient; a Component."""

    def __init__(self, client: LocalClient) -> None:
        super().__init__(f"informers-of-{client.user_agent}", self._make_feeder)
        self._client = client

    @property
    def client(self) -> Client:
        """The client that the informers use."""
        return self._client

    def _make_feeder(self, resource: Resource, namespace: str, field_selector: str) -> LocalFeeder:
        return LocalFeeder(self._client, resource, namespace, field_selector)


class LocalFeeder:
    """Feeds one informer from one streaming list of the dispatcher."""

    def __init__(self, client: LocalClient, resource: Resource, namespace: str, field_selector: str) -> None:
        self._client = client
        self._resource = resource
        self._namespace = namespace
        self._options = {**_STREAM, **({"fieldSelector": field_selector} if field_selector else {})}
        self._kind: Kind | None = None
        self._ending = False
        self.informer: SharedInformer[ObjectView] = SharedInformer(self._load, _version)

    async def run(self) -> None:
        """Feed the informer until cancelled; a watch that ends is opened again and differences are told."""
        backoff = Backoff(first_s=0.1, cap_s=30.0, jitter=0.5)
        while True:
            try:
                await self._follow(backoff)
            except ApiError as error:
                if self._ending:
                    return
                log.warning(
                    "informer failed, will retry",
                    extra={"resource": self._resource.plural, "error": error.message},
                )
            if self._ending:
                return
            await asyncio.sleep(backoff.next_s())

    def end(self) -> None:
        """Let `run` return when the watch ends."""
        self._ending = True

    async def _follow(self, backoff: Backoff) -> None:
        initial: dict[Key, ObjectView] | None = {}
        async with self._client.watch_items(
            self._resource, namespace=self._namespace, options=self._options
        ) as (kind, batches):
            self._kind = kind
            async for batch in batches:
                for item in batch:
                    view = item.object
                    if item.type is WatchType.BOOKMARK:
                        if item.ends_initial_events and initial is not None:
                            self.informer.replace(initial)
                            initial = None
                            backoff.reset()
                        continue
                    key = (view.namespace, view.name)
                    if initial is not None:
                        initial[key] = view
                    elif item.type is WatchType.DELETED:
                        self.informer.delete(key, view)
                    else:
                        self.informer.put(key, view)

    def _load(self, view: ObjectView) -> JsonObject:
        return view.parsed if self._kind is None else document_of(self._kind, view)


def _version(view: ObjectView) -> int:
    return view.revision


if TYPE_CHECKING:

    def _check(one: LocalInformerFactory) -> InformerFactory:
        return one
