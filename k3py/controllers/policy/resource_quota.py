"""Counts what a namespace uses of its ResourceQuotas.

Source: kubernetes/pkg/controller/resourcequota v1.35. Admission books what comes; this counts anew when something goes or a quota
changes, and every five minutes, as upstream does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.object import key_of, split_key
from k3py.api.quota import Usage, count_name, covers, usage_of
from k3py.api.resource import (
    CONFIG_MAPS,
    CRON_JOBS,
    DAEMON_SETS,
    DEPLOYMENTS,
    JOBS,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    RESOURCE_QUOTAS,
    SECRETS,
    SERVICES,
    STATEFUL_SETS,
    Resource,
)
from k3py.controllers.interface import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from k3py.client.interface import Lister
    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject

RECOUNT_S: Final = 300.0
_WATCHED: Final = (
    PODS,
    SERVICES,
    PERSISTENT_VOLUME_CLAIMS,
    CONFIG_MAPS,
    SECRETS,
    REPLICATION_CONTROLLERS,
    DEPLOYMENTS,
    REPLICA_SETS,
    STATEFUL_SETS,
    DAEMON_SETS,
    JOBS,
    CRON_JOBS,
)


def plan_status(quota: JsonObject, usage: Usage) -> JsonObject:
    """Return the status: the limits as they are asked for, and what is used of each."""
    hard = (quota.get("spec") or {}).get("hard") or {}
    return {"hard": dict(hard), "used": usage.shown(hard)}


class ResourceQuotaController:
    """See the module."""

    name = "resourcequota-controller"
    workers = 5

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._kinds = context.kinds
        quotas = context.informers.informer(RESOURCE_QUOTAS)
        informers = {one: context.informers.informer(one) for one in _WATCHED}
        self._quotas = quotas.lister
        self._listers: dict[Resource, Lister] = {one: each.lister for one, each in informers.items()}
        self._listers[RESOURCE_QUOTAS] = quotas.lister
        self.watches = (
            Watch(quotas, self._keys_of_quota),
            *(Watch(each, self._keys_for(one)) for one, each in informers.items()),
        )

    def _keys_of_quota(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        if new is not None and old is not None:
            hard = (new.get("spec") or {}).get("hard") or {}
            same = old.get("spec") == new.get("spec") and (new.get("status") or {}).get("hard") == hard
            return () if same else (key_of(new),)  # a changed `used` alone is admission's booking
        obj = new or old
        return self._quotas_in(obj["metadata"]["namespace"]) if obj is not None else ()

    def _quotas_in(self, namespace: str) -> list[str]:
        return [key_of(one) for one in self._quotas.list(namespace)]

    def _keys_for(
        self, resource: Resource
    ) -> Callable[[JsonObject | None, JsonObject | None], Iterable[str]]:
        def keys_of(old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
            obj = new or old
            if obj is None:
                return ()
            if old is None:
                return ()
            keys = self._quotas_in(obj["metadata"]["namespace"])
            if keys and new is not None:
                before, after = (usage_of(resource.group, resource.plural, one) for one in (old, new))
                if before.amounts == after.amounts:
                    return ()
            return keys

        return keys_of

    async def reconcile(self, key: str) -> float | None:
        """Count anew for one quota."""
        namespace, name = split_key(key)
        quota = self._quotas.find(namespace, name)
        if quota is None or "deletionTimestamp" in quota["metadata"]:
            return None
        hard = (quota.get("spec") or {}).get("hard") or {}
        usage = Usage()
        for resource, lister in self._listers.items():
            for obj in lister.list(namespace):
                if covers(quota, resource.group, resource.plural, obj):
                    usage.add_all(usage_of(resource.group, resource.plural, obj))
        known = {count_name(one.group, one.plural) for one in self._listers}
        for counted in hard:
            if counted.startswith("count/") and counted not in known:
                await self._count_others(counted, namespace, usage)
        status = plan_status(quota, usage)
        if status != (quota.get("status") or {}):
            await self._client.update(RESOURCE_QUOTAS, {**quota, "status": status}, subresource="status")
        return RECOUNT_S

    async def _count_others(self, counted: str, namespace: str, usage: Usage) -> None:
        """Ask the API for objects of kinds that are rarely counted."""
        plural, _, group = counted.removeprefix("count/").partition(".")
        kind = next(
            (one for one in self._kinds if (one.group, one.plural) == (group, plural) and one.namespaced),
            None,
        )
        if kind is None:
            return
        resource = Resource(kind.group, kind.version, kind.plural, kind.kind)
        for obj in (await self._client.list(resource, namespace=namespace)).items:
            usage.add_all(usage_of(group, plural, obj))


def build(context: ControllerContext) -> ResourceQuotaController:
    """Make the controller."""
    return ResourceQuotaController(context)
