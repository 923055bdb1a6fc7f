"""One request under one policy, for all bindings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.cel.errors import CompilationFault
from k3py.apiserver.admission.expressions import Questions, bind_values, find_namespace
from k3py.apiserver.admission.matching import convert
from k3py.apiserver.admission.policies.evaluation import Violation, evaluate_policy
from k3py.apiserver.admission.policies.params import ParamsFault, find_params
from k3py.apiserver.admission.review import describe

if TYPE_CHECKING:
    from k3py.api.kind import Kind
    from k3py.api.registry import KindRegistry
    from k3py.apiserver.admission.lookup import Lookup
    from k3py.apiserver.admission.policies.index import Binding, Policy
    from k3py.apiserver.interface import AdmissionRequest, Authorizer
    from k3py.jsontypes import JsonValue


class Judgement:
    """Evaluates the policy; `kind` is the version that it speaks of."""

    def __init__(
        self,
        policy: Policy,
        request: AdmissionRequest,
        kind: Kind,
        kinds: KindRegistry,
        lookup: Lookup,
        authorizer: Authorizer,
    ) -> None:
        self._policy = policy
        self._request = request
        self._kind = kind
        self._kinds = kinds
        self._lookup = lookup
        self._questions = Questions(authorizer, request.user)
        self._values: dict[str, JsonValue] | None = None
        self._annotations: dict[str, list[str]] = {}

    async def find_violations(self, binding: Binding) -> list[Violation]:
        """Return what a binding has to object to. Raises ApiError: the object cannot be converted."""
        policy, request = self._policy, self._request
        try:
            params = await find_params(policy, binding, request, self._kinds, self._lookup)
        except ParamsFault as fault:
            text = f"failed to configure binding: {fault}"
            return [Violation(text, is_fault=True, is_forced=True)] if policy.fails else []
        try:
            programs = policy.programs
        except CompilationFault as fault:
            text = f"failed to configure policy: {fault}"
            return [Violation(text, is_fault=True, is_forced=True)] if policy.fails else []
        if self._values is None:
            self._values = await self._bind(needs_namespace=programs.uses("namespaceObject"))
        found: list[Violation] = []
        for one in params:
            values = {**self._values, "params": one}
            outcome = await self._questions.settle(
                lambda patience, values=values: evaluate_policy(policy, values, patience)  # type: ignore[misc]
            )
            found += outcome.violations
            for key, value in outcome.annotations.items():
                self._annotations.setdefault(key, []).append(value)
        return found

    def annotate(self) -> None:
        """Write what the policy has to say to audit events, once all bindings are through."""
        for key, values in self._annotations.items():
            self._request.annotate(f"{self._policy.name}/{key}", ", ".join(dict.fromkeys(values)))

    async def _bind(self, *, needs_namespace: bool) -> dict[str, JsonValue]:
        request, kind = self._request, self._kind
        objects = (await convert(request, kind, request.obj), await convert(request, kind, request.old))
        values = bind_values(request, describe(request, kind), kind, objects, self._questions)
        if needs_namespace:
            values["namespaceObject"] = await find_namespace(request, self._lookup)
        return values
