"""Type checks of admission policies: what is warned of, and that a change is looked at once."""

from __future__ import annotations

import pytest

from k3py.api.kinds import ALL
from k3py.api.resource import VALIDATING_ADMISSION_POLICIES
from k3py.apiserver.crd.kinds import build_kinds
from k3py.controllers.policy import admission_policy_status
from tests.support.controllers import World


def rule(group="apps", resource="deployments", version="v1"):
    return {"apiGroups": [group], "apiVersions": [version], "operations": ["CREATE"], "resources": [resource]}


def policy(*expressions, rules=None, **spec):
    return {
        "kind": "ValidatingAdmissionPolicy",
        "apiVersion": "admissionregistration.k8s.io/v1",
        "metadata": {"name": "p", "uid": "u", "generation": 2},
        "spec": {
            "matchConstraints": {"resourceRules": rules or [rule()]},
            "validations": [{"expression": one} for one in expressions],
            **spec,
        },
    }


async def checked(given, kinds=ALL):
    """Return the status after the controller has seen the policy."""
    world = World(kinds)
    world.client.seed(VALIDATING_ADMISSION_POLICIES, given)

    def status():
        return world.client.objects(VALIDATING_ADMISSION_POLICIES)[0].get("status") or {}

    async with world.running(admission_policy_status.build):
        await world.until(lambda: status().get("observedGeneration") == 2)
    return status()


@pytest.mark.parametrize(
    "expression",
    [
        "object.spec.replicas < 5 && object.spec.template.spec.containers.all(c, c.image.startsWith('a/'))",
        "object.metadata.creationTimestamp < timestamp('2030-01-01T00:00:00Z')",
        "object.metadata.labels['a'] == 'b' && has(object.spec.paused) && oldObject == null",
        "variables.names.exists(n, n == 'x') && params.data['least'] == '1'",
    ],
)
async def test_sound_expressions(expression):
    variables = [{"name": "names", "expression": "object.spec.template.spec.containers.map(c, c.name)"}]
    given = policy(expression, variables=variables, paramKind={"apiVersion": "v1", "kind": "ConfigMap"})
    assert await checked(given) == {"observedGeneration": 2, "typeChecking": {}}


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("object.spec.replica < 5", "undefined field 'replica'"),
        ("object.spec.replicas < '5'", "found no matching overload"),
        ("object.spec.template.spec.containers.all(c, c.imag == '')", "undefined field 'imag'"),
    ],
)
async def test_what_does_not_fit_is_warned_of(expression, text):
    ((found,),) = [(await checked(policy("true", expression)))["typeChecking"]["expressionWarnings"]]
    assert found["fieldRef"] == "spec.validations[1].expression"
    assert found["warning"].startswith("apps/v1, Kind=Deployment: ERROR: ")
    assert text in found["warning"]


async def test_each_kind_has_its_say():
    rules = [rule(), rule("", "configmaps"), rule(resource="statefulsets")]
    (found,) = (await checked(policy("object.data.size() > 1", rules=rules)))["typeChecking"]["expressionWarnings"]
    assert [line.partition(":")[0] for line in found["warning"].splitlines()] == [
        "apps/v1, Kind=Deployment", "apps/v1, Kind=StatefulSet",
    ]  # fmt: skip


async def test_messages_are_checked_too():
    given = policy("true")
    given["spec"]["validations"][0]["messageExpression"] = "object.spec.nothing"
    (found,) = (await checked(given))["typeChecking"]["expressionWarnings"]
    assert found["fieldRef"] == "spec.validations[0].messageExpression"


@pytest.mark.parametrize(
    "rules",
    [[rule("gone.example.com", "gadgets")], [rule("*")], [rule(version="*")], [rule(resource="*")], [rule(resource="deployments/scale")]],
)  # fmt: skip
async def test_kinds_that_are_not_named_are_not_checked(rules):
    assert (await checked(policy("object.spec.whatever == 1", rules=rules)))["typeChecking"] == {}


async def test_custom_kinds_are_checked_by_their_schema():
    properties = {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object", "properties": properties}}}
    names = {"kind": "Widget", "plural": "widgets", "singular": "widget", "listKind": "WidgetList"}
    spec = {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version], "conversion": {"strategy": "None"}}
    custom = build_kinds({"metadata": {"name": "widgets.example.com"}, "spec": spec}).served
    given = policy("object.spec.size > 1 && object.metadata.name != ''", "object.spec.sice > 1", rules=[rule("example.com", "widgets")])
    (found,) = (await checked(given, (*ALL, *custom)))["typeChecking"]["expressionWarnings"]
    assert found["fieldRef"] == "spec.validations[1].expression"
    assert "example.com/v1, Kind=Widget: " in found["warning"]
