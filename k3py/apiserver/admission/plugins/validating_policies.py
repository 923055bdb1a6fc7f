"""Refuses, warns of, or notes in audit events what violates an admission policy.

Source: k8s.io/apiserver/pkg/admission/plugin/policy/validating/dispatcher.go v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from k3py.api.status import ApiError
from k3py.apiserver.admission.matching import is_exempt
from k3py.apiserver.admission.plugins.base import BasePlugin, refuse
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.api.kind import Kind
    from k3py.api.registry import KindRegistry
    from k3py.apiserver.admission.lookup import Lookup
    from k3py.apiserver.admission.metrics import AdmissionMetrics
    from k3py.apiserver.admission.policies.evaluation import Violation
    from k3py.apiserver.admission.policies.index import Binding, Policy, PolicyIndex
    from k3py.apiserver.interface import AdmissionRequest, Authorizer
    from k3py.jsontypes import JsonObject

_FAILURES: Final = "validation.policy.admission.k8s.io/validation_failure"
_CODES: Final = {"Forbidden": 403, "Unauthorized": 401, "RequestEntityTooLarge": 413, "Invalid": 422}


class ValidatingPolicies(BasePlugin):
    """See the module."""

    name = "ValidatingAdmissionPolicy"

    def __init__(
        self,
        index: PolicyIndex,
        kinds: KindRegistry,
        lookup: Lookup,
        authorizer: Authorizer,
        metrics: AdmissionMetrics,
    ) -> None:
        self._index = index
        self._kinds = kinds
        self._lookup = lookup
        self._authorizer = authorizer
        self._metrics = metrics

    def handles(self, request: AdmissionRequest) -> bool:
        """See everything, as long as a policy is in force, but what configures admission."""
        return bool(self._index) and not is_exempt(request.kind)

    async def validate(self, request: AdmissionRequest) -> None:
        """Refuse the first violation that a binding denies, and warn of all that bindings warn of. Raises ApiError."""
        denied: list[ApiError] = []
        noted: list[JsonObject] = []
        for policy, bindings in self._index:
            kind = await policy.criteria.match(request, self._kinds, self._lookup)
            if kind is not None:
                denied += await self._judge(policy, bindings, request, kind, noted)
        if noted:
            request.annotate(_FAILURES, orjson.dumps(noted).decode())
        if denied:
            raise denied[0]

    async def _judge(
        self,
        policy: Policy,
        bindings: Sequence[Binding],
        request: AdmissionRequest,
        kind: Kind,
        noted: list[JsonObject],
    ) -> list[ApiError]:
        from k3py.apiserver.admission.policies.judgement import Judgement  # noqa: PLC0415 - brings the expression language

        judgement = Judgement(policy, request, kind, self._kinds, self._lookup, self._authorizer)
        denied: list[ApiError] = []
        for binding in bindings:
            # A binding may name another version than the policy does; the policy's is what expressions see.
            criteria = binding.criteria
            if criteria is not None and await criteria.match(request, self._kinds, self._lookup) is None:
                continue
            began_s = clock.monotonic_s()
            violations = await judgement.find_violations(binding)
            if not violations:
                self._metrics.observe_policy(policy.name, binding.name, "allow", began_s, failed=False)
            for violation in violations:
                for action in ("Deny",) if violation.is_forced else binding.actions:
                    self._metrics.observe_policy(
                        policy.name, binding.name, action.lower(), began_s, failed=violation.is_fault
                    )
                if violation.is_forced or "Deny" in binding.actions:
                    denied.append(_refusal(policy, binding, request, violation))
                if "Warn" in binding.actions and not violation.is_forced:
                    request.warnings.append(
                        f"Validation failed for ValidatingAdmissionPolicy '{policy.name}' with binding "
                        f"'{binding.name}': {violation.message}"
                    )
                if "Audit" in binding.actions and not violation.is_forced:
                    noted.append(_note(policy, binding, violation))
        judgement.annotate()
        return denied


def _note(policy: Policy, binding: Binding, violation: Violation) -> JsonObject:
    """Return a violation as audit events show it."""
    return {
        "message": violation.message,
        "policy": policy.name,
        "binding": binding.name,
        "expressionIndex": violation.index,
        "validationActions": list(binding.actions),
    }


def _refusal(policy: Policy, binding: Binding, request: AdmissionRequest, violation: Violation) -> ApiError:
    message = f"ValidatingAdmissionPolicy '{policy.name}' with binding '{binding.name}' denied request: {violation.message}"
    error = refuse(request, message)
    details = {**(error.details or {}), "causes": [{"message": message}]}
    return ApiError(_CODES[violation.reason], violation.reason, error.message, details=details)
