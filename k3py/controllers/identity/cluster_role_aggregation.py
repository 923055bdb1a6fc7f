"""Fills ClusterRoles that gather the rules of others.

Source: kubernetes/pkg/controller/clusterroleaggregation v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.resource import CLUSTER_ROLES
from k3py.api.selectors import selector_from_object
from k3py.client.interface import PatchType
from k3py.controllers.interface import Watch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject


def plan_rules(role: JsonObject, roles: Sequence[JsonObject]) -> list[JsonObject]:
    """Return the rules of all selected roles, each once, selector by selector and by name."""
    rules: list[JsonObject] = []
    by_name = sorted(roles, key=lambda one: str(one["metadata"]["name"]))
    for one in (role.get("aggregationRule") or {}).get("clusterRoleSelectors") or ():
        selector = selector_from_object(one)
        for source in by_name:
            if source["metadata"]["name"] == role["metadata"]["name"]:
                continue
            if selector.matches(source["metadata"].get("labels") or {}):
                rules += [rule for rule in source.get("rules") or () if rule not in rules]
    return rules


class ClusterRoleAggregationController:
    """See the module."""

    name = "clusterrole-aggregation-controller"
    workers = 5

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        roles = context.informers.informer(CLUSTER_ROLES)
        self._roles = roles.lister
        self.watches = (Watch(roles, self._keys_of_role),)

    def _keys_of_role(self, _: JsonObject | None, __: JsonObject | None) -> Iterable[str]:
        return [one["metadata"]["name"] for one in self._roles.list() if one.get("aggregationRule")]

    async def reconcile(self, key: str) -> float | None:
        """Write the gathered rules of one role."""
        role = self._roles.find("", key)
        if role is None or not role.get("aggregationRule"):
            return None
        rules = plan_rules(role, self._roles.list())
        if rules == (role.get("rules") or []):
            return None
        patch: JsonObject = {
            "kind": "ClusterRole",
            "apiVersion": CLUSTER_ROLES.api_version,
            "metadata": {"name": key},
        }
        if rules:
            patch["rules"] = rules
        await self._client.patch(
            CLUSTER_ROLES, key, patch, patch_type=PatchType.APPLY, field_manager=self.name, force=True
        )
        return None


def build(context: ControllerContext) -> ClusterRoleAggregationController:
    """Make the controller."""
    return ClusterRoleAggregationController(context)
