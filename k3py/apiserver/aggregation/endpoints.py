"""From the Service of an extension API server to an address: one of its ready endpoints, as K3s routes.

Source: k8s.io/apiserver/pkg/util/proxy/proxy.go ResolveEndpoint, k8s.io/kube-aggregator/pkg/controllers/status/remote v0.35.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from k3py.api.selectors import FieldSelector, LabelSelector, Requirement
from k3py.apiserver.registry.subresources.proxy import SERVICE_LABEL, ready_targets
from k3py.storage.errors import ObjectNotFound, StorageError
from k3py.storage.interface import ListQuery

if TYPE_CHECKING:
    from k3py.api.registry import KindRegistry
    from k3py.apiserver.aggregation.api_services import ServiceReference
    from k3py.jsontypes import JsonObject
    from k3py.storage.interface import Storage


class Unavailable(Exception):
    """An extension API server cannot be used; reason and message as its APIService's condition says them.

    status: of the condition, "Unknown" where not the server but looking is at fault.
    """

    def __init__(self, reason: str, message: str, *, status: str = "False") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.status = status


class ServiceEndpoints:
    """Looks Services and their EndpointSlices up in the store."""

    def __init__(self, storage: Storage, kinds: KindRegistry) -> None:
        self._storage = storage
        self._kinds = kinds

    async def resolve(self, service: ServiceReference) -> tuple[str, int]:
        """Return (host, port) of an endpoint, another one each time. Raises Unavailable."""
        named = f'service/{service.name} in "{service.namespace}"'
        try:
            found = await self._find(service)
            spec = found.get("spec") or {}
            if spec.get("type") == "ExternalName":
                return str(spec.get("externalName", "")), service.port
            ports = spec.get("ports") or ()
            port = next((one for one in ports if one.get("port") == service.port), None)
            if port is None:
                raise Unavailable("ServicePortError", f"{named} is not listening on port {service.port}")
            slices = await self._list_slices(service)
        except ObjectNotFound as error:
            raise Unavailable("ServiceNotFound", f"{named} is not present") from error
        except StorageError as error:
            message = f"{named} cannot be checked due to: {error}"
            raise Unavailable("ServiceAccessError", message, status="Unknown") from error
        if not slices:
            raise Unavailable("EndpointsNotFound", f"cannot find endpointslices for {named}")
        port_name = str(port.get("name") or "")
        targets = [target for one in slices for target in ready_targets(one, port_name)]
        if not targets:
            message = f'endpoints for {named} have no addresses with port name "{port_name}"'
            raise Unavailable("MissingEndpoints", message)
        return random.choice(targets)  # noqa: S311 - spreads load, guards nothing

    async def _find(self, service: ServiceReference) -> JsonObject:
        kind = self._kinds.find("", "v1", "services")
        if kind is None:
            raise ObjectNotFound(service.name)
        store = await self._storage.store_for(kind)
        return (await store.get(service.namespace, service.name)).parsed

    async def _list_slices(self, service: ServiceReference) -> list[JsonObject]:
        kind = self._kinds.find("discovery.k8s.io", "v1", "endpointslices")
        if kind is None:
            return []
        store = await self._storage.store_for(kind)
        labels = LabelSelector((Requirement(SERVICE_LABEL, "in", (service.name,)),))
        query = ListQuery(namespace=service.namespace, labels=labels, fields=FieldSelector())
        return [view.parsed for view in (await store.list(query)).items]
