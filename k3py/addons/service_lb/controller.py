"""Writes the addresses of nodes into status.loadBalancer of Services; see `plan`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.addons.service_lb.plan import is_balanced, plan_addresses
from k3py.api.object import key_of, split_key
from k3py.api.resource import ENDPOINT_SLICES, NODES, SERVICES
from k3py.client.interface import PatchType
from k3py.controllers.interface import Watch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from k3py.addons.service_lb.plan import NodePort
    from k3py.client.interface import Client, InformerFactory
    from k3py.controllers.interface import Recorder
    from k3py.jsontypes import JsonObject, JsonValue

_ALL: Final = "services"
_CONCERNED: Final = "service-lb"  # index: of thousands of Services few are balanced
_SERVICE_NAME: Final = "kubernetes.io/service-name"
_CONTROL_PLANE: Final = "node-role.kubernetes.io/control-plane"
_KUBELET_PORT: Final = 10250
_VXLAN_PORT: Final = 8472


class ServiceLoadBalancer:
    """A controller. Services share the nodes' ports, so all are planned together: there is one key.

    api_port: of the API on nodes of the control plane; no Service may take it away.
    """

    name = "service-lb-controller"
    workers = 1

    def __init__(
        self, client: Client, informers: InformerFactory, recorder: Recorder, *, api_port: int
    ) -> None:
        self._client = client
        self._recorder = recorder
        self._api_port = api_port
        services, nodes = informers.informer(SERVICES), informers.informer(NODES)
        slices = informers.informer(ENDPOINT_SLICES)
        services.add_index(_CONCERNED, _index_concerned)
        self._services, self._nodes, self._slices = services.lister, nodes.lister, slices.lister
        self.watches: Sequence[Watch] = (
            Watch(services, _keys_of_service),
            Watch(nodes, _keys_of_node),
            Watch(slices, self._keys_of_slice),
        )

    def _keys_of_slice(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        metadata = (new or old or {}).get("metadata", {})
        name = (metadata.get("labels") or {}).get(_SERVICE_NAME, "")
        service = self._services.find(metadata.get("namespace", ""), name) if name else None
        return (_ALL,) if service is not None and is_balanced(service) and _is_local(service) else ()

    async def reconcile(self, key: str) -> float | None:
        """Bring the status of all Services in line."""
        services = self._services.by_index(_CONCERNED, _ALL)
        balanced = [one for one in services if is_balanced(one)]
        planned: dict[str, list[str]] = {}
        if balanced:
            nodes = sorted(self._nodes.list(), key=lambda one: str(one["metadata"]["name"]))
            local = {key_of(one): self._nodes_with_endpoints(one) for one in balanced if _is_local(one)}
            planned = plan_addresses(balanced, nodes, local_nodes=local, taken=self._reserved(nodes))
        for service in services:
            addresses = planned.get(key_of(service))
            if addresses is not None:
                await self._write(service, addresses)
            elif service["spec"].get("type") != "LoadBalancer" and _addresses_of(service):
                await self._write(service, [])
        return None

    def _reserved(self, nodes: Iterable[JsonObject]) -> set[NodePort]:
        taken: set[NodePort] = set()
        for node in nodes:
            name = node["metadata"]["name"]
            endpoint = ((node.get("status") or {}).get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}
            taken |= {(name, "TCP", endpoint.get("Port") or _KUBELET_PORT), (name, "UDP", _VXLAN_PORT)}
            if _CONTROL_PLANE in (node["metadata"].get("labels") or {}):
                taken.add((name, "TCP", self._api_port))
        return taken

    def _nodes_with_endpoints(self, service: JsonObject) -> set[str]:
        namespace, name = split_key(key_of(service))
        return {
            endpoint["nodeName"]
            for one in self._slices.list(namespace)
            if (one["metadata"].get("labels") or {}).get(_SERVICE_NAME) == name
            for endpoint in one.get("endpoints") or ()
            if endpoint.get("nodeName") and (endpoint.get("conditions") or {}).get("ready", True)
        }

    async def _write(self, service: JsonObject, addresses: list[str]) -> None:
        before = _addresses_of(service)
        if before == addresses:
            return
        metadata = service["metadata"]
        ingress: JsonValue = [{"ip": one, "ipMode": "VIP"} for one in addresses] or None
        _ = await self._client.patch(
            SERVICES,
            metadata["name"],
            {"metadata": {"uid": metadata["uid"]}, "status": {"loadBalancer": {"ingress": ingress}}},
            patch_type=PatchType.MERGE,
            namespace=metadata["namespace"],
            subresource="status",
        )
        if addresses:
            message = f"Updated LoadBalancer with new IPs: {before} -> {addresses}"
            self._recorder.event(service, "Normal", "UpdatedLoadBalancer", message.replace("'", ""))
        elif is_balanced(service):
            message = "No node is ready to take traffic on the ports of this Service"
            self._recorder.event(service, "Warning", "UnAvailableLoadBalancer", message)


def _addresses_of(service: JsonObject) -> list[str]:
    balancer = (service.get("status") or {}).get("loadBalancer") or {}
    return [one.get("ip", "") for one in balancer.get("ingress") or ()]


def _is_local(service: JsonObject) -> bool:
    return bool(service["spec"].get("externalTrafficPolicy") == "Local")


def _index_concerned(service: JsonObject) -> Sequence[str]:
    return (_ALL,) if service["spec"].get("type") == "LoadBalancer" or _addresses_of(service) else ()


def _keys_of_service(old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
    return (_ALL,) if any(one is not None and _index_concerned(one) for one in (old, new)) else ()


def _keys_of_node(old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
    return (_ALL,) if old is None or new is None or _facts(old) != _facts(new) else ()


def _facts(node: JsonObject) -> tuple[JsonValue, ...]:
    status = node.get("status") or {}
    ready = [(one["type"], one["status"]) for one in status.get("conditions") or () if one["type"] == "Ready"]
    return ready, status.get("addresses"), node["metadata"].get("labels")
