"""The RBAC authorizer. Source: k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/rbac.go v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.apiserver.interface import Decision

if TYPE_CHECKING:
    from k3py.apiserver.authz.policy import Policy
    from k3py.apiserver.interface import Attributes, Authorizer


class RbacAuthorizer:
    """Allows what a role that is bound to the user allows; never denies."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    async def authorize(self, attributes: Attributes) -> Decision:
        """Decide."""
        missing: dict[str, None] = {}
        for grant in self._policy.iter_grants(attributes.user, attributes.namespace):
            rules = self._policy.find_role(grant.namespace, grant.role_kind, grant.role)
            if rules is None:
                plural = "roles" if grant.role_kind == "Role" else "clusterroles"
                missing[f'{plural}.rbac.authorization.k8s.io "{grant.role}" not found'] = None
                continue
            if any(rule.allows(attributes) for rule in rules):
                return Decision(True, f"RBAC: allowed by {grant}")
        if not missing:
            return Decision(False)
        listed = ", ".join(missing)
        return Decision(False, f"RBAC: {listed}" if len(missing) == 1 else f"RBAC: [{listed}]")


if TYPE_CHECKING:

    def _check(one: RbacAuthorizer) -> Authorizer:
        return one
