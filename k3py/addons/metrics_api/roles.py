"""RBAC of the metrics API: who collects, and that whoever may view a namespace may see its figures.

Source: the manifests of metrics-server v0.8 as K3s ships them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.addons.metrics_api.kinds import GROUP
from k3py.api.resource import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES
from k3py.client.presence import ensure_present

if TYPE_CHECKING:
    from k3py.api.resource import Resource
    from k3py.client.interface import Client
    from k3py.jsontypes import JsonObject

ACCOUNT: Final = "metrics-server"
_NAMESPACE: Final = "kube-system"
_RBAC: Final = "rbac.authorization.k8s.io"
_COLLECTOR: Final = "system:metrics-server"


def _objects() -> tuple[tuple[Resource, JsonObject], ...]:
    api_version = f"{_RBAC}/v1"
    aggregated = {f"{_RBAC}/aggregate-to-{role}": "true" for role in ("admin", "edit", "view")}
    return (
        (
            CLUSTER_ROLES,
            {
                "kind": "ClusterRole",
                "apiVersion": api_version,
                "metadata": {"name": "system:aggregated-metrics-reader", "labels": aggregated},
                "rules": [
                    {"apiGroups": [GROUP], "resources": ["pods", "nodes"], "verbs": ["get", "list", "watch"]}
                ],
            },
        ),
        (
            CLUSTER_ROLES,
            {
                "kind": "ClusterRole",
                "apiVersion": api_version,
                "metadata": {"name": _COLLECTOR},
                "rules": [
                    {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
                    {"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": ["get", "list", "watch"]},
                ],
            },
        ),
        (
            CLUSTER_ROLE_BINDINGS,
            {
                "kind": "ClusterRoleBinding",
                "apiVersion": api_version,
                "metadata": {"name": _COLLECTOR},
                "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": _COLLECTOR},
                "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": _NAMESPACE}],
            },
        ),
    )


async def ensure_roles(client: Client) -> None:
    """Create what is missing; what is there is left as it is. Raises ApiError."""
    for resource, document in _objects():
        await ensure_present(client, resource, document)
