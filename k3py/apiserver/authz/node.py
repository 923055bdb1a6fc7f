"""The node authorizer: a kubelet reads what its pods need and writes what is its own.

Everything that is not divided by node is decided by the rules of the ClusterRole system:node (which no binding gives to anybody).
Source: k8s.io/kubernetes/plugin/pkg/auth/authorizer/node/node_authorizer.go v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.selectors import SelectorError, parse_field_selector
from k3py.apiserver.interface import Decision

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3py.api.user import User
    from k3py.apiserver.authz.node_graph import NodeGraph
    from k3py.apiserver.authz.policy import Policy
    from k3py.apiserver.interface import Attributes, Authorizer

NODE_PREFIX: Final = "system:node:"
NODES_GROUP: Final = "system:nodes"
NODE_ROLE: Final = "system:node"
_LEASE_NAMESPACE: Final = "kube-node-lease"
_ALLOWED: Final = Decision(True)
_READ: Final = ("get", "list", "watch")


def node_name_of(user: User) -> str:
    """Return the node whose kubelet `user` is, "" when it is none."""
    if user.name.startswith(NODE_PREFIX) and NODES_GROUP in user.groups:
        return user.name.removeprefix(NODE_PREFIX)
    return ""


class NodeAuthorizer:
    """Allows kubelets what concerns their node; no opinion on others."""

    def __init__(self, graph: NodeGraph, policy: Policy) -> None:
        self._graph = graph
        self._policy = policy
        self._decide: dict[tuple[str, str], Callable[[str, Attributes], Decision]] = {
            ("", "secrets"): self._read_referenced,
            ("", "configmaps"): self._read_referenced,
            ("", "serviceaccounts"): self._decide_service_account,
            ("", "persistentvolumeclaims"): self._decide_claim,
            ("", "persistentvolumes"): self._get_referenced,
            ("storage.k8s.io", "volumeattachments"): self._get_referenced,
            ("storage.k8s.io", "csinodes"): _decide_csi_node,
            ("resource.k8s.io", "resourceclaims"): self._get_referenced,
            ("resource.k8s.io", "resourceslices"): self._decide_resource_slice,
            ("coordination.k8s.io", "leases"): _decide_lease,
            ("", "pods"): self._decide_pod,
            ("", "nodes"): _decide_node,
        }

    async def authorize(self, attributes: Attributes) -> Decision:
        """Decide."""
        node = node_name_of(attributes.user)
        if not node:
            if NODES_GROUP in attributes.user.groups and attributes.user.name == NODE_PREFIX:
                return _refuse("unknown node for user", attributes.user.name)
            return Decision(False)
        if not attributes.path:
            decide = self._decide.get((attributes.group, attributes.resource))
            if decide is not None:
                return decide(node, attributes)
        rules = self._policy.find_role("", "ClusterRole", NODE_ROLE) or ()
        return _ALLOWED if any(rule.allows(attributes) for rule in rules) else Decision(False)

    def _read_referenced(self, node: str, attributes: Attributes) -> Decision:
        if attributes.verb not in _READ:
            return Decision(False, "can only read resources of this type")
        if attributes.subresource:
            return Decision(False, "cannot read subresource")
        if not attributes.namespace:
            return Decision(False, "can only read namespaced object of this type")
        return self._referenced(node, attributes)

    def _get_referenced(self, node: str, attributes: Attributes) -> Decision:
        if attributes.verb != "get":
            return Decision(False, "can only get individual resources of this type")
        if attributes.subresource:
            return Decision(False, "cannot get subresource")
        return self._referenced(node, attributes)

    def _decide_resource_slice(self, node: str, attributes: Attributes) -> Decision:
        verb = attributes.verb
        if attributes.subresource:
            return Decision(False, "cannot authorize ResourceSlice subresources")
        if verb == "create":  # for which node, the admission plugin NodeRestriction checks
            return _ALLOWED
        if verb in ("get", "update", "patch", "delete"):
            return self._referenced(node, attributes)
        if verb in ("list", "watch", "deletecollection"):
            if _selects(attributes, "spec.nodeName", node):
                return _ALLOWED
            text = "can only list/watch/deletecollection resourceslices with spec.nodeName field selector"
            return Decision(False, text)
        return Decision(False, "only the following verbs are allowed for a ResourceSlice")

    def _referenced(self, node: str, attributes: Attributes) -> Decision:
        if not attributes.name:
            return Decision(False, "No Object name found")
        if self._graph.has(node, attributes.resource, attributes.namespace, attributes.name):
            return _ALLOWED
        return _refuse("no relationship found between node", node)

    def _decide_claim(self, node: str, attributes: Attributes) -> Decision:
        if attributes.subresource == "status":
            if attributes.verb not in ("update", "patch"):
                return Decision(False, "can only update status")
            return self._referenced(node, attributes)
        # Upstream's kubelet asks for its claims again and again; k3py's follows each by a watch of its own.
        return self._read_referenced(node, attributes)

    def _decide_service_account(self, node: str, attributes: Attributes) -> Decision:
        if attributes.subresource == "token":
            if attributes.verb != "create":
                return Decision(False, "can only create tokens for individual service accounts")
            return self._referenced(node, attributes)
        return self._read_referenced(node, attributes)

    def _decide_pod(self, node: str, attributes: Attributes) -> Decision:
        verb, subresource = attributes.verb, attributes.subresource
        if verb in ("list", "watch") and not subresource:
            if attributes.name:
                return self._referenced(node, attributes)
            if _selects(attributes, "spec.nodeName", node):
                return _ALLOWED
            return Decision(False, "can only list/watch pods with spec.nodeName field selector")
        if verb == "get" and not subresource:
            return self._referenced(node, attributes)
        allowed = (verb, subresource) in (
            ("create", ""),
            ("delete", ""),
            ("create", "eviction"),
            ("update", "status"),
            ("patch", "status"),
        )
        return _ALLOWED if allowed else Decision(False)


def _decide_node(node: str, attributes: Attributes) -> Decision:
    verb, subresource = attributes.verb, attributes.subresource
    if verb in ("create", "update", "patch") and subresource in ("", "status"):
        # Which node is written, the admission plugin NodeRestriction checks.
        return _ALLOWED if verb != "create" or not subresource else Decision(False)
    if verb in _READ and not subresource:
        if attributes.name == node:
            return _ALLOWED
        if verb == "get":
            return Decision(False, f"node '{node}' cannot read '{attributes.name}', only its own Node object")
        return Decision(False, f"node '{node}' cannot read all nodes, only its own Node object")
    if verb == "get" and attributes.name == node:
        return Decision(False)
    return Decision(False)


def _decide_lease(node: str, attributes: Attributes) -> Decision:
    if attributes.verb not in ("get", "create", "update", "patch", "delete"):
        return Decision(False, "can only get, create, update, patch, or delete a node lease")
    if attributes.namespace != _LEASE_NAMESPACE:
        return Decision(False, f'can only access leases in the "{_LEASE_NAMESPACE}" system namespace')
    if attributes.verb != "create" and attributes.name != node:
        return Decision(False, "can only access node lease with the same name as the requesting node")
    return _ALLOWED


def _decide_csi_node(node: str, attributes: Attributes) -> Decision:
    if attributes.verb not in ("get", "create", "update", "patch", "delete"):
        return Decision(False, "can only get, create, update, patch, or delete a CSINode")
    if attributes.subresource:
        return Decision(False, "cannot authorize CSINode subresources")
    if attributes.verb != "create" and attributes.name != node:
        return Decision(False, "can only access CSINode with the same name as the requesting node")
    return _ALLOWED


def _selects(attributes: Attributes, field: str, value: str) -> bool:
    try:
        return parse_field_selector(attributes.field_selector).find_exact(field) == value
    except SelectorError:
        return False


def _refuse(reason: str, subject: str) -> Decision:
    return Decision(False, f"{reason} '{subject}' and this object" if "node" in reason else reason)


if TYPE_CHECKING:

    def _check(one: NodeAuthorizer) -> Authorizer:
        return one
