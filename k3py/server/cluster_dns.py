"""Makes the Service `kube-dns` at the cluster's DNS address; the nodes' own servers stand behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.resource import ROLE_BINDINGS, ROLES, SERVICES
from k3py.client.presence import ensure_present
from k3py.util.netaddr import is_ipv6, split_pair

if TYPE_CHECKING:
    from k3py.client.interface import Client

_NAMESPACE: Final = "kube-system"
_ROLE: Final = "system:k3py-cluster-dns"


async def ensure_dns_role(client: Client) -> None:
    """Let the nodes' DNS servers read the operator's ConfigMap `coredns-custom`. Raises ApiError."""
    metadata = {"name": _ROLE, "namespace": _NAMESPACE}
    rule = {
        "apiGroups": [""],
        "resources": ["configmaps"],
        "resourceNames": ["coredns-custom"],
        "verbs": ["get", "list", "watch"],
    }
    role = {"apiVersion": ROLES.api_version, "kind": "Role", "metadata": metadata, "rules": [rule]}
    binding = {
        "apiVersion": ROLES.api_version,
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": ROLES.group, "kind": "Role", "name": _ROLE},
        "subjects": [{"apiGroup": ROLES.group, "kind": "User", "name": "system:kube-proxy"}],
    }
    await ensure_present(client, ROLES, role)
    await ensure_present(client, ROLE_BINDINGS, binding)


async def ensure_dns_service(client: Client, address: str) -> None:
    """Create the Service if it is missing; one that is there is left as it is, so that a cluster may bring its own DNS.

    Queries go to the server on the asker's own node only (internalTrafficPolicy Local): names resolve while other nodes are away.

    address: of the Service; two with a comma between for both families.

    Raises:
        ApiError: the address is taken, or outside of the service range.
    """
    addresses = split_pair(address)
    labels = {
        "k8s-app": "kube-dns",
        "kubernetes.io/cluster-service": "true",
        "kubernetes.io/name": "CoreDNS",
    }
    service = {
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": {"name": "kube-dns", "namespace": _NAMESPACE, "labels": labels},
        "spec": {
            "clusterIP": addresses[0],
            "clusterIPs": list(addresses),
            "ipFamilies": ["IPv6" if is_ipv6(one) else "IPv4" for one in addresses],
            "ipFamilyPolicy": "SingleStack" if len(addresses) == 1 else "RequireDualStack",
            "internalTrafficPolicy": "Local",
            "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
            ],
        },
    }
    await ensure_present(client, SERVICES, service)
