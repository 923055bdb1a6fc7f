"""Where the kubelet of a node answers. Source: k8s.io/kubernetes/pkg/kubelet/client/kubelet_client.go v1.35; preference as K3s sets it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.status import ApiError, internal_error
from k3py.storage.errors import ObjectNotFound

if TYPE_CHECKING:
    from k3py.apiserver.registry.call import Call
    from k3py.jsontypes import JsonObject

_PREFERENCE: Final = ("InternalIP", "ExternalIP", "Hostname")
_KUBELET_PORT: Final = 10250


async def kubelet_base_url(call: Call, node_name: str) -> str:
    """Return https://<address>:<port> of the node's kubelet. Raises ApiError."""
    kind = call.services.kinds.find("", "v1", "nodes")
    if kind is None:
        raise internal_error("nodes are not served")
    store = await call.services.storage.store_for(kind)
    try:
        node = (await store.get("", node_name)).parsed
    except ObjectNotFound as error:
        raise ApiError(
            404, "NotFound", f'nodes "{node_name}" not found', details={"name": node_name, "kind": "nodes"}
        ) from error
    return url_of_node(node)


def url_of_node(node: JsonObject, port: int = 0) -> str:
    """Return the URL of a node's kubelet, or of another port of the node. Raises ApiError 500: it has no address yet."""
    status = node.get("status") or {}
    addresses: dict[str, str] = {}
    for one in status.get("addresses") or ():
        addresses.setdefault(one.get("type", ""), one.get("address", ""))
    host = next((addresses[one] for one in _PREFERENCE if addresses.get(one)), "")
    if not host:
        raise internal_error(f"no preferred addresses found for node {node['metadata']['name']}")
    endpoint = (status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}
    return f"https://{host_text(host)}:{port or endpoint.get('Port') or _KUBELET_PORT}"


def host_text(host: str) -> str:
    """Return a host as it stands in URLs: IPv6 addresses in brackets."""
    return f"[{host}]" if ":" in host else host
