"""Keeps EndpointSlices of Services with a selector: the addresses of their pods, and whether they are ready.

Source: kubernetes/pkg/controller/endpointslice and k8s.io/endpointslice v1.35.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.api.object import key_of, split_key
from k3py.api.resource import ENDPOINT_SLICES, NODES, PODS, SERVICES
from k3py.api.selectors import selector_from_map
from k3py.controllers.interface import Watch
from k3py.controllers.networking.service_ports import find_port
from k3py.controllers.pod import is_finished, is_ready

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from k3py.client.interface import Lister
    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject

SERVICE_LABEL: Final = "kubernetes.io/service-name"
MANAGER_LABEL: Final = "endpointslice.kubernetes.io/managed-by"
MANAGER: Final = "endpointslice-controller.k8s.io"
HEADLESS_LABEL: Final = "service.kubernetes.io/headless"
MAX_ENDPOINTS: Final = 100
_ZONE: Final = "topology.kubernetes.io/zone"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicePlan:
    """Slices to write (those with a resourceVersion replace) and names of slices to delete."""

    write: tuple[JsonObject, ...] = ()
    delete: tuple[str, ...] = ()


def plan_slices(
    service: JsonObject, pods: Sequence[JsonObject], existing: Sequence[JsonObject], nodes: Lister
) -> SlicePlan:
    """Compare the slices that a service needs with those there are; slices that are right stay untouched."""
    wanted = _describe(service, pods, nodes)
    left = sorted(existing, key=lambda one: str(one["metadata"]["name"]))
    write = []
    unplaced = []
    for content in wanted:
        same = next((one for one in left if _content(one) == content), None)
        if same is not None:
            left.remove(same)
        else:
            unplaced.append(content)
    for content in unplaced:
        base = left.pop(0) if left else None
        write.append(_build(service, content, base))
    return SlicePlan(write=tuple(write), delete=tuple(one["metadata"]["name"] for one in left))


def _content(one: JsonObject) -> JsonObject:
    return {
        "addressType": one["addressType"],
        "endpoints": one.get("endpoints") or None,
        "ports": one.get("ports") or None,
        "labels": one["metadata"].get("labels") or {},
    }


def _describe(service: JsonObject, pods: Sequence[JsonObject], nodes: Lister) -> list[JsonObject]:
    spec = service["spec"]
    labels = dict(service["metadata"].get("labels") or {})
    labels[SERVICE_LABEL], labels[MANAGER_LABEL] = service["metadata"]["name"], MANAGER
    if spec.get("clusterIP") == "None":
        labels[HEADLESS_LABEL] = ""
    result = []
    for family in spec.get("ipFamilies") or ("IPv4",):
        groups: dict[str, tuple[list[JsonObject], list[JsonObject]]] = {}
        for pod in sorted(pods, key=lambda one: str(one["metadata"]["name"])):
            endpoint = _endpoint_of(service, pod, family, nodes)
            if endpoint is None:
                continue
            ports = _ports_of(service, pod)
            groups.setdefault(str(ports), (ports, []))[1].append(endpoint)
        for ports, endpoints in groups.values():
            for start in range(0, len(endpoints), MAX_ENDPOINTS):
                part = endpoints[start : start + MAX_ENDPOINTS]
                result.append(
                    {"addressType": family, "endpoints": part, "ports": ports or None, "labels": labels}
                )
        if not groups:
            result.append({"addressType": family, "endpoints": None, "ports": None, "labels": labels})
    return result


def _endpoint_of(service: JsonObject, pod: JsonObject, family: str, nodes: Lister) -> JsonObject | None:
    status = pod.get("status") or {}
    if is_finished(pod):
        return None
    addresses = [one["ip"] for one in status.get("podIPs") or () if (":" in one["ip"]) is (family == "IPv6")]
    if not addresses:
        return None
    publish = bool(service["spec"].get("publishNotReadyAddresses"))
    node_name = (pod.get("spec") or {}).get("nodeName", "")
    node = nodes.find("", node_name) if node_name else None
    if node is None and not publish:
        return None  # the pod runs on a node that is not known (yet)
    terminating = "deletionTimestamp" in pod["metadata"]
    serving = is_ready(pod)
    endpoint: JsonObject = {
        "addresses": addresses[:1],
        "conditions": {
            "ready": publish or (serving and not terminating),
            "serving": serving,
            "terminating": terminating,
        },
        "targetRef": {
            "kind": "Pod",
            "namespace": pod["metadata"]["namespace"],
            "name": pod["metadata"]["name"],
            "uid": pod["metadata"]["uid"],
        },
    }
    if node_name:
        endpoint["nodeName"] = node_name
    zone = ((node or {"metadata": {}})["metadata"].get("labels") or {}).get(_ZONE)
    if zone:
        endpoint["zone"] = zone
    hints = _hints_of(service["spec"].get("trafficDistribution"), zone, node_name)
    if hints and endpoint["conditions"]["ready"]:
        endpoint["hints"] = hints
    spec = pod.get("spec") or {}
    if spec.get("hostname") and spec.get("subdomain") == service["metadata"]["name"]:
        endpoint["hostname"] = spec["hostname"]
    return endpoint


def _hints_of(distribution: str | None, zone: str | None, node_name: str) -> JsonObject:
    """Return which clients had better use an endpoint; source: k8s.io/endpointslice/trafficdist v0.35."""
    hints: JsonObject = {}
    if distribution in ("PreferClose", "PreferSameZone", "PreferSameNode") and zone:
        hints["forZones"] = [{"name": zone}]
    if distribution == "PreferSameNode" and node_name:
        hints["forNodes"] = [{"name": node_name}]
    return hints


def _ports_of(service: JsonObject, pod: JsonObject) -> list[JsonObject]:
    result = []
    for port in service["spec"].get("ports") or ():
        number = find_port(port, pod)
        if number is None:
            continue
        found: JsonObject = {
            "name": port.get("name", ""),
            "protocol": port.get("protocol", "TCP"),
            "port": number,
        }
        if port.get("appProtocol"):
            found["appProtocol"] = port["appProtocol"]
        result.append(found)
    return result


def _build(service: JsonObject, content: JsonObject, base: JsonObject | None) -> JsonObject:
    metadata = service["metadata"]
    reference = {
        "apiVersion": "v1",
        "kind": "Service",
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    if base is not None and base["addressType"] == content["addressType"]:
        made = {**base, "metadata": {**base["metadata"], "labels": content["labels"]}}
    else:
        made = {
            "kind": "EndpointSlice",
            "apiVersion": "discovery.k8s.io/v1",
            "metadata": {
                "generateName": f"{metadata['name']}-",
                "namespace": metadata["namespace"],
                "labels": content["labels"],
                "ownerReferences": [reference],
            },
            "addressType": content["addressType"],
        }
    made["endpoints"], made["ports"] = content["endpoints"], content["ports"]
    return made


class EndpointSliceController:
    """See the module."""

    name = "endpointslice-controller"
    workers = 5

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        services = context.informers.informer(SERVICES)
        pods = context.informers.informer(PODS)
        slices = context.informers.informer(ENDPOINT_SLICES)
        nodes = context.informers.informer(NODES)
        slices.add_index(SERVICE_LABEL, _index_by_service)
        self._services, self._pods = services.lister, pods.lister
        self._slices, self._nodes = slices.lister, nodes.lister
        self.watches = (
            Watch(services, _key_of_any),
            Watch(pods, self._keys_of_pod),
            Watch(slices, _keys_of_slice),
            Watch(nodes, self._keys_of_node),
        )

    def _keys_of_pod(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        keys: set[str] = set()
        for pod in (old, new):
            if pod is not None:
                keys.update(self._services_of(pod))
        return keys

    def _services_of(self, pod: JsonObject) -> Iterable[str]:
        labels = pod["metadata"].get("labels") or {}
        for service in self._services.list(pod["metadata"]["namespace"]):
            selector = service["spec"].get("selector")
            if selector and all(labels.get(key) == value for key, value in selector.items()):
                yield key_of(service)

    def _keys_of_node(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        """A node that appears or goes changes which of its pods count."""
        if old is not None and new is not None:
            return ()
        node = new or old
        name = node["metadata"]["name"] if node is not None else ""
        pods = (one for one in self._pods.list() if (one.get("spec") or {}).get("nodeName") == name)
        return {key for pod in pods for key in self._services_of(pod)}

    async def reconcile(self, key: str) -> float | None:
        """Make the slices of service `key` say what its pods are."""
        namespace, name = split_key(key)
        service = self._services.find(namespace, name)
        if service is None or "deletionTimestamp" in service["metadata"]:
            return None  # the garbage collector takes the slices
        selector = service["spec"].get("selector")
        if not selector or service["spec"].get("type") == "ExternalName":
            return None
        matching = selector_from_map(selector)
        pods = [
            one for one in self._pods.list(namespace) if matching.matches(one["metadata"].get("labels") or {})
        ]
        existing = [
            one
            for one in self._slices.by_index(SERVICE_LABEL, key)
            if "deletionTimestamp" not in one["metadata"]
        ]
        plan = plan_slices(service, pods, existing, self._nodes)
        for one in plan.write:
            if "resourceVersion" in one["metadata"]:
                await self._client.update(ENDPOINT_SLICES, one)
            else:
                await self._client.create(ENDPOINT_SLICES, one, namespace=namespace)
        for gone in plan.delete:
            await self._client.delete(ENDPOINT_SLICES, gone, namespace=namespace)
        return None


def _index_by_service(obj: JsonObject) -> Sequence[str]:
    labels = obj["metadata"].get("labels") or {}
    if labels.get(MANAGER_LABEL) != MANAGER or SERVICE_LABEL not in labels:
        return ()
    return (f"{obj['metadata']['namespace']}/{labels[SERVICE_LABEL]}",)


def _key_of_any(old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
    obj = new or old
    return (key_of(obj),) if obj is not None else ()


def _keys_of_slice(old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
    """Somebody else changed or deleted one of ours: look again."""
    obj = new or old
    return _index_by_service(obj) if obj is not None else ()


def build(context: ControllerContext) -> EndpointSliceController:
    """Make the controller."""
    return EndpointSliceController(context)
