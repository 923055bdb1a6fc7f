"""What a policy says of a request. Source: k8s.io/apiserver/pkg/admission/plugin/policy/validating/validator.go v0.35."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from k3py.api.cel.admission import Evaluation
from k3py.api.cel.errors import EvaluationFault
from k3py.apiserver.admission.conditions import evaluate_conditions

if TYPE_CHECKING:
    from k3py.apiserver.admission.policies.index import Policy, Validation
    from k3py.jsontypes import JsonValue

_LONGEST_MESSAGE: Final = 5 * 1024


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that a request does not keep to; `index` of the validation.

    is_fault: nobody can say whether it does. is_forced: it refuses whatever the binding's actions are.
    """

    message: str
    index: int = 0
    reason: str = "Invalid"
    is_fault: bool = False
    is_forced: bool = False


@dataclass(slots=True)
class Outcome:
    """All violations, and values of audit annotations by key."""

    violations: list[Violation] = field(default_factory=list)
    annotations: dict[str, str] = field(default_factory=dict)


def evaluate_policy(policy: Policy, values: dict[str, JsonValue], patience: int | None) -> Outcome:
    """Evaluate all; what cannot be evaluated is a violation unless the policy ignores failures. Raises NeedsTime."""
    programs = policy.programs
    matches = evaluate_conditions(programs.conditions, values, patience)
    if matches is not True:
        return Outcome(
            [Violation(matches, is_fault=True)] if isinstance(matches, str) and policy.fails else []
        )
    evaluation = Evaluation(values, programs.variables, patience=patience)
    outcome = Outcome()
    found = outcome.violations
    for index, one in enumerate(programs.validations):
        try:
            if evaluation.run(one.program) is not True:
                found.append(Violation(_say(evaluation, one), index, one.reason))
        except EvaluationFault as fault:
            if policy.fails:
                found.append(
                    Violation(f"expression '{one.text}' resulted in error: {fault}", index, is_fault=True)
                )
    for key, program in programs.annotations:
        try:
            value = evaluation.run(program)
        except EvaluationFault as fault:
            if policy.fails:
                found.append(Violation(f"audit annotation {key}: {fault}", is_fault=True, is_forced=True))
        else:
            if isinstance(value, str) and value.strip():
                outcome.annotations[key] = value.strip()
    return outcome


def _say(evaluation: Evaluation, one: Validation) -> str:
    if one.message is None:
        return one.words
    try:
        text = evaluation.run(one.message)
    except EvaluationFault:
        return one.words
    if not isinstance(text, str) or len(text) > _LONGEST_MESSAGE or "\n" in text.strip() or not text.strip():
        return one.words
    return text.strip()
