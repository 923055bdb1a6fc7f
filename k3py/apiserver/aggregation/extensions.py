"""All that concerns extension API servers in one place, for the compositions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.apiserver.aggregation.api_services import ApiServices
from k3py.apiserver.aggregation.availability import Availability
from k3py.apiserver.aggregation.client import ExtensionClient
from k3py.apiserver.aggregation.dialer import ExtensionDialer
from k3py.apiserver.aggregation.documents import ExtensionDocuments
from k3py.apiserver.aggregation.endpoints import ServiceEndpoints
from k3py.apiserver.aggregation.local_services import API_SERVICES, LocalApiServices
from k3py.apiserver.aggregation.proxy import ExtensionProxy
from k3py.apiserver.aggregation.requests import ExtensionRequests
from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from k3py.api.registry import KindRegistry
    from k3py.apiserver.interface import Authorizer, Dispatcher, Egress
    from k3py.storage.interface import Storage


class Extensions:
    """The parts of aggregation.

    Attributes:
        services: the index of APIServices; a Follower feeds it.
        dialer: connections to extension API servers; `reload` takes a renewed front-proxy certificate into use.
        client: requests of this server's own.
        proxy: requests of clients; requests: those of this process's own clients.
        documents: OpenAPI of other servers.

    Args:
        dispatcher: the front door.
        storage, kinds: where Services are looked up.
        authorizer: who may ask.
        egress: the way out to nodes and pods, None = straight.
        front_proxy: certificate and key that extension API servers know this server by.
        now: the wall clock.
    """

    def __init__(
        self,
        *,
        dispatcher: Dispatcher,
        storage: Storage,
        kinds: KindRegistry,
        authorizer: Authorizer,
        egress: Egress | None = None,
        front_proxy: tuple[Path, Path] | None,
        now: Callable[[], datetime],
    ) -> None:
        self.services = ApiServices()
        kinds.list_foreign = self.services.list_foreign
        certificate, key = front_proxy or (None, None)
        self.dialer = ExtensionDialer(
            ServiceEndpoints(storage, kinds), egress=egress, certificate=certificate, key=key
        )
        self.client = ExtensionClient(self.dialer)
        self.proxy = ExtensionProxy(self.services, self.dialer, authorizer)
        self.requests = ExtensionRequests(self.services, self.client)
        self.documents = ExtensionDocuments(self.services, self.client)
        self._kinds = kinds
        self._local = LocalApiServices(dispatcher, kinds, self.services)
        self._availability = Availability(
            services=self.services,
            client=self.client,
            dispatcher=dispatcher,
            storage=storage,
            kinds=kinds,
            now=now,
        )

    async def run(self) -> None:
        """Keep this server's own APIServices and watch over the others until cancelled. Raises StorageError."""
        if self._kinds.find(API_SERVICES.group, API_SERVICES.version, API_SERVICES.plural) is None:
            return  # a server with fewer kinds has none of this
        async with TaskScope() as scope:
            _ = scope.spawn(self._local.run(), name="local-api-services")
            _ = scope.spawn(self._availability.run(), name="api-service-availability")
