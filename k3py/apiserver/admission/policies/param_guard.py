"""Who puts a policy in force must be able to read its parameters: expressions could tell of them.

Source: kubernetes/pkg/registry/admissionregistration/validatingadmissionpolicy{,binding}/authz.go v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import forbidden_field
from k3py.api.resource import VALIDATING_ADMISSION_POLICIES
from k3py.api.status import invalid
from k3py.apiserver.interface import Attributes

if TYPE_CHECKING:
    from k3py.api.registry import KindRegistry
    from k3py.apiserver.admission.lookup import Lookup
    from k3py.apiserver.interface import Authorizer
    from k3py.apiserver.registry.call import Call
    from k3py.apiserver.registry.seams import WriteGuard
    from k3py.jsontypes import JsonObject

_ANY: Final = "*"


class _ParamGuard:
    """What both guards share."""

    def __init__(self, kinds: KindRegistry, authorizer: Authorizer) -> None:
        self._kinds = kinds
        self._authorizer = authorizer

    async def _may(
        self, call: Call, verb: str, param_kind: JsonObject | None, *, namespace: str = _ANY, name: str = _ANY
    ) -> bool:
        """Say whether the user may read parameters; of a kind that is not known, everything."""
        group, version, resource = _ANY, _ANY, _ANY
        if param_kind is not None:
            api_version = param_kind.get("apiVersion") or ""
            group, _, version = api_version.rpartition("/")
            kind = self._kinds.find_by_kind(api_version, param_kind.get("kind") or "")
            resource = kind.plural if kind is not None else _ANY
        decision = await self._authorizer.authorize(
            Attributes(
                user=call.request.user,
                verb=verb,
                group=group,
                version=version,
                resource=resource,
                namespace=namespace,
                name=name,
            )
        )
        return decision.allowed


class PolicyParamGuard(_ParamGuard):
    """Looks at writes of policies."""

    async def check(self, call: Call, new: JsonObject, old: JsonObject | None) -> None:
        """Refuse a new paramKind of which the user may not read all objects. Raises ApiError 422."""
        param_kind = (new.get("spec") or {}).get("paramKind")
        if param_kind is None or param_kind == ((old or {}).get("spec") or {}).get("paramKind"):
            return
        if not await self._may(call, "get", param_kind):
            text = (
                f'user {call.request.user.name} must have "get" permission on all objects of the referenced paramKind '
                f"(kind={param_kind.get('kind', '')}, apiVersion={param_kind.get('apiVersion', '')})"
            )
            raise _refusal(call, new, "spec.paramKind", text)


class BindingParamGuard(_ParamGuard):
    """Looks at writes of bindings; `lookup` finds their policies."""

    def __init__(self, kinds: KindRegistry, authorizer: Authorizer, lookup: Lookup) -> None:
        super().__init__(kinds, authorizer)
        self._lookup = lookup

    async def check(self, call: Call, new: JsonObject, old: JsonObject | None) -> None:
        """Refuse a new paramRef to what the user may not read. Raises ApiError 422."""
        spec, before = new.get("spec") or {}, (old or {}).get("spec") or {}
        ref = spec.get("paramRef")
        if ref is None or all(spec.get(key) == before.get(key) for key in ("paramRef", "policyName")):
            return
        policy = await self._lookup.find(VALIDATING_ADMISSION_POLICIES, "", spec.get("policyName") or "")
        param_kind = ((policy or {}).get("spec") or {}).get("paramKind")
        name = ref.get("name") or ""
        verb = "get" if name else "list"
        namespace = ref.get("namespace") or _ANY
        if not await self._may(call, verb, param_kind, namespace=namespace, name=name or _ANY):
            text = f'user {call.request.user.name} must have "{verb}" permission on the objects that paramRef names'
            raise _refusal(call, new, "spec.paramRef", text)


def _refusal(call: Call, obj: JsonObject, path: str, text: str) -> Exception:
    return invalid(
        call.kind.group, call.kind.kind, obj["metadata"].get("name") or "", [forbidden_field(path, text)]
    )


if TYPE_CHECKING:

    def _check(one: PolicyParamGuard, other: BindingParamGuard) -> tuple[WriteGuard, WriteGuard]:
        return one, other
