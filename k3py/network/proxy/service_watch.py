"""ServiceProxyController: applies services and endpoint slices to the proxy whenever they change.

Nothing waits on a clock: a change wakes the loop, what changes while rules are written is taken together by the next round. Only the
services that changed are looked at again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from k3py.api.resource import ENDPOINT_SLICES, SERVICES
from k3py.network.proxy.service_ports import SERVICE_NAME_LABEL, plan_service_ports
from k3py.util.supervise import Component, Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from k3py.client.interface import InformerFactory
    from k3py.jsontypes import JsonObject
    from k3py.network.interface import ServicePort, ServiceProxy

_INDEX: Final = "service-proxy"
_Key = tuple[str, str]


class ServiceProxyController(Component):
    """Keeps a ServiceProxy equal to the cluster's services.

    Args:
        informers: Of services and endpoint slices.
        proxy: The proxy of this node.
        node_name: This node; its endpoints are local.
    """

    def __init__(self, informers: InformerFactory, proxy: ServiceProxy, *, node_name: str) -> None:
        self._services = informers.informer(SERVICES)
        self._slices = informers.informer(ENDPOINT_SLICES)
        self._proxy = proxy
        self._node_name = node_name
        self._ports: dict[_Key, tuple[ServicePort, ...]] = {}
        self._changed: set[_Key] = set()
        self._wake = asyncio.Event()
        self._slices.add_index(_INDEX, lambda slice_: ["/".join(key) for key in _service_keys(slice_)])
        self._services.add_handler(self._service_changed)
        self._slices.add_handler(self._slice_changed)

    @property
    def name(self) -> str:
        """Return "service-proxy"."""
        return "service-proxy"

    @property
    def policy(self) -> Policy:
        """Rules that cannot be written are written again later."""
        return Policy.RESTART

    async def run(self, started: Callable[[], None]) -> None:
        """Apply until cancelled; the rules stay."""
        await self._services.wait_synced()
        await self._slices.wait_synced()
        self._ports.clear()
        # The rules of before stay until all services are known: the first round writes every one.
        for service in self._services.lister.list():
            self._changed.add((service["metadata"]["namespace"], service["metadata"]["name"]))
        self._take_changes()
        await self._proxy.apply(self._all_ports())
        started()
        while True:
            await self._wake.wait()
            if self._take_changes():
                await self._proxy.apply(self._all_ports())

    def _service_changed(self, old: JsonObject | None, new: JsonObject | None) -> None:
        for obj in (old, new):
            if obj is not None:
                self._note((obj["metadata"]["namespace"], obj["metadata"]["name"]))

    def _slice_changed(self, old: JsonObject | None, new: JsonObject | None) -> None:
        for obj in (old, new):
            if obj is not None:
                for key in _service_keys(obj):
                    self._note(key)

    def _note(self, key: _Key) -> None:
        self._changed.add(key)
        self._wake.set()

    def _take_changes(self) -> bool:
        """Look at the noted services again; return whether any of their ports changed."""
        self._wake.clear()
        changed, self._changed = self._changed, set()
        differs = False
        for key in changed:
            service = self._services.lister.find(*key)
            ports: tuple[ServicePort, ...] = ()
            if service is not None:
                slices = self._slices.lister.by_index(_INDEX, "/".join(key))
                ports = plan_service_ports(service, slices, node_name=self._node_name)
            if ports != self._ports.get(key, ()):
                differs = True
                if ports:
                    self._ports[key] = ports
                else:
                    del self._ports[key]
        return differs

    def _all_ports(self) -> tuple[ServicePort, ...]:
        return tuple(port for ports in self._ports.values() for port in ports)


def _service_keys(slice_: JsonObject) -> Sequence[_Key]:
    name = slice_["metadata"].get("labels", {}).get(SERVICE_NAME_LABEL)
    return [(slice_["metadata"]["namespace"], name)] if name else []
