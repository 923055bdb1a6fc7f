"""Tells in the status of admission policies what the types of their objects say against their expressions.

Source: kubernetes/pkg/controller/validatingadmissionpolicystatus v1.35, k8s.io/apiserver/pkg/admission/plugin/policy/validating/
typechecking.go v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.resource import VALIDATING_ADMISSION_POLICIES
from k3py.api.schema import load_schema
from k3py.controllers.interface import Watch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from k3py.api.cel.builtin_types import BuiltinTypes
    from k3py.api.cel.types import Declaration
    from k3py.api.kind import Kind
    from k3py.api.registry import KindRegistry
    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject

_MOST_TYPES: Final = 10


def find_kinds(spec: JsonObject, kinds: KindRegistry) -> Iterator[Kind]:
    """Yield the kinds that a policy names; wildcards and subresources name none."""
    for rule in (spec.get("matchConstraints") or {}).get("resourceRules") or ():
        groups, versions, resources = (
            rule.get(key) or () for key in ("apiGroups", "apiVersions", "resources")
        )
        if "*" in groups or "*" in versions:
            continue
        for resource in resources:
            for group in groups:
                found = (kinds.find(group, version, resource) for version in versions)
                yield from (kind for kind in found if kind is not None)


class AdmissionPolicyStatusController:
    """See the module."""

    name = "validatingadmissionpolicy-status-controller"
    workers = 1

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._kinds = context.kinds
        policies = context.informers.informer(VALIDATING_ADMISSION_POLICIES)
        self._policies = policies.lister
        self.watches = (Watch(policies, self._keys_of),)

    def _keys_of(self, _: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        return (new["metadata"]["name"],) if new is not None else ()

    async def reconcile(self, key: str) -> float | None:
        """Check one policy that has changed since it was checked."""
        policy = self._policies.find("", key)
        if policy is None:
            return None
        generation = policy["metadata"].get("generation", 0)
        status = policy.get("status") or {}
        if generation <= status.get("observedGeneration", 0):
            return None
        warnings = _check(policy.get("spec") or {}, self._kinds)
        checked = {"expressionWarnings": warnings} if warnings else {}
        changed = {**status, "observedGeneration": generation, "typeChecking": checked}
        _ = await self._client.update(
            VALIDATING_ADMISSION_POLICIES, {**policy, "status": changed}, subresource="status"
        )
        return None


def _check(spec: JsonObject, kinds: KindRegistry) -> list[JsonObject]:
    from k3py.api.cel.builtin_types import BuiltinTypes  # noqa: PLC0415 - brings the expression language
    from k3py.api.cel.type_check import find_type_warnings  # noqa: PLC0415
    from k3py.api.cel.types import DYNAMIC  # noqa: PLC0415

    types = BuiltinTypes(load_schema())
    found = list(dict.fromkeys(find_kinds(spec, kinds)))[:_MOST_TYPES]
    objects = [(f"{kind.api_version}, Kind={kind.kind}", _declare(kind, types)) for kind in found]
    named = spec.get("paramKind")
    kind = kinds.find_by_kind(named.get("apiVersion", ""), named.get("kind", "")) if named else None
    return find_type_warnings(spec, objects, _declare(kind, types) if kind is not None else DYNAMIC)


def _declare(kind: Kind, types: BuiltinTypes) -> Declaration:
    from k3py.api.cel.declarations import declare  # noqa: PLC0415
    from k3py.api.cel.types import DYNAMIC  # noqa: PLC0415

    if kind.structure is not None:
        return declare(kind.structure.schema, is_resource=True) or DYNAMIC
    return types.declare(kind.schema)


def build(context: ControllerContext) -> AdmissionPolicyStatusController:
    """Make the controller."""
    return AdmissionPolicyStatusController(context)
