"""Lets what enforces network policies on nodes read them, and the pods and namespaces that they name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.resource import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES
from k3py.client.presence import ensure_present

if TYPE_CHECKING:
    from k3py.api.resource import Resource
    from k3py.client.interface import Client
    from k3py.jsontypes import JsonObject

NAME: Final = "system:k3py-network-policy"
_GROUP: Final = "rbac.authorization.k8s.io"


async def ensure_network_policy_role(client: Client) -> None:
    """Create role and binding if they are missing. Raises ApiError."""
    verbs = ["get", "list", "watch"]
    role: JsonObject = {
        "rules": [
            {"apiGroups": [""], "resources": ["namespaces", "pods"], "verbs": verbs},
            {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": verbs},
        ],
    }
    binding: JsonObject = {
        "roleRef": {"apiGroup": _GROUP, "kind": "ClusterRole", "name": NAME},
        "subjects": [{"apiGroup": _GROUP, "kind": "User", "name": "system:kube-proxy"}],
    }
    await _ensure(client, CLUSTER_ROLES, role)
    await _ensure(client, CLUSTER_ROLE_BINDINGS, binding)


async def _ensure(client: Client, resource: Resource, content: JsonObject) -> None:
    base = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": NAME}}
    await ensure_present(client, resource, base | content)
