"""The parameters with which a binding puts a policy in force.

Source: k8s.io/apiserver/pkg/admission/plugin/policy/generic/policy_dispatcher.go (CollectParams) v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.selectors import selector_from_object
from k3py.errors import K3pyError

if TYPE_CHECKING:
    from k3py.api.registry import KindRegistry
    from k3py.apiserver.admission.lookup import Lookup
    from k3py.apiserver.admission.policies.index import Binding, Policy
    from k3py.apiserver.interface import AdmissionRequest
    from k3py.jsontypes import JsonObject


class ParamsFault(K3pyError):
    """There are no parameters, and must be."""


async def find_params(
    policy: Policy, binding: Binding, request: AdmissionRequest, kinds: KindRegistry, lookup: Lookup
) -> list[JsonObject | None]:
    """Return the parameters, one after another in force; [None] = the policy is in force without. Raises ParamsFault."""
    param_kind, ref = policy.param_kind, binding.param_ref
    if param_kind is None or ref is None:
        return [None]
    kind = kinds.find_by_kind(param_kind.get("apiVersion", ""), param_kind.get("kind", ""))
    if kind is None:
        named = f"{param_kind.get('apiVersion', '')}, Kind={param_kind.get('kind', '')}"
        raise ParamsFault(f"failed to find resource referenced by paramKind: '{named}'")
    namespace = ref.get("namespace") or ""
    if kind.namespaced:
        namespace = namespace or request.namespace
        if not namespace:
            raise ParamsFault(
                "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
            )
    elif namespace:
        raise ParamsFault("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
    found: list[JsonObject | None]
    if ref.get("name"):
        one = await lookup.find(kind.resource, namespace, ref["name"])
        found = [one] if one is not None else []
    else:
        selector = selector_from_object(ref.get("selector") or {})
        objects = await lookup.list(kind.resource, namespace)
        found = [one for one in objects if selector.matches(one["metadata"].get("labels") or {})]
    if not found and ref.get("parameterNotFoundAction") != "Allow":
        raise ParamsFault("no params found for policy binding with `Deny` parameterNotFoundAction")
    return found
