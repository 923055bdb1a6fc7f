"""Refuses what would use more than a ResourceQuota allows, and books what it lets through.

Source: k8s.io/apiserver/pkg/admission/plugin/resourcequota v0.35. Only status.hard counts: a quota whose controller has not seen it yet
holds nobody up. What was booked for a request that failed later is corrected when the controller counts anew.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from k3py.api.quantity import parse_quantity
from k3py.api.quota import Usage, covers, usage_of
from k3py.api.resource import RESOURCE_QUOTAS
from k3py.apiserver.admission.plugins.base import BasePlugin, is_resize, refuse

if TYPE_CHECKING:
    from k3py.apiserver.admission.lookup import Lookup
    from k3py.apiserver.interface import AdmissionRequest
    from k3py.jsontypes import JsonObject

_CHANGING: Final = ("services", "persistentvolumeclaims")
_COMPUTE: Final = ("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory")


class ResourceQuota(BasePlugin):
    """See the module."""

    name = "ResourceQuota"

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def handles(self, request: AdmissionRequest) -> bool:
        """See creates of namespaced objects, and updates that may change what they use."""
        kind = request.kind
        if request.subresource:
            return request.operation == "UPDATE" and is_resize(request)
        if not request.namespace or kind.plural == "events":
            return False
        if request.operation == "CREATE":
            return True
        return request.operation == "UPDATE" and not kind.group and kind.plural in _CHANGING

    async def validate(self, request: AdmissionRequest) -> None:
        """Refuse with 403 what exceeds a quota."""
        obj = request.obj
        if obj is None:
            return
        group, plural = request.kind.group, request.kind.plural
        wanted: Usage | None = None
        for quota in await self._lookup.list(RESOURCE_QUOTAS, request.namespace):
            if not (quota.get("status") or {}).get("hard") or not covers(quota, group, plural, obj):
                continue
            if wanted is None:
                wanted = _difference(request)
            hard = quota["status"]["hard"]
            name = quota["metadata"]["name"]
            if plural == "pods" and (missing := _find_missing(obj, hard)):
                raise refuse(request, f"failed quota: {name}: must specify {missing}")
            if not any(wanted.amounts.get(one) for one in hard):
                continue
            booked = wanted

            def book(current: JsonObject, booked: Usage = booked) -> JsonObject | None:
                return _book(request, current, booked)

            await self._lookup.change(RESOURCE_QUOTAS, request.namespace, name, book)


def _difference(request: AdmissionRequest) -> Usage:
    group, plural = request.kind.group, request.kind.plural
    usage = usage_of(group, plural, request.obj or {})
    if request.operation == "UPDATE" and request.old is not None:
        for name, amount in usage_of(group, plural, request.old).amounts.items():
            usage.add(name, -amount)
    return usage


def _find_missing(pod: JsonObject, hard: JsonObject) -> str:
    """Return what containers have to say for the quota to count them."""
    spec = pod.get("spec") or {}
    missing = []
    for name in sorted(set(hard) & set(_COMPUTE)):
        side, _, resource = name.rpartition(".")
        lacking = sorted(
            str(one["name"])
            for one in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ()))
            if resource not in ((one.get("resources") or {}).get(side or "requests") or {})
        )
        if lacking and resource not in ((spec.get("resources") or {}).get(side or "requests") or {}):
            missing.append(f"{name} for: {','.join(lacking)}")
    return "; ".join(missing)


def _book(request: AdmissionRequest, quota: JsonObject, wanted: Usage) -> JsonObject | None:
    """Return the quota with what is wanted booked. Raises ApiError when that is too much."""
    status = quota.get("status") or {}
    hard, used = status.get("hard") or {}, dict(status.get("used") or {})
    over: list[str] = []
    for name in sorted(hard):
        amount = wanted.amounts.get(name, Decimal(0))
        if not amount:
            continue
        total = Usage()
        total.add(name, amount, wanted.forms[name])
        total.add(name, parse_quantity(used.get(name, "0")))
        if amount > 0 and total.amounts[name] > parse_quantity(hard[name]):
            over.append(name)
        used[name] = total.shown((name,))[name]
    if over:
        before = status.get("used") or {}
        asked = wanted.shown(over)
        parts = (
            ",".join(f"{one}={asked[one]}" for one in over),
            ",".join(f"{one}={before.get(one, '0')}" for one in over),
            ",".join(f"{one}={hard[one]}" for one in over),
        )
        message = f"exceeded quota: {quota['metadata']['name']}, requested: {parts[0]}, used: {parts[1]}, limited: {parts[2]}"
        raise refuse(request, message)
    if request.dry_run:
        return None
    return {**quota, "status": {**status, "used": used}}
