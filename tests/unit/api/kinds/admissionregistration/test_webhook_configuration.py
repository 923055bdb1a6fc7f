"""Configurations of admission webhooks: what is refused, and where the fault is said to be."""

from __future__ import annotations

import pytest

from k3py.api.kinds.admissionregistration.mutating_webhook_configuration import KIND as MUTATING
from k3py.api.kinds.admissionregistration.validating_webhook_configuration import KIND as VALIDATING

RULE = {
    "operations": ["CREATE"],
    "apiGroups": [""],
    "apiVersions": ["v1"],
    "resources": ["pods"],
    "scope": "*",
}


def webhook(**fields):
    """Return a webhook that is right but for `fields`."""
    return {
        "name": "a.example.com",
        "clientConfig": {"url": "https://hook.example/x"},
        "rules": [RULE],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 10,
        **fields,
    }


def faults(*webhooks, kind=VALIDATING, old=None):
    """Return (reason, field) of what is wrong."""
    obj = {"metadata": {"name": "w"}, "webhooks": list(webhooks)}
    found = kind.strategy.validate_update(obj, old) if old else kind.strategy.validate(obj)
    return [(one.reason.removeprefix("FieldValue"), one.path.removeprefix("webhooks[0].")) for one in found]


def test_a_right_one_is_accepted():
    assert faults(webhook(), webhook(name="b.example.com")) == []
    assert faults(webhook(matchConditions=[{"name": "a", "expression": "object.metadata.name == 'x'"}])) == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"name": ""}, ("Required", "name")),
        ({"name": "two.parts"}, ("Invalid", "name")),
        ({"sideEffects": None}, ("Required", "sideEffects")),
        ({"sideEffects": "Some"}, ("NotSupported", "sideEffects")),
        ({"timeoutSeconds": 31}, ("Invalid", "timeoutSeconds")),
        ({"failurePolicy": "Odd"}, ("NotSupported", "failurePolicy")),
        ({"matchPolicy": "Odd"}, ("NotSupported", "matchPolicy")),
        ({"admissionReviewVersions": []}, ("Required", "admissionReviewVersions")),
        ({"admissionReviewVersions": ["v9"]}, ("Invalid", "admissionReviewVersions")),
        ({"admissionReviewVersions": ["v1", "v1"]}, ("Invalid", "admissionReviewVersions[1]")),
        ({"clientConfig": {}}, ("Required", "clientConfig")),
        ({"clientConfig": {"url": "http://h/x"}}, ("Invalid", "clientConfig.url")),
        ({"clientConfig": {"url": "https://u:p@h/x"}}, ("Invalid", "clientConfig.url")),
        ({"clientConfig": {"url": "https://h/x?y"}}, ("Invalid", "clientConfig.url")),
        ({"clientConfig": {"url": "https://h/x#y"}}, ("Invalid", "clientConfig.url")),
        ({"clientConfig": {"url": "https:///x"}}, ("Invalid", "clientConfig.url")),
        ({"clientConfig": {"service": {"name": "s", "port": 443}}}, ("Required", "clientConfig.service.name")),
        ({"clientConfig": {"service": {"name": "s", "namespace": "n", "port": 0}}}, ("Invalid", "clientConfig.service.port")),
        ({"clientConfig": {"service": {"name": "s", "namespace": "n", "path": "x"}}}, ("Invalid", "clientConfig.service.path")),
        ({"clientConfig": {"service": {"name": "s", "namespace": "n", "path": "/a//b"}}}, ("Invalid", "clientConfig.service.path")),
        ({"rules": [RULE | {"operations": ["ODD"]}]}, ("NotSupported", "rules[0].operations[0]")),
        ({"rules": [RULE | {"operations": ["*", "CREATE"]}]}, ("Invalid", "rules[0].operations")),
        ({"rules": [RULE | {"apiGroups": []}]}, ("Required", "rules[0].apiGroups")),
        ({"rules": [RULE | {"apiVersions": [""]}]}, ("Required", "rules[0].apiVersions[0]")),
        ({"rules": [RULE | {"resources": ["*/*", "pods"]}]}, ("Invalid", "rules[0].resources")),
        ({"rules": [RULE | {"resources": ["*", "pods"]}]}, ("Invalid", "rules[0].resources")),
        ({"rules": [RULE | {"resources": ["pods/*", "pods/log"]}]}, ("Invalid", "rules[0].resources[1]")),
        ({"rules": [RULE | {"resources": ["*/scale", "pods/scale"]}]}, ("Invalid", "rules[0].resources[1]")),
        ({"rules": [RULE | {"scope": "Odd"}]}, ("NotSupported", "rules[0].scope")),
        ({"objectSelector": {"matchExpressions": [{"key": "a", "operator": "Odd"}]}}, ("Invalid", "objectSelector.matchExpressions[0].operator")),
        ({"matchConditions": [{"name": "a", "expression": "1 +"}]}, ("Invalid", "matchConditions[0].expression")),
        ({"matchConditions": [{"name": "a", "expression": "'x'"}]}, ("Invalid", "matchConditions[0].expression")),
        ({"matchConditions": [{"name": "a", "expression": "params.x"}]}, ("Invalid", "matchConditions[0].expression")),
        ({"matchConditions": [{"name": "", "expression": "true"}]}, ("Required", "matchConditions[0].name")),
        ({"matchConditions": [{"name": "a", "expression": "true"}] * 2}, ("Duplicate", "matchConditions[1].name")),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(fields, expected):
    assert faults(webhook(**fields)) == [expected]


def test_names_are_told_apart():
    assert faults(webhook(), webhook()) == [("Duplicate", "webhooks[1].name")]


def test_only_mutating_ones_are_invoked_again():
    again = webhook(reinvocationPolicy="Odd")
    assert faults(again, kind=MUTATING) == [("NotSupported", "reinvocationPolicy")]
    assert faults(again) == []


def test_a_condition_that_has_not_changed_is_let_through():
    broken = webhook(matchConditions=[{"name": "a", "expression": "1 +"}])
    assert faults(broken, old={"metadata": {"name": "w"}, "webhooks": [broken]}) == []


def test_the_generation_goes_up_with_the_webhooks():
    old = {"metadata": {"name": "w", "generation": 1}, "webhooks": [webhook()]}
    labelled = {"metadata": {"name": "w", "labels": {"a": "b"}}, "webhooks": [webhook()]}
    changed = {"metadata": {"name": "w"}, "webhooks": [webhook(timeoutSeconds=3)]}
    for new, generation in ((labelled, 1), (changed, 2)):
        VALIDATING.strategy.prepare_update(new, old, None)
        assert new["metadata"]["generation"] == generation
