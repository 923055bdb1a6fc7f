"""Feeds an informer through any Client: list, then watch from there; survives restarts of the server.

    list ──► replace ──► watch ──end──► watch from the last revision seen
      ▲                    │ 410
      └────────────────────┘            other errors: back-off, then watch (or list) again

Where a last known state is kept, an informer that has nothing yet is fed from it while the server cannot be reached; the first list
replaces it, so that what was deleted meanwhile is told then.

Model: client-go tools/cache/reflector.go v0.35.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from k3py.api.status import ApiError
from k3py.client.errors import Unreachable
from k3py.client.informer import SharedInformer, identity, key_of_document, version_of_document
from k3py.client.informer_factory import FeederSet
from k3py.client.last_known import list_name
from k3py.util import clock
from k3py.util.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from k3py.api.resource import Resource
    from k3py.client.interface import Client, InformerFactory
    from k3py.client.last_known import LastKnown
    from k3py.jsontypes import JsonObject

log = logging.getLogger(__name__)

SHORT_WATCH_S: Final = 1.0


class Reflector:
    """List and watch of one resource into one informer."""

    def __init__(
        self,
        client: Client,
        resource: Resource,
        namespace: str = "",
        field_selector: str = "",
        last_known: LastKnown | None = None,
        reduce: Callable[[JsonObject], JsonObject] = identity,
    ) -> None:
        """Take what to follow; `reduce` returns what is kept of an object."""
        self._reduce = reduce
        self._client = client
        self._last_known = last_known
        self._resource = resource
        self._namespace = namespace
        self._field_selector = field_selector
        self._revision = ""
        self._ending = False
        self.informer: SharedInformer[JsonObject] = SharedInformer(identity, version_of_document)

    def end(self) -> None:
        """Let `run` return when the watch ends."""
        self._ending = True

    async def run(self) -> None:
        """Feed the informer until cancelled."""
        backoff = Backoff(first_s=0.8, cap_s=30.0, jitter=0.5)
        if self._last_known is not None and self._last_known.begins_offline:
            await self._recall()
        while not self._ending:
            opened_s = clock.monotonic_s()
            try:
                if not self._revision:
                    await self._list()
                await self._watch(backoff)
            except ApiError as error:
                if error.code == 410:
                    self._revision = ""
                # A server that is away for days is told once.
                is_told = isinstance(error, Unreachable) and backoff.attempts > 0
                level = logging.DEBUG if is_told else logging.WARNING
                log.log(
                    logging.INFO if error.code == 410 else level,
                    "watch ended, will go on",
                    extra={"resource": self._resource.plural, "error": error.message},
                )
                if error.code != 410:
                    await asyncio.sleep(backoff.next_s())
                    continue
            if clock.monotonic_s() - opened_s < SHORT_WATCH_S:
                await asyncio.sleep(backoff.next_s())  # a server that hangs up at once is not to be hammered

    async def _list(self) -> None:
        try:
            listed = await self._client.list(
                self._resource, namespace=self._namespace, field_selector=self._field_selector
            )
        except Unreachable:
            await self._recall()
            raise
        self.informer.replace({key_of_document(obj): self._reduce(obj) for obj in listed.items})
        self._revision = listed.resource_version
        self._note()

    async def _recall(self) -> None:
        if self._last_known is None or self.informer.synced:
            return
        name = list_name(self._resource, self._namespace, self._field_selector)
        items = await self._last_known.recall(name)
        if items is not None:
            self.informer.replace({key_of_document(obj): obj for obj in items})

    def _note(self) -> None:
        if self._last_known is not None:
            name = list_name(self._resource, self._namespace, self._field_selector)
            self._last_known.note(name, self.informer.lister.list)

    async def _watch(self, backoff: Backoff) -> None:
        async with self._client.watch(
            self._resource,
            namespace=self._namespace,
            field_selector=self._field_selector,
            resource_version=self._revision,
        ) as events:
            async for event in events:
                if event.type != "BOOKMARK":
                    key = key_of_document(event.object)
                    if event.type == "DELETED":
                        self.informer.delete(key, self._reduce(event.object))
                    else:
                        self.informer.put(key, self._reduce(event.object))
                    self._note()
                self._revision = version_of_document(event.object)
                backoff.reset()


class HttpInformerFactory(FeederSet):
    """Shared informers over a client on the network; a Component.

    Args:
        client: whom to ask.
        last_known: what to begin with when the server is away.
        reduced: resources of which whole-cluster informers keep a part of each object only: a node needs little of others' pods.
    """

    def __init__(
        self,
        client: Client,
        last_known: LastKnown | None = None,
        *,
        reduced: Mapping[Resource, Callable[[JsonObject], JsonObject]] | None = None,
    ) -> None:
        super().__init__("informers", self._make_feeder)
        self._reduced = reduced or {}
        self._client = client
        self._last_known = last_known

    @property
    def client(self) -> Client:
        """The client that the informers use."""
        return self._client

    def _make_feeder(self, resource: Resource, namespace: str, field_selector: str) -> Reflector:
        whole = not namespace and not field_selector
        reduce = self._reduced.get(resource, identity) if whole else identity
        return Reflector(self._client, resource, namespace, field_selector, self._last_known, reduce)


if TYPE_CHECKING:

    def _check(one: HttpInformerFactory) -> InformerFactory:
        return one
