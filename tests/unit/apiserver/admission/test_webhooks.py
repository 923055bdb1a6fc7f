"""Webhooks in the chain: order, patches, second invocations, refusals, failures (api-machinery.md §4.8)."""

from __future__ import annotations

import base64

import orjson
import pytest

from k3py.api.kinds import ALL
from k3py.api.registry import KindRegistry
from k3py.api.schema import load_schema
from k3py.api.status import ApiError
from k3py.api.user import User
from k3py.apiserver.admission.chain import AdmissionChain
from k3py.apiserver.admission.metrics import AdmissionMetrics
from k3py.apiserver.admission.plugins.mutating_webhooks import MutatingWebhooks
from k3py.apiserver.admission.plugins.validating_webhooks import ValidatingWebhooks
from k3py.apiserver.admission.webhooks.client import CallFault
from k3py.apiserver.admission.webhooks.dispatch import WebhookDispatch
from k3py.apiserver.admission.webhooks.index import WebhookIndex
from k3py.apiserver.interface import AdmissionRequest, Decision
from k3py.apiserver.registry.builtin_schemas import BuiltinSchemas
from k3py.util.metrics import Registry

KINDS = KindRegistry(ALL)
SCHEMAS = BuiltinSchemas(load_schema())
RULE = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"]}


class Lookup:
    async def find(self, resource, namespace, name):
        return None


class Permissions:
    async def authorize(self, attributes):
        return Decision(allowed=attributes.verb == "get")


class Client:
    """Answers by name: a response, or an error to raise; remembers who was asked what."""

    def __init__(self, answers):
        self._answers = answers
        self.asked = []

    async def ask(self, hook, request, *, may_patch):
        self.asked.append((hook.name, orjson.loads(orjson.dumps(request))))
        answer = self._answers.get(hook.name, {"allowed": True})
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, Exception):
            raise answer
        return answer


def patch(*operations):
    return {"allowed": True, "patch": base64.b64encode(orjson.dumps(list(operations))).decode()}


def set_data(key, value="1"):
    return patch({"op": "add", "path": f"/data/{key}", "value": value})


def hook(name, **fields):
    return {"name": name, "rules": [RULE], "sideEffects": "None", "clientConfig": {"url": "https://h/x"}, **fields}


def request(operation="CREATE", *, plural="configmaps", group="", **fields):
    obj = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "x", "namespace": "n"}, "data": {"a": "b"}}
    defaults = {"obj": obj, "name": "x", "namespace": "n", "user": User(name="alice", groups=("dev",))}
    return AdmissionRequest(operation=operation, kind=KINDS.find(group, "v1", plural), **defaults | fields)


async def run(one, answers=None, *, mutating=(), validating=(), metrics=None):
    """Send a request through webhooks (configuration name → its webhooks); return who was asked."""
    client = Client(answers or {})
    dispatch = WebhookDispatch(client, KINDS, Lookup(), Permissions(), AdmissionMetrics(metrics or Registry()))
    indexes = []
    for configurations in (mutating, validating):
        index = WebhookIndex()
        for name, hooks in dict(configurations).items():
            index.handle(("", name), {"webhooks": hooks})
        indexes.append(index)
    chain = AdmissionChain(
        (MutatingWebhooks(indexes[0], dispatch, SCHEMAS), ValidatingWebhooks(indexes[1], dispatch))
    )
    await chain.admit(one)
    await chain.validate(one)
    return client.asked


async def refusal(one, answers=None, **configurations):
    with pytest.raises(ApiError) as caught:
        await run(one, answers, **configurations)
    return caught.value


async def test_they_are_asked_in_order_and_see_what_those_before_changed():
    one = request()
    asked = await run(
        one,
        {"b": set_data("b"), "a": set_data("c")},
        mutating={"second": [hook("a")], "first": [hook("b"), hook("c")]},
        validating={"v": [hook("v")]},
    )
    assert [name for name, _ in asked] == ["b", "c", "a", "v"]
    assert [seen["object"]["data"] for _, seen in asked] == [
        {"a": "b"}, {"a": "b", "b": "1"}, {"a": "b", "b": "1"}, {"a": "b", "b": "1", "c": "1"},
    ]  # fmt: skip
    assert one.obj["data"] == {"a": "b", "b": "1", "c": "1"}


async def test_the_request_is_described():
    ((_, seen),) = await run(request(options={"fieldManager": "t"}), validating={"v": [hook("v")]})
    kind, resource = ({"group": "", "version": "v1", key: value} for key, value in (("kind", "ConfigMap"), ("resource", "configmaps")))
    assert seen == {
        "kind": kind, "requestKind": kind, "resource": resource, "requestResource": resource,
        "name": "x", "namespace": "n", "operation": "CREATE", "userInfo": {"username": "alice", "groups": ["dev"]},
        "dryRun": False, "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "t"},
        "object": request().obj, "oldObject": None,
    }  # fmt: skip


async def test_who_wants_to_is_asked_again_after_a_later_change():
    again = hook("again", reinvocationPolicy="IfNeeded")
    asked = await run(request(), {"later": set_data("k")}, mutating={"m": [again, hook("once"), hook("later")]})
    assert [name for name, _ in asked] == ["again", "once", "later", "again"]
    asked = await run(request(), mutating={"m": [again, hook("later")]})
    assert [name for name, _ in asked] == ["again", "later"]


async def test_an_unknown_field_of_a_patch_is_dropped_and_defaults_are_filled_in():
    one = request(plural="secrets", obj={"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "x"}, "type": "t"})
    changes = [{"op": "add", "path": "/nothing", "value": 1}, {"op": "remove", "path": "/type"}]
    await run(one, {"m": patch(*changes)}, mutating={"m": [hook("m")]})
    assert one.obj == {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "x"}, "type": "Opaque"}


@pytest.mark.parametrize(
    ("status", "code", "reason", "text"),
    [
        (None, 400, "", 'admission webhook "v" denied the request without explanation'),
        ({"message": "m"}, 400, "", 'admission webhook "v" denied the request: m'),
        ({"reason": "Teapot", "code": 418}, 418, "Teapot", 'admission webhook "v" denied the request: Teapot'),
        ({"message": "m", "code": 200}, 400, "", 'admission webhook "v" denied the request: m'),
    ],
)
async def test_a_refusal_is_answered_as_the_webhook_says(status, code, reason, text):
    one = request()
    answer = {"allowed": False, "status": status, "warnings": ["w"]}
    error = await refusal(one, {"v": answer}, validating={"c": [hook("v")]})
    assert (error.code, error.reason, error.message, one.warnings) == (code, reason, text, ["w"])


async def test_the_first_refusal_counts_and_all_are_asked():
    answers = {name: {"allowed": False, "status": {"message": name}} for name in ("a", "b")}
    error = await refusal(request(), answers, validating={"c": [hook("ok"), hook("a"), hook("b")]})
    assert error.message.endswith(": a")


async def test_a_failure_is_an_error_unless_it_may_be_ignored():
    answers = {"m": CallFault("failed to call webhook: gone")}
    error = await refusal(request(), answers, mutating={"c": [hook("m")]})
    assert (error.code, error.reason) == (500, "InternalError")
    assert error.message == 'Internal error occurred: failed calling webhook "m": failed to call webhook: gone'
    await run(request(), answers, mutating={"c": [hook("m", failurePolicy="Ignore")]})


@pytest.mark.parametrize("operations", [{"op": "test", "path": "/data/a", "value": "no"}, {"op": "remove", "path": "/x"}])
async def test_a_patch_that_cannot_be_applied_is_an_error_even_so(operations):
    ignored = hook("m", failurePolicy="Ignore")
    error = await refusal(request(), {"m": patch(operations)}, mutating={"c": [ignored]})
    assert error.code == 500


async def test_a_deletion_cannot_be_patched():
    error = await refusal(request("DELETE", obj=None, old={}), {"m": set_data("a")}, mutating={"c": [hook("m")]})
    assert (error.code, "not supported for this operation" in error.message) == (500, True)


async def test_conditions_decide_who_is_asked():
    conditions = [{"name": "n", "expression": "object.data.a == 'b'"}, {"name": "u", "expression": "request.userInfo.username != 'alice'"}]
    assert await run(request(), validating={"c": [hook("v", matchConditions=conditions)]}) == []
    assert len(await run(request(), validating={"c": [hook("v", matchConditions=conditions[:1])]})) == 1
    allowed = [{"name": "z", "expression": "authorizer.group('').resource('pods').check('get').allowed()"}]
    assert len(await run(request(), validating={"c": [hook("v", matchConditions=allowed)]})) == 1
    denied = [{"name": "z", "expression": "authorizer.requestResource.check('delete').allowed()"}]
    assert await run(request(), validating={"c": [hook("v", matchConditions=denied)]}) == []


async def test_a_condition_without_a_value_refuses_unless_it_may_be_ignored():
    conditions = [{"name": "n", "expression": "object.spec.x == 1"}]
    error = await refusal(request(), validating={"c": [hook("v", matchConditions=conditions)]})
    assert (error.code, error.reason) == (403, "Forbidden")
    ignored = hook("v", matchConditions=conditions, failurePolicy="Ignore")
    assert await run(request(), validating={"c": [ignored]}) == []
    one_is_false = [*conditions, {"name": "f", "expression": "false"}]
    assert await run(request(), validating={"c": [hook("v", matchConditions=one_is_false)]}) == []


async def test_nobody_is_asked_about_what_configures_admission():
    one = request(plural="validatingwebhookconfigurations", group="admissionregistration.k8s.io", namespace="")
    assert await run(one, mutating={"c": [hook("m")]}, validating={"c": [hook("v")]}) == []


async def test_a_configuration_that_is_gone_asks_nobody():
    index = WebhookIndex()
    index.handle(("", "c"), {"webhooks": [hook("v")]})
    index.handle(("", "c"), None)
    assert not ValidatingWebhooks(index, None).handles(request())


async def test_audit_events_tell_who_was_asked_and_what_it_noted():
    one = request(annotations={})
    answers = {"m": set_data("k") | {"auditAnnotations": {"k": "v"}}, "gone": CallFault("gone")}
    await run(one, answers, mutating={"c": [hook("m")]}, validating={"d": [hook("gone", failurePolicy="Ignore")]})
    assert one.annotations == {
        "m/k": "v",
        "mutation.webhook.admission.k8s.io/round_0_index_0": '{"configuration":"c","webhook":"m","mutated":true}',
        "failed-open.validating.webhook.admission.k8s.io/round_0_index_0": "gone",
    }


async def test_durations_are_counted_by_webhook():
    metrics = Registry()
    await refusal(request(), {"v": {"allowed": False}}, mutating={"c": [hook("m")]}, validating={"d": [hook("v")]}, metrics=metrics)
    name = "apiserver_admission_webhook_admission_duration_seconds_count"
    counts = [line for line in metrics.to_text().splitlines() if line.startswith(name)]
    assert sorted(counts) == [
        f'{name}{{name="m",operation="CREATE",rejected="false",type="admit"}} 1',
        f'{name}{{name="v",operation="CREATE",rejected="true",type="validating"}} 1',
    ]


async def test_broken_owners_of_fields_are_put_back_with_a_warning():
    owners = [{"manager": "m", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": {}}]
    one = request()
    one.obj["metadata"]["managedFields"] = owners
    await run(one, {"m": patch({"op": "replace", "path": "/metadata/managedFields/0/operation", "value": "Odd"})}, mutating={"c": [hook("m")]})
    assert one.obj["metadata"]["managedFields"][0]["operation"] == "Update"
    assert one.warnings[0].startswith(".metadata.managedFields was in an invalid state after admission;")
    one = request()
    one.obj["metadata"]["managedFields"] = owners
    await run(one, {"m": patch({"op": "replace", "path": "/metadata/managedFields", "value": []})}, mutating={"c": [hook("m")]})
    assert "managedFields" not in one.obj["metadata"]


async def test_a_patch_does_not_make_another_kind():
    error = await refusal(request(), {"m": patch({"op": "replace", "path": "/kind", "value": "Secret"})}, mutating={"c": [hook("m")]})
    assert error.code == 500
