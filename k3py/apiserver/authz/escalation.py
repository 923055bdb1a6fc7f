"""Nobody grants more than they have: checks of writes to roles and bindings.

Source: k8s.io/kubernetes/pkg/registry/rbac/{role,clusterrole,rolebinding,clusterrolebinding}/policybased/storage.go v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.status import forbidden, not_found
from k3py.api.user import MASTERS
from k3py.apiserver.authz.policy import RBAC_GROUP
from k3py.apiserver.authz.rule import Rule, find_uncovered, read_rules
from k3py.apiserver.interface import Attributes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.apiserver.authz.policy import Policy
    from k3py.apiserver.interface import Authorizer
    from k3py.apiserver.registry.call import Call
    from k3py.jsontypes import JsonObject

_FULL = (Rule(verbs=("*",), groups=("*",), resources=("*",)), Rule(verbs=("*",), urls=("*",)))


class EscalationGuard:
    """Looks at writes of the four RBAC kinds, after mutating admission and before validation."""

    def __init__(self, policy: Policy, authorizer: Authorizer) -> None:
        self._policy = policy
        self._authorizer = authorizer

    async def check(self, call: Call, new: JsonObject, old: JsonObject | None) -> None:
        """Refuse what would give more than the user holds; `old` None = a create. Raises ApiError 403 or 404."""
        if MASTERS in call.request.user.groups:
            return
        if call.kind.kind in ("Role", "ClusterRole"):
            await self._check_role(call, new, old)
        else:
            await self._check_binding(call, new, old)

    async def _check_role(self, call: Call, new: JsonObject, old: JsonObject | None) -> None:
        if await self._may(call, "escalate", call.kind.plural, call.request.name):
            return
        if old is not None and _changes_only_collection(new, old):
            return
        if call.kind.kind == "ClusterRole" and (
            _has_aggregation(new) or (old is not None and _has_aggregation(old))
        ):
            held = self._policy.rules_for(call.request.user, "")
            if find_uncovered(held, _FULL):
                raise forbidden(
                    call.kind.group,
                    call.kind.plural,
                    new["metadata"].get("name") or "",
                    "must have cluster-admin privileges to use the aggregationRule",
                )
        self._confirm(call, new, read_rules(new.get("rules")))

    async def _check_binding(self, call: Call, new: JsonObject, old: JsonObject | None) -> None:
        if old is not None and _changes_only_collection(new, old):
            return
        reference = new.get("roleRef") or {}
        kind, name = reference.get("kind", ""), reference.get("name", "")
        plural = {"Role": "roles", "ClusterRole": "clusterroles"}.get(kind)
        if plural is None:
            return  # validation says what is wrong with it
        if await self._may(call, "bind", plural, name):
            return
        rules = self._policy.find_role(call.namespace, kind, name)
        if rules is None:
            raise not_found(RBAC_GROUP, call.kind.plural, name)
        self._confirm(call, new, rules)

    async def _may(self, call: Call, verb: str, plural: str, name: str) -> bool:
        decision = await self._authorizer.authorize(
            Attributes(
                user=call.request.user,
                verb=verb,
                group=RBAC_GROUP,
                version=call.kind.version,
                resource=plural,
                namespace=call.namespace,
                name=name,
            )
        )
        return decision.allowed

    def _confirm(self, call: Call, new: JsonObject, wanted: Sequence[Rule]) -> None:
        user = call.request.user
        missing = find_uncovered(self._policy.rules_for(user, call.namespace), wanted)
        if not missing:
            return
        listed = "\n".join(dict.fromkeys(str(rule) for rule in missing))
        groups = " ".join(f'"{one}"' for one in user.groups)
        raise forbidden(
            call.kind.group,
            call.kind.plural,
            new["metadata"].get("name") or "",
            f'user "{user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions not currently held:\n{listed}',
        )


def _has_aggregation(role: JsonObject) -> bool:
    return bool(role.get("aggregationRule"))


def _changes_only_collection(new: JsonObject, old: JsonObject) -> bool:
    """Say whether a write changes nothing but what garbage collection needs: finalizers and owners."""
    return _without_collection(new) == _without_collection(old)


def _without_collection(obj: JsonObject) -> JsonObject:
    ignored = ("finalizers", "ownerReferences", "managedFields", "resourceVersion", "generation")
    metadata = {key: value for key, value in obj["metadata"].items() if key not in ignored and value}
    return {**obj, "metadata": metadata}
