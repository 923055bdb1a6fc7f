"""Admission policies and their bindings: what is refused, and where the fault is said to be."""

from __future__ import annotations

import pytest

from k3py.api.kinds.admissionregistration.validating_admission_policy import KIND as POLICY
from k3py.api.kinds.admissionregistration.validating_admission_policy_binding import KIND as BINDING

RULE = {
    "operations": ["CREATE"],
    "apiGroups": [""],
    "apiVersions": ["v1"],
    "resources": ["pods"],
    "scope": "*",
}
MATCH = {"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}, "resourceRules": [RULE]}
NONE = {"validations": None}


def faults(**fields):
    """Return (reason, field) of what is wrong with a policy that is right but for `fields`."""
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": MATCH,
        "validations": [{"expression": "true"}],
        **fields,
    }
    found = POLICY.strategy.validate({"metadata": {"name": "p"}, "spec": spec})
    return [(one.reason.removeprefix("FieldValue"), one.path.removeprefix("spec.")) for one in found]


def validation(expression="true", **fields):
    """Return a policy's fields with one validation."""
    return {"validations": [{"expression": expression, **fields}]}


def test_a_rich_one_is_accepted():
    variables = [
        {"name": "user", "expression": "request.userInfo"},
        {"name": "n", "expression": "object.metadata.name"},
    ]
    text = (
        "variables.user.username == 'a' && variables.n.size() > params.least && namespaceObject.metadata.name != 'x' "
        "&& authorizer.group('').resource('pods').namespace('x').check('get').allowed() "
        "&& authorizer.requestResource.check('update').allowed() && authorizer.path('/healthz').check('get').allowed()"
    )
    assert faults(
        paramKind={"apiVersion": "v1", "kind": "ConfigMap"},
        variables=variables,
        validations=[{"expression": text, "messageExpression": "string(variables.n)", "reason": "Forbidden"}],
        matchConditions=[{"name": "c", "expression": "oldObject == null"}],
        auditAnnotations=[{"key": "k", "valueExpression": "null"}, {"key": "l", "valueExpression": "'x'"}],
    ) == []  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"failurePolicy": "Odd"}, ("NotSupported", "failurePolicy")),
        ({"matchConstraints": None}, ("Required", "matchConstraints")),
        ({"matchConstraints": MATCH | {"matchPolicy": "Odd"}}, ("NotSupported", "matchConstraints.matchPolicy")),
        ({"matchConstraints": MATCH | {"resourceRules": []}}, ("Required", "matchConstraints.resourceRules")),
        ({"paramKind": {"apiVersion": "a/b/c", "kind": "X"}}, ("Invalid", "paramKind.apiVersion")),
        ({"paramKind": {"apiVersion": "v1"}}, ("Required", "paramKind.kind")),
        ({"variables": [{"name": "1x", "expression": "1"}]}, ("Invalid", "variables[0].name")),
        ({"variables": [{"name": "for", "expression": "1"}]}, ("Invalid", "variables[0].name")),
        ({"variables": [{"name": "a", "expression": "variables.b"}, {"name": "b", "expression": "1"}]}, ("Invalid", "variables[0].expression")),
        (validation("object."), ("Invalid", "validations[0].expression")),
        (validation("1 + 1"), ("Invalid", "validations[0].expression")),
        (validation("object.ready"), ("Invalid", "validations[0].expression")),
        (validation("params.x == 1"), ("Invalid", "validations[0].expression")),
        (validation("request.nothing == 'x'"), ("Invalid", "validations[0].expression")),
        (validation(message="a\nb"), ("Invalid", "validations[0].message")),
        (validation(message=" "), ("Invalid", "validations[0].message")),
        (validation("true ||\nfalse"), ("Required", "validations[0].message")),
        (validation(reason="Unauthorized"), ("NotSupported", "validations[0].reason")),
        (validation(messageExpression="1"), ("Invalid", "validations[0].messageExpression")),
        (validation(messageExpression="authorizer.path('/').check('get').reason()"), ("Invalid", "validations[0].messageExpression")),
        ({"matchConditions": [{"name": "x", "expression": "variables.a"}]}, ("Invalid", "matchConditions[0].expression")),
        ({"auditAnnotations": [{"key": "Bad Key!", "valueExpression": "'x'"}]}, ("Invalid", "auditAnnotations[0].key")),
        ({"auditAnnotations": [{"key": "k", "valueExpression": "1"}]}, ("Invalid", "auditAnnotations[0].valueExpression")),
        ({"auditAnnotations": [{"key": "k", "valueExpression": "'x'"}] * 2}, ("Duplicate", "auditAnnotations[1].key")),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_policy_is_named(fields, expected):
    assert faults(**fields) == [expected]


def test_a_policy_must_do_something():
    assert faults(validations=[]) == [("Required", "validations"), ("Required", "auditAnnotations")]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, []),
        ({"policyName": ""}, [("Required", "policyName")]),
        ({"validationActions": []}, [("Required", "validationActions")]),
        ({"validationActions": ["Odd"]}, [("NotSupported", "validationActions[0]")]),
        ({"validationActions": ["Deny", "Deny"]}, [("Duplicate", "validationActions[1]")]),
        ({"validationActions": ["Deny", "Warn"]}, [("Invalid", "validationActions")]),
        ({"paramRef": {"name": "x"}}, [("Required", "paramRef.parameterNotFoundAction")]),
        ({"paramRef": {"parameterNotFoundAction": "Deny"}}, [("Required", "paramRef")]),
        ({"paramRef": {"name": "x", "selector": {}, "parameterNotFoundAction": "Deny"}}, [("Forbidden", "paramRef.name"), ("Forbidden", "paramRef.selector")]),
        ({"matchResources": {"matchPolicy": "Odd", "namespaceSelector": {}, "objectSelector": {}}}, [("NotSupported", "matchResources.matchPolicy")]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_binding_is_named(fields, expected):
    spec = {"policyName": "p", "validationActions": ["Deny"], **fields}
    found = BINDING.strategy.validate({"metadata": {"name": "b"}, "spec": spec})
    assert [
        (one.reason.removeprefix("FieldValue"), one.path.removeprefix("spec.")) for one in found
    ] == expected


def test_columns():
    policy = {"spec": {"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}, "validations": [{}]}}
    assert [one.value(policy, None) for one in POLICY.columns[1:3]] == [1, "v1/ConfigMap"]
    binding = {"spec": {"policyName": "p", "paramRef": {"name": "x", "namespace": "n"}}}
    assert [one.value(binding, None) for one in BINDING.columns[1:3]] == ["p", "n/x"]


def test_a_warning_of_the_status_names_its_field():
    status = {"typeChecking": {"expressionWarnings": [{"fieldRef": "f", "warning": "w"}, {"warning": "w"}]}}
    (found,) = POLICY.strategy.validate_status_update({"status": status}, {})
    assert (found.reason, found.path) == ("FieldValueRequired", "status.typeChecking.expressionWarnings[1].fieldRef")


def test_there_are_at_most_twenty_audit_annotations():
    annotations = [{"key": f"k{number}", "valueExpression": "'x'"} for number in range(21)]
    assert faults(auditAnnotations=annotations) == [("Invalid", "auditAnnotations")]
