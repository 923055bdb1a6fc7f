"""pods/proxy, services/proxy and nodes/proxy: where a proxied request goes.

The names may carry scheme and port: `[https:]name[:port]`. Source: pkg/registry/core/{pod/strategy.go ResourceLocation,
service/storage/storage.go ResourceLocation,node/strategy.go ResourceLocation} v1.35.
"""

from __future__ import annotations

import ipaddress
import random
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from k3py.api.fielderror import FieldError
from k3py.api.selectors import FieldSelector, LabelSelector, Requirement
from k3py.api.status import ApiError, bad_request, invalid
from k3py.apiserver.interface import StreamResult
from k3py.apiserver.registry.subresources.connect import admit_connect
from k3py.apiserver.registry.subresources.node_location import host_text, url_of_node
from k3py.storage.interface import ListQuery

if TYPE_CHECKING:
    from k3py.apiserver.registry.call import Call
    from k3py.jsontypes import JsonObject

_BROADCAST = "255.255.255.255"
SERVICE_LABEL = "kubernetes.io/service-name"


async def handle_pod_proxy(call: Call) -> StreamResult:
    """Go to the pod's address. Raises ApiError, StorageError."""
    await admit_connect(call)
    scheme, name, port = split_name(call.request.name)
    pod = (await call.store.get(call.namespace, name)).parsed
    address = (pod.get("status") or {}).get("podIP") or ""
    _check_address(address)
    if not port:
        containers = pod["spec"].get("containers") or ()
        port = next(
            (str(one["containerPort"]) for c in containers for one in c.get("ports") or ()),
            "443" if scheme == "https" else "80",
        )
    return _result(call, scheme or "http", address, port)


async def handle_service_proxy(call: Call) -> StreamResult:
    """Go to one of the service's ready endpoints. Raises ApiError, StorageError."""
    await admit_connect(call)
    scheme, name, port = split_name(call.request.name)
    service = (await call.store.get(call.namespace, name)).parsed
    port_name = _service_port(service, port)
    kind = call.services.kinds.find("discovery.k8s.io", "v1", "endpointslices")
    targets: list[tuple[str, int]] = []
    if kind is not None:
        store = await call.services.storage.store_for(kind)
        labels = LabelSelector((Requirement(SERVICE_LABEL, "in", (name,)),))
        page = await store.list(ListQuery(namespace=call.namespace, labels=labels, fields=FieldSelector()))
        targets = [target for view in page.items for target in ready_targets(view.parsed, port_name)]
    if not targets:
        raise ApiError(503, "ServiceUnavailable", f'no endpoints available for service "{call.request.name}"')
    address, number = random.choice(targets)  # noqa: S311 - spreads load, guards nothing
    return _result(call, scheme or "http", address, str(number))


async def handle_node_proxy(call: Call) -> StreamResult:
    """Go to the node's kubelet, or to another of its ports. Raises ApiError, StorageError."""
    await admit_connect(call)
    scheme, name, port = split_name(call.request.name)
    node = (await call.store.get("", name)).parsed
    kubelet = urlsplit(url_of_node(node))
    _check_address(kubelet.hostname or "", is_name_allowed=True)
    url = url_of_node(node, int(port) if port.isdigit() else 0)
    is_kubelet = port in ("", str(kubelet.port))
    if not is_kubelet and scheme != "https":
        url = url.replace("https:", "http:", 1)
    return StreamResult(target=f"{url}/{_rest(call)}", is_kubelet=is_kubelet)


def split_name(text: str) -> tuple[str, str, str]:
    """Return (scheme, name, port) of `[scheme:]name[:port]`. Raises ApiError 400."""
    parts = text.split(":")
    match parts:
        case [name]:
            return "", name, ""
        case [name, port]:
            return "", name, port
        case [("http" | "https" | "") as scheme, name, port]:
            return scheme, name, port
    raise bad_request(f'invalid proxy request "{text}"')


def _check_address(address: str, *, is_name_allowed: bool = False) -> None:
    """Refuse what leads to this machine itself or its neighbours' own services, whoever wrote it into a status.

    Source: k8s.io/apimachinery/pkg/util/proxy IsProxyableIP v0.35.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        if is_name_allowed and address:
            return
        raise bad_request("address not allowed") from None
    if ip.is_unspecified or ip.is_loopback or ip.is_multicast or ip.is_link_local or address == _BROADCAST:
        raise bad_request("address not allowed")


def _service_port(service: JsonObject, port: str) -> str:
    """Return the name of the service port that is meant, which endpoints know it by."""
    ports: list[JsonObject] = (service.get("spec") or {}).get("ports") or []
    if not port and len(ports) == 1:
        return str(ports[0].get("name") or "")
    for one in ports:
        if port in (one.get("name") or "", str(one.get("port"))):
            return str(one.get("name") or "")
    error = FieldError("", "FieldValueNotFound", f'no service port "{port}" found', port)
    if port:
        raise ApiError(
            503,
            "ServiceUnavailable",
            f'no service port "{port}" found for service "{service["metadata"]["name"]}"',
        )
    raise invalid("", "Service", service["metadata"]["name"], [error])


def ready_targets(endpoint_slice: JsonObject, port_name: str) -> list[tuple[str, int]]:
    """Return (address, port) of all ready endpoints of a slice behind the service port of that name."""
    numbers = [
        one["port"]
        for one in endpoint_slice.get("ports") or ()
        if (one.get("name") or "") == port_name and one.get("port")
    ]
    return [
        (address, number)
        for endpoint in endpoint_slice.get("endpoints") or ()
        if (endpoint.get("conditions") or {}).get("ready") is not False
        for address in endpoint.get("addresses") or ()
        for number in numbers
    ]


def _result(call: Call, scheme: str, address: str, port: str) -> StreamResult:
    target = f"{scheme}://{host_text(address)}:{port}/{_rest(call)}"
    return StreamResult(target=target, is_kubelet=False)


def _rest(call: Call) -> str:
    from urllib.parse import urlencode  # noqa: PLC0415 - small and rarely needed

    path = call.request.options.get("path", "").lstrip("/")
    pairs = [
        (name, value)
        for name, values in call.request.multi_options.items()
        for value in values
        if name != "path"
    ]
    query = urlencode(pairs)
    return f"{path}?{query}" if query else path
