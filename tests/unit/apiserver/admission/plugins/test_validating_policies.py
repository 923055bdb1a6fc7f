"""Admission policies in force: actions, parameters, failures (api-machinery.md §4.9)."""

from __future__ import annotations

import json

import pytest

from k3py.api.kinds import ALL
from k3py.api.registry import KindRegistry
from k3py.api.status import ApiError
from k3py.api.user import User
from k3py.apiserver.admission.metrics import AdmissionMetrics
from k3py.apiserver.admission.plugins.validating_policies import ValidatingPolicies
from k3py.apiserver.admission.policies.index import PolicyIndex
from k3py.apiserver.interface import AdmissionRequest, Decision
from k3py.util.metrics import Registry

KINDS = KindRegistry(ALL)
RULE = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"]}
PARAM_KIND = {"apiVersion": "v1", "kind": "ConfigMap"}


class Lookup:
    """Objects by (plural, namespace, name)."""

    def __init__(self, objects):
        self._objects = objects

    async def find(self, resource, namespace, name):
        return self._objects.get((resource.plural, namespace, name))

    async def list(self, resource, namespace=""):
        return [one for key, one in self._objects.items() if key[:2] == (resource.plural, namespace)]


class Permissions:
    def __init__(self):
        self.asked = []

    async def authorize(self, attributes):
        self.asked.append(attributes)
        return Decision(allowed=attributes.verb == "get")


def params(name, labels=None, **data):
    return {("configmaps", "n", name): {"metadata": {"name": name, "labels": labels or {}}, "data": data}}


def policy(*validations, **spec):
    found = [{"expression": one} if isinstance(one, str) else one for one in validations]
    return {"matchConstraints": {"resourceRules": [RULE]}, "validations": found, **spec}


def binding(*actions, **spec):
    return {"policyName": "p", "validationActions": list(actions or ("Deny",)), **spec}


def request(operation="CREATE", plural="configmaps", **fields):
    kind = KINDS.find("", "v1", plural)
    obj = {"kind": kind.kind, "apiVersion": "v1", "metadata": {"name": "x"}, "data": {"a": "b"}}
    defaults = {"obj": obj, "name": "x", "namespace": "n" if kind.namespaced else "", "user": User(name="alice")}
    return AdmissionRequest(operation=operation, kind=kind, **defaults | fields)


def plugin(policies, bindings, objects=None, authorizer=None, metrics=None):
    index = PolicyIndex()
    for name, spec in bindings.items():
        index.handle_binding(("", name), {"spec": spec})
    for name, spec in policies.items():
        index.handle_policy(("", name), {"spec": spec})
    durations = AdmissionMetrics(metrics or Registry())
    return ValidatingPolicies(index, KINDS, Lookup(objects or {}), authorizer or Permissions(), durations)


async def judge(spec, bound=None, *, one=None, objects=None, authorizer=None):
    """Return the refusal of one policy with one binding, None = let through."""
    checker = plugin({"p": spec}, {"b": bound or binding()}, objects, authorizer)
    try:
        await checker.validate(one or request())
    except ApiError as error:
        return error
    return None


def refused(error, text):
    return error is not None and text in error.message


async def test_a_violation_is_answered_with_its_reason():
    error = await judge(policy({"expression": "false", "message": "no", "reason": "RequestEntityTooLarge"}))
    words = "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"
    assert (error.code, error.reason, error.message) == (413, "RequestEntityTooLarge", f'configmaps "x" is forbidden: {words}')
    assert error.details == {"name": "x", "kind": "configmaps", "causes": [{"message": words}]}
    assert (await judge(policy("false"))).code == 422
    assert await judge(policy("true")) is None


@pytest.mark.parametrize(
    ("validation", "text"),
    [
        ({"expression": " 1 > 2 "}, ": failed expression: 1 > 2"),
        ({"expression": "false", "messageExpression": "'said ' + string(object.data.a)", "message": "m"}, ": said b"),
        ({"expression": "false", "messageExpression": "string(object.nothing)", "message": "m"}, ": m"),
        ({"expression": "false", "messageExpression": "'a\\nb'"}, ": failed expression: false"),
        ({"expression": "object.spec.x == 1"}, "expression 'object.spec.x == 1' resulted in error: no such key: spec"),
    ],
)
async def test_what_a_refusal_says(validation, text):
    assert (await judge(policy(validation))).message.endswith(text)


async def test_warnings_do_not_refuse():
    one = request()
    assert await judge(policy("false"), binding("Warn", "Audit"), one=one) is None
    assert one.warnings == [
        "Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': failed expression: false"
    ]


async def test_errors_follow_the_failure_policy():
    for spec in (
        {"matchConditions": [{"name": "c", "expression": "object.nothing == 1"}]},
        {"auditAnnotations": [{"key": "k", "valueExpression": "string(object.nothing)"}]},
        {"validations": [{"expression": "object.nothing == 1"}]},
    ):
        assert refused(await judge(policy("true") | spec), "no such key: nothing")
        assert await judge(policy("true") | spec | {"failurePolicy": "Ignore"}) is None


async def test_conditions_decide_whether_the_policy_applies():
    spec = policy("false", matchConditions=[{"name": "c", "expression": "request.operation == 'UPDATE'"}])
    assert await judge(spec) is None
    assert await judge(spec, one=request("UPDATE", old={})) is not None


async def test_variables_objects_and_namespace():
    spec = policy(
        "variables.a == 'b' && namespaceObject.metadata.labels.env == 'test' && oldObject == null",
        variables=[{"name": "a", "expression": "object.data.a"}],
    )
    namespace = {"metadata": {"name": "n", "labels": {"env": "test"}}}
    assert await judge(spec, objects={("namespaces", "", "n"): namespace}) is None


async def test_the_authorizer_is_asked_once_for_each_question():
    permissions = Permissions()
    check = "authorizer.group('').resource('pods').namespace('n').check('{}').allowed()"
    texts = (check.format("get"), f"{check.format('get')} && {check.format('list')}")
    assert await judge(policy(*texts), authorizer=permissions) is not None
    assert [(one.verb, one.resource, one.user.name) for one in permissions.asked] == [
        ("get", "pods", "alice"), ("list", "pods", "alice"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("ref", "found", "expected"),
    [
        ({"name": "p1"}, params("p1", no="b"), "failed expression"),
        ({"name": "p1"}, params("p1", no="c"), ""),
        ({"name": "gone", "parameterNotFoundAction": "Deny"}, {}, "no params found"),
        ({"name": "gone", "parameterNotFoundAction": "Allow"}, {}, ""),
        ({"selector": {"matchLabels": {"r": "s"}}}, params("p1", {"r": "s"}, no="c") | params("p2", {"r": "s"}, no="b"), "failed expression"),
        ({"selector": {"matchLabels": {"r": "s"}}}, params("p1", {"r": "s"}, no="c") | params("p2", no="b"), ""),
        ({"name": "p1", "namespace": "other"}, params("p1", no="b"), "no params found"),
    ],
)  # fmt: skip
async def test_parameters(ref, found, expected):
    spec = policy("object.data.a != params.data.no", paramKind=PARAM_KIND)
    error = await judge(spec, binding(paramRef=ref), objects=found)
    assert refused(error, expected) if expected else error is None


async def test_parameters_that_cannot_be_found_at_all():
    namespaced = policy("true", paramKind=PARAM_KIND)
    node = request(plural="nodes")
    assert refused(await judge(namespaced, binding(paramRef={"name": "x"}), one=node), "cannot use namespaced paramRef")
    unknown = policy("true", paramKind={"apiVersion": "example.com/v1", "kind": "Gone"})
    error = await judge(unknown, binding("Warn", paramRef={"name": "x"}))
    assert refused(error, "failed to configure binding: failed to find resource referenced by paramKind")
    assert await judge(unknown | {"failurePolicy": "Ignore"}, binding(paramRef={"name": "x"})) is None


async def test_a_binding_narrows_its_policy():
    narrow = binding(matchResources={"objectSelector": {"matchLabels": {"check": "yes"}}})
    assert await judge(policy("false"), narrow) is None
    labelled = {**request().obj, "metadata": {"name": "x", "labels": {"check": "yes"}}}
    assert await judge(policy("false"), narrow, one=request(obj=labelled)) is not None


async def test_costly_expressions_end_without_holding_up_the_loop():
    tens = "[1,2,3,4,5,6,7,8,9,10]"
    loop = "true"
    for name in "abcdef":
        loop = f"{tens}.all({name}, {loop})"
    assert refused(await judge(policy(loop)), "cost limit exceeded")


async def test_only_bound_policies_are_in_force():
    assert not plugin({"p": policy("false")}, {}).handles(request())
    assert not plugin({}, {"b": binding()}).handles(request())
    bound = plugin({"p": policy("false")}, {"b": binding()})
    assert bound.handles(request())
    exempt = AdmissionRequest(
        operation="CREATE",
        kind=KINDS.find("admissionregistration.k8s.io", "v1", "validatingadmissionpolicies"),
        user=User(name="alice"),
    )
    assert not bound.handles(exempt)


async def test_audit_events_tell_of_violations_and_of_what_the_policy_notes():
    one = request(annotations={})
    spec = policy("true", "false", auditAnnotations=[{"key": "k", "valueExpression": "object.data.a + '!'"}, {"key": "n", "valueExpression": "null"}])
    assert await judge(spec, binding("Audit"), one=one) is None
    assert one.annotations["p/k"] == "b!"
    assert "p/n" not in one.annotations
    assert json.loads(one.annotations["validation.policy.admission.k8s.io/validation_failure"]) == [
        {"message": "failed expression: false", "policy": "p", "binding": "b", "expressionIndex": 1, "validationActions": ["Audit"]}
    ]


async def test_evaluations_are_counted_by_what_followed():
    metrics = Registry()
    bindings = {"a": binding("Warn", "Audit"), "b": binding(matchResources={"objectSelector": {"matchLabels": {"no": "one"}}})}
    await plugin({"p": policy("false", "object.nothing == 1")}, bindings, metrics=metrics).validate(request())
    await plugin({"p": policy("true")}, {"c": binding()}, metrics=(more := Registry())).validate(request())
    name = "apiserver_validating_admission_policy_check_total"

    def counts(registry):
        return [line.removeprefix(name) for line in registry.to_text().splitlines() if line.startswith(f"{name}{{")]

    assert sorted(counts(metrics)) == sorted(
        f'{{enforcement_action="{action}",error_type="{error}",policy="p",policy_binding="a"}} 1'
        for action in ("audit", "warn")
        for error in ("no_error", "other_error")
    )
    assert counts(more) == ['{enforcement_action="allow",error_type="no_error",policy="p",policy_binding="c"} 1']
