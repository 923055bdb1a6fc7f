"""Expressions of admission: variables are lazy, answers of the authorizer are asked for, costs are bounded."""

from __future__ import annotations

import pytest

from k3py.api.cel.admission import Environment, Evaluation, OutOfBudget
from k3py.api.cel.errors import EvaluationFault
from k3py.api.cel.libraries.authorizer import Authorizer, Check, ResourceCheck, Verdict


def test_a_variable_is_evaluated_once_and_only_when_used():
    environment = Environment()
    asked = []

    def decide(check):
        asked.append(check)
        return Verdict(allowed=True)

    variables = {
        "may": environment.add_variable("may", "authorizer.path('/x').check('get').allowed()"),
        "broken": environment.add_variable("broken", "object.nothing"),
    }
    program = environment.compile_validation("variables.may && variables.may")
    broken = environment.compile_validation("variables.broken == 1")
    evaluation = Evaluation({"object": {}, "authorizer": Authorizer(Check(), decide)}, variables)
    assert not asked
    assert evaluation.run(program) is True
    assert asked == [Check(verb="get", path="/x")]
    with pytest.raises(
        EvaluationFault, match=r'composited variable "broken" fails to evaluate: no such key: nothing'
    ):
        evaluation.run(broken)


def test_questions_to_the_authorizer_name_what_they_are_about():
    asked = []

    def decide(check):
        asked.append(check)
        return Verdict(allowed=False, reason="no")

    text = (
        "authorizer.serviceAccount('n', 's').group('apps').resource('deployments').subresource('scale').namespace('x')"
        ".name('d').check('update').reason() == 'no' && !authorizer.requestResource.check('patch').allowed()"
    )
    values = {
        "authorizer": Authorizer(Check(), decide),
        "authorizer.requestResource": ResourceCheck(Check(resource="pods", namespace="n"), decide),
    }
    assert Evaluation(values).run(Environment().compile_validation(text)) is True
    deployment = Check(
        verb="update", service_account="system:serviceaccount:n:s", group="apps", resource="deployments",
        subresource="scale", namespace="x", name="d",
    )  # fmt: skip
    assert asked == [deployment, Check(verb="patch", resource="pods", namespace="n")]


def test_costs_are_bounded_alone_and_together():
    tens = "[1,2,3,4,5,6,7,8,9,10]"
    loop = "true"
    for name in "abcdefg":
        loop = f"{tens}.all({name}, {loop})"
    costly = Environment().compile_validation(loop)
    evaluation = Evaluation({}, budget=1_500_000)
    with pytest.raises(EvaluationFault, match="cost limit exceeded"):
        evaluation.run(costly)
    with pytest.raises(OutOfBudget, match="cost budget"):
        evaluation.run(costly)
