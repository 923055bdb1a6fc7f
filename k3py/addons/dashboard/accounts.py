"""Accounts that people sign in to the dashboard with: one that may do all, one that may look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.resource import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, SERVICE_ACCOUNTS
from k3py.client.interface import PatchType

if TYPE_CHECKING:
    from k3py.api.resource import Resource
    from k3py.client.http import HttpClient
    from k3py.jsontypes import JsonObject

ADMINISTRATOR: Final = "k3py-dashboard"
VIEWER: Final = "k3py-dashboard-viewer"
_NAMESPACE: Final = "kube-system"
_MANAGER: Final = "k3py-dashboard"
_RBAC: Final = "rbac.authorization.k8s.io"
# What the role `view` leaves out, since it is made for namespaces.
_CLUSTER_RULES: Final[list[JsonObject]] = [
    {
        "apiGroups": ["", "storage.k8s.io", "apiextensions.k8s.io"],
        "resources": [
            "nodes",
            "namespaces",
            "persistentvolumes",
            "storageclasses",
            "customresourcedefinitions",
        ],
        "verbs": ["get", "list", "watch"],
    },
    {"apiGroups": [""], "resources": ["nodes/stats", "nodes/metrics"], "verbs": ["get"]},
    {"nonResourceURLs": ["/metrics"], "verbs": ["get"]},
]


async def issue_token(client: HttpClient, account: str, lifetime_s: int) -> str:
    """Make the account with its rights, if it is not there, and return a token of its own.

    Args:
        client: an administrator's.
        account: ADMINISTRATOR or VIEWER.
        lifetime_s: how long the token is good, in seconds.

    Raises:
        ApiError: the server refuses.
        Unreachable: there is none.
    """
    for resource, obj in _objects(account):
        metadata = obj["metadata"]
        await client.patch(
            resource,
            metadata["name"],
            obj,
            patch_type=PatchType.APPLY,
            namespace=metadata.get("namespace", ""),
            field_manager=_MANAGER,
            force=True,
        )
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": lifetime_s},
    }
    answer = await client.create(
        SERVICE_ACCOUNTS, request, namespace=_NAMESPACE, name=account, subresource="token"
    )
    return str(answer["status"]["token"])


def _objects(account: str) -> list[tuple[Resource, JsonObject]]:
    metadata = {"name": account}
    made: list[tuple[Resource, JsonObject]] = [
        (
            SERVICE_ACCOUNTS,
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {**metadata, "namespace": _NAMESPACE},
                "automountServiceAccountToken": False,
            },
        ),
    ]
    if account == ADMINISTRATOR:
        return [*made, _binding(account, account, "cluster-admin")]
    role = {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": metadata,
        "rules": _CLUSTER_RULES,
    }
    made.append((CLUSTER_ROLES, role))
    return [*made, _binding(account, account, account), _binding(f"{account}-view", account, "view")]


def _binding(name: str, account: str, role: str) -> tuple[Resource, JsonObject]:
    return (
        CLUSTER_ROLE_BINDINGS,
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": _NAMESPACE}],
        },
    )
