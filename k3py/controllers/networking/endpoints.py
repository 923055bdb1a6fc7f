"""Keeps the Endpoints of Services with a selector, for readers that do not know EndpointSlices.

Source: kubernetes/pkg/controller/endpoint v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.object import key_of, split_key
from k3py.api.resource import ENDPOINTS, PODS, SERVICES
from k3py.api.selectors import selector_from_map
from k3py.api.status import ApiError
from k3py.controllers.interface import Watch
from k3py.controllers.networking.service_ports import find_port
from k3py.controllers.pod import find_condition, is_finished, is_ready

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject

MANAGER_LABEL: Final = "endpoints.kubernetes.io/managed-by"
MANAGER: Final = "endpoint-controller"
HEADLESS_LABEL: Final = "service.kubernetes.io/headless"
TRIGGER: Final = "endpoints.kubernetes.io/last-change-trigger-time"
OVER_CAPACITY: Final = "endpoints.kubernetes.io/over-capacity"
MAX_ADDRESSES: Final = 1000


def plan_subsets(service: JsonObject, pods: Sequence[JsonObject]) -> list[JsonObject]:
    """Return addresses of pods grouped by the ports that they have, ready and not ready ones apart."""
    spec = service["spec"]
    publish = bool(spec.get("publishNotReadyAddresses"))
    family = (spec.get("ipFamilies") or ["IPv4"])[0]
    groups: dict[str, JsonObject] = {}
    for pod in pods:
        address = _address_of(service, pod, family)
        if address is None or ("deletionTimestamp" in pod["metadata"] and not publish):
            continue
        ports = _ports_of(service, pod)
        if not ports and not (spec.get("clusterIP") == "None" and not spec.get("ports")):
            continue
        subset = groups.setdefault(str(ports), {"ports": ports} if ports else {})
        side = "addresses" if publish or is_ready(pod) else "notReadyAddresses"
        subset.setdefault(side, []).append(address)
    return [_sorted(groups[one]) for one in sorted(groups)]


def _sorted(subset: JsonObject) -> JsonObject:
    return {
        side: sorted(subset[side], key=lambda one: (one.get("ip", ""), one.get("name", "")))
        for side in ("addresses", "notReadyAddresses", "ports")
        if side in subset
    }


def _address_of(service: JsonObject, pod: JsonObject, family: str) -> JsonObject | None:
    if is_finished(pod):
        return None
    ips = (one["ip"] for one in (pod.get("status") or {}).get("podIPs") or ())
    ip = next((one for one in ips if (":" in one) is (family == "IPv6")), None)
    if ip is None:
        return None
    spec, metadata = pod.get("spec") or {}, pod["metadata"]
    address: JsonObject = {"ip": ip}
    if spec.get("hostname") and spec.get("subdomain") == service["metadata"]["name"]:
        address["hostname"] = spec["hostname"]
    if spec.get("nodeName"):
        address["nodeName"] = spec["nodeName"]
    address["targetRef"] = {
        "kind": "Pod",
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
    }
    return address


def _ports_of(service: JsonObject, pod: JsonObject) -> list[JsonObject]:
    ports = []
    for port in service["spec"].get("ports") or ():
        number = find_port(port, pod)
        if number is None:
            continue
        one = {"port": number, "protocol": port.get("protocol", "TCP")}
        for key in ("name", "appProtocol"):
            if port.get(key):
                one[key] = port[key]
        ports.append(one)
    return sorted(ports, key=lambda one: (one.get("name", ""), one["protocol"], one["port"]))


def truncate(subsets: Sequence[JsonObject]) -> tuple[list[JsonObject], bool]:
    """Keep at most MAX_ADDRESSES, ready ones first; returns whether some were left out."""
    left, cut, kept = MAX_ADDRESSES, False, []
    sizes: dict[tuple[int, str], int] = {}
    for side in ("addresses", "notReadyAddresses"):
        for number, subset in enumerate(subsets):
            count = min(left, len(subset.get(side) or ()))
            cut = cut or count < len(subset.get(side) or ())
            sizes[number, side] = count
            left -= count
    for number, subset in enumerate(subsets):
        one = {key: value[: sizes[number, key]] if key != "ports" else value for key, value in subset.items()}
        one = {key: value for key, value in one.items() if value}
        if "addresses" in one or "notReadyAddresses" in one:
            kept.append(one)
    return kept, cut


class EndpointsController:
    """See the module."""

    name = "endpoints-controller"
    workers = 5

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._recorder = context.recorder
        services = context.informers.informer(SERVICES)
        pods = context.informers.informer(PODS)
        endpoints = context.informers.informer(ENDPOINTS)
        self._services, self._pods, self._endpoints = services.lister, pods.lister, endpoints.lister
        self.watches = (
            Watch(services, self._keys_of_service),
            Watch(pods, self._keys_of_pod),
            Watch(endpoints, self._keys_of_endpoints),
        )

    def _keys_of_service(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        obj = new or old
        return (key_of(obj),) if obj is not None else ()

    def _keys_of_pod(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        keys = set()
        for pod in (old, new):
            if pod is None:
                continue
            labels = pod["metadata"].get("labels") or {}
            for service in self._services.list(pod["metadata"]["namespace"]):
                selector = service["spec"].get("selector")
                if selector and all(labels.get(key) == value for key, value in selector.items()):
                    keys.add(key_of(service))
        return keys

    def _keys_of_endpoints(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        """Deleted ones are made again; at a start, those of vanished services are found."""
        obj = new or old
        return (key_of(obj),) if obj is not None and (new is None or old is None) else ()

    async def reconcile(self, key: str) -> float | None:
        """Make the Endpoints of service `key` say what its pods are."""
        namespace, name = split_key(key)
        service = self._services.find(namespace, name)
        live = self._endpoints.find(namespace, name)
        if service is None:
            ours = live is not None and (live["metadata"].get("labels") or {}).get(MANAGER_LABEL) == MANAGER
            if ours:
                await self._delete(namespace, name)
            return None
        selector = service["spec"].get("selector")
        if not selector or service["spec"].get("type") == "ExternalName":
            return None
        matching = selector_from_map(selector)
        pods = [
            one for one in self._pods.list(namespace) if matching.matches(one["metadata"].get("labels") or {})
        ]
        subsets, cut = truncate(plan_subsets(service, pods))
        labels = {**(service["metadata"].get("labels") or {}), MANAGER_LABEL: MANAGER}
        if service["spec"].get("clusterIP") == "None":
            labels[HEADLESS_LABEL] = ""
        if live is not None:
            was_cut = OVER_CAPACITY in (live["metadata"].get("annotations") or {})
            if (live.get("subsets") or [], live["metadata"].get("labels") or {}, was_cut) == (
                subsets,
                labels,
                cut,
            ):
                return None
        await self._write(service, live, subsets, labels, _triggered_at(service, pods), cut=cut)
        return None

    async def _write(
        self,
        service: JsonObject,
        live: JsonObject | None,
        subsets: list[JsonObject],
        labels: dict[str, str],
        trigger: str,
        *,
        cut: bool,
    ) -> None:
        metadata = service["metadata"]
        annotations = dict(((live or {"metadata": {}})["metadata"].get("annotations")) or {})
        annotations[TRIGGER] = trigger
        if cut:
            annotations[OVER_CAPACITY] = "truncated"
        else:
            annotations.pop(OVER_CAPACITY, None)
        obj: JsonObject = {
            **(live or {"kind": "Endpoints", "apiVersion": "v1"}),
            "metadata": {
                **(live["metadata"] if live is not None else {}),
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "labels": labels,
                "annotations": annotations,
            },
            "subsets": subsets,
        }
        try:
            if live is None:
                await self._client.create(ENDPOINTS, obj, namespace=metadata["namespace"])
            else:
                await self._client.update(ENDPOINTS, obj)
        except ApiError as error:
            if error.code in (403, 409):  # the namespace goes, or the informer is behind: no news for anybody
                if error.code == 403:
                    return
                raise
            verb = "Create" if live is None else "Update"
            message = f"Failed to {verb.lower()} endpoint for service {key_of(service)}: {error.message}"
            self._recorder.event(obj, "Warning", f"FailedTo{verb}Endpoint", message)
            raise

    async def _delete(self, namespace: str, name: str) -> None:
        try:
            await self._client.delete(ENDPOINTS, name, namespace=namespace)
        except ApiError as error:
            if error.code != 404:
                raise


def _triggered_at(service: JsonObject, pods: Sequence[JsonObject]) -> str:
    times = [str(service["metadata"].get("creationTimestamp", ""))]
    times += [str((find_condition(pod, "Ready") or {}).get("lastTransitionTime") or "") for pod in pods]
    return max(times)


def build(context: ControllerContext) -> EndpointsController:
    """Make the controller."""
    return EndpointsController(context)
