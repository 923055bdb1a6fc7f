"""ServiceProxyController: applies services and endpoint slices to the proxy whenever they change.

Nothing waits on a clock: a change wakes the loop, what changes while rules are written is taken together by the next round. Only the
services that changed are looked at again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from k3py.api.resource import ENDPOINT_SLICES, NODES, SERVICES
from k3py.network.proxy.health_checks import HealthCheck, HealthChecks
from k3py.network.proxy.service_ports import SERVICE_NAME_LABEL, plan_service_ports
from k3py.util.supervise import Component, Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from k3py.client.interface import InformerFactory
    from k3py.jsontypes import JsonObject
    from k3py.network.interface import ServicePort, ServiceProxy

_INDEX: Final = "service-proxy"
_ZONE: Final = "topology.kubernetes.io/zone"
_Key = tuple[str, str]


class ServiceProxyController(Component):
    """Keeps a ServiceProxy equal to the cluster's services.

    Args:
        informers: Of services and endpoint slices.
        proxy: The proxy of this node.
        node_name: This node; its endpoints are local.
    """

    def __init__(self, informers: InformerFactory, proxy: ServiceProxy, *, node_name: str) -> None:
        self._health_checks = HealthChecks()
        self._nodes = informers.informer(NODES)
        self._zone = ""
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
        self._nodes.add_handler(self._node_changed)

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
        await self._nodes.wait_synced()
        self._ports.clear()
        # The rules of before stay until all services are known: the first round writes every one.
        self._note_all()
        self._take_changes()
        await self._proxy.replace(self._ports)
        started()
        try:
            await self._health_checks.apply(self._plan_health_checks())
            while True:
                await self._wake.wait()
                if changed := self._take_changes():
                    await self._proxy.change(changed)
                    await self._health_checks.apply(self._plan_health_checks())
        finally:
            self._health_checks.close()

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

    def _note_all(self) -> None:
        for service in self._services.lister.list():
            self._note((service["metadata"]["namespace"], service["metadata"]["name"]))

    def _node_changed(self, _: JsonObject | None, new: JsonObject | None) -> None:
        """Follow this node's zone: it decides which endpoints are near."""
        if new is not None and new["metadata"]["name"] == self._node_name:
            zone = (new["metadata"].get("labels") or {}).get(_ZONE, "")
            if zone != self._zone:
                self._zone = zone
                self._note_all()

    def _plan_health_checks(self) -> dict[int, HealthCheck]:
        return {
            port.health_check_port: HealthCheck(key, port.local_ready)
            for key, ports in self._ports.items()
            for port in ports[:1]
            if port.health_check_port
        }

    def _take_changes(self) -> dict[_Key, tuple[ServicePort, ...]]:
        """Look at the noted services again; return those whose ports changed, () for those that are gone."""
        self._wake.clear()
        changed, self._changed = self._changed, set()
        differing: dict[_Key, tuple[ServicePort, ...]] = {}
        for key in changed:
            service = self._services.lister.find(*key)
            ports: tuple[ServicePort, ...] = ()
            if service is not None:
                slices = self._slices.lister.by_index(_INDEX, "/".join(key))
                ports = plan_service_ports(service, slices, node_name=self._node_name, zone=self._zone)
            if ports != self._ports.get(key, ()):
                differing[key] = ports
                if ports:
                    self._ports[key] = ports
                else:
                    del self._ports[key]
        return differing


def _service_keys(slice_: JsonObject) -> Sequence[_Key]:
    name = slice_["metadata"].get("labels", {}).get(SERVICE_NAME_LABEL)
    return [(slice_["metadata"]["namespace"], name)] if name else []
