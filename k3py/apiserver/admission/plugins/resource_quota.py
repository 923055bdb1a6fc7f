"""Refuses what would use more than a ResourceQuota allows, and books what it lets through.

Source: k8s.io/apiserver/pkg/admission/plugin/resourcequota v0.35. Only status.hard counts: a quota whose controller has not seen it yet
holds nobody up. What was booked for a request that failed later is corrected when the controller counts anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from k3py.api.quantity import parse_quantity
from k3py.api.quota import Usage, covers, matches_scope, scopes_of, usage_of
from k3py.api.resource import RESOURCE_QUOTAS
from k3py.api.status import ApiError
from k3py.apiserver.admission.plugins.base import BasePlugin, is_resize, refuse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.apiserver.admission.lookup import Lookup
    from k3py.apiserver.interface import AdmissionRequest
    from k3py.jsontypes import JsonObject

_CHANGING: Final = ("services", "persistentvolumeclaims")
_COMPUTE: Final = ("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory")


@dataclass(frozen=True, slots=True)
class LimitedResource:
    """What may be used only where a quota covers it: amounts whose names contain one of the texts, and pods that match a scope."""

    group: str
    plural: str
    contains: tuple[str, ...] = ()
    scopes: tuple[JsonObject, ...] = ()


class ResourceQuota(BasePlugin):
    """See the module."""

    name = "ResourceQuota"

    def __init__(self, lookup: Lookup, limited: Sequence[LimitedResource] = ()) -> None:
        self._lookup = lookup
        self._limited = limited

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
        quotas = await self._lookup.list(RESOURCE_QUOTAS, request.namespace)
        if self._limited:
            wanted = _difference(request)
            self._check_limited(request, obj, wanted, quotas)
        for quota in quotas:
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

    def _check_limited(
        self, request: AdmissionRequest, obj: JsonObject, wanted: Usage, quotas: Sequence[JsonObject]
    ) -> None:
        """Refuse what may be used only where a quota covers it."""
        group, plural = request.kind.group, request.kind.plural
        limits = [one for one in self._limited if (one.group, one.plural) == (group, plural)]
        names = {
            name
            for name, amount in wanted.amounts.items()
            for one in limits
            if amount and any(text in name for text in one.contains)
        }
        covering = [one for one in quotas if (one.get("status") or {}).get("hard")]
        covered = {
            name for one in covering if covers(one, group, plural, obj) for name in one["status"]["hard"]
        }
        if names - covered:
            raise refuse(request, f"insufficient quota to consume: {','.join(sorted(names - covered))}")
        if (group, plural) != ("", "pods"):
            return
        scopes = [scope for one in limits for scope in one.scopes if matches_scope(scope, obj)]
        known = {
            scope["scopeName"] for one in covering for scope in scopes_of(one) if matches_scope(scope, obj)
        }
        if left := [one for one in scopes if one["scopeName"] not in known]:
            shown = " ".join(
                f"{{{one['scopeName']} {one['operator']} [{' '.join(one['values'])}]}}" for one in left
            )
            # As upstream's: no 403, for the error is none of admission's own.
            raise ApiError(500, "", f"insufficient quota to match these scopes: [{shown}]")


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
