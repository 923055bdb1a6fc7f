"""Match conditions of webhooks and policies. Source: k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions v0.35."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.cel.admission import CONDITIONS_BUDGET, Evaluation
from k3py.api.cel.errors import CompilationFault, EvaluationFault
from k3py.apiserver.admission.expressions import Questions, bind_values, find_namespace
from k3py.apiserver.admission.review import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from k3py.api.cel.program import Program
    from k3py.api.kind import Kind
    from k3py.apiserver.admission.lookup import Lookup
    from k3py.apiserver.interface import AdmissionRequest, Authorizer
    from k3py.jsontypes import JsonObject, JsonValue


async def check_conditions(
    conditions: Callable[[], Sequence[tuple[str, Program]]],
    request: AdmissionRequest,
    kind: Kind,
    objects: tuple[JsonObject | None, JsonObject | None],
    *,
    lookup: Lookup,
    authorizer: Authorizer,
) -> bool | str:
    """Say whether all conditions hold, or what went wrong so that nobody can say; one that does not hold counts more than errors."""
    try:
        programs = conditions()
    except CompilationFault as fault:
        return f"failed to compile match conditions: {fault}"
    questions = Questions(authorizer, request.user)
    values = bind_values(request, describe(request, kind), kind, objects, questions)
    if any("namespaceObject" in program.used for _, program in programs):
        values["namespaceObject"] = await find_namespace(request, lookup)
    return await questions.settle(lambda patience: evaluate_conditions(programs, values, patience))


def evaluate_conditions(
    programs: Sequence[tuple[str, Program]], values: dict[str, JsonValue], patience: int | None
) -> bool | str:
    """See `check_conditions`. Raises NeedsTime."""
    evaluation = Evaluation(values, budget=CONDITIONS_BUDGET, patience=patience)
    faults = []
    for name, program in programs:
        try:
            if evaluation.run(program) is not True:
                return False
        except EvaluationFault as fault:
            faults.append(f"expression of match condition '{name}' resulted in error: {fault}")
    return "; ".join(faults) or True
