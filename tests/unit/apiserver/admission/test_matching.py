"""Which requests rules and selectors of webhooks and policies are about."""

from __future__ import annotations

import pytest

from k3py.api.kinds import ALL
from k3py.api.registry import KindRegistry
from k3py.api.user import User
from k3py.apiserver.admission.matching import convert_object, parse_criteria
from k3py.apiserver.interface import AdmissionRequest

KINDS = KindRegistry(ALL)
PODS = KINDS.find("", "v1", "pods")
NODES = KINDS.find("", "v1", "nodes")
NAMESPACES = KINDS.find("", "v1", "namespaces")
EVENTS = KINDS.find("events.k8s.io", "v1", "events")
RULE = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "scope": "*"}


class Lookup:
    """Knows one namespace, with the label env=test."""

    async def find(self, resource, namespace, name):
        return {"metadata": {"name": "n", "labels": {"env": "test"}}} if name == "n" else None


def request(kind=PODS, operation="CREATE", *, labels=None, old_labels=None, **fields):
    namespace = "n" if kind.namespaced else ""
    obj = {"metadata": {"name": "x", "labels": labels or {}}}
    old = {"metadata": {"name": "x", "labels": old_labels}} if old_labels is not None else None
    defaults = {"operation": operation, "kind": kind, "user": User(name="u"), "namespace": namespace, "name": "x"}
    return AdmissionRequest(**defaults | {"obj": obj, "old": old} | fields)


async def found(one, **criteria):
    match = {"rules": [RULE], **criteria}
    return await parse_criteria(match, rules="rules").match(one, KINDS, Lookup())


@pytest.mark.parametrize(
    ("rule", "one", "expected"),
    [
        ({}, request(), True),
        ({}, request(operation="UPDATE"), False),
        ({"operations": ["*"]}, request(operation="DELETE"), True),
        ({}, request(NODES), False),
        ({"resources": ["*"]}, request(NODES), True),
        ({"resources": ["*"], "scope": "Namespaced"}, request(NODES), False),
        ({"resources": ["*"], "scope": "Cluster"}, request(NODES), True),
        ({"resources": ["*"], "scope": "Namespaced"}, request(NAMESPACES), False),
        ({}, request(subresource="status"), False),
        ({"resources": ["*"]}, request(subresource="status"), False),
        ({"resources": ["pods/*"]}, request(subresource="status"), True),
        ({"resources": ["*/status"]}, request(subresource="status"), True),
        ({"resources": ["*/*"]}, request(), True),
        ({"apiGroups": ["apps"]}, request(), False),
        ({"apiGroups": ["*"], "apiVersions": ["*"]}, request(), True),
        ({"resourceNames": ["y"]}, request(), False),
        ({"resourceNames": ["x"]}, request(), True),
    ],
)
async def test_rules(rule, one, expected):
    assert (await found(one, rules=[RULE | rule]) is not None) is expected


async def test_another_version_is_found_unless_the_match_is_exact():
    events = RULE | {"resources": ["events"]}
    assert (await found(request(EVENTS), rules=[events])).api_version == "v1"
    assert await found(request(EVENTS), rules=[events], matchPolicy="Exact") is None


async def test_an_object_is_converted_to_the_version_that_was_found():
    event = {"kind": "Event", "apiVersion": "events.k8s.io/v1", "metadata": {"name": "e"}, "note": "hello"}
    converted = await convert_object(EVENTS, KINDS.find("", "v1", "events"), event)
    assert (converted["apiVersion"], converted["message"]) == ("v1", "hello")
    assert event["note"] == "hello"


@pytest.mark.parametrize(
    ("one", "selector", "expected"),
    [
        (request(labels={"a": "b"}), {"a": "b"}, True),
        (request(labels={"a": "c"}), {"a": "b"}, False),
        (request(labels={"a": "c"}, old_labels={"a": "b"}), {"a": "b"}, True),
    ],
)
async def test_objects_are_selected_by_their_new_or_old_labels(one, selector, expected):
    assert (await found(one, objectSelector={"matchLabels": selector}) is not None) is expected


async def test_namespaces_are_selected_and_cluster_scoped_objects_always_are():
    test, other = ({"namespaceSelector": {"matchLabels": {"env": env}}} for env in ("test", "other"))
    everything = [RULE | {"resources": ["*"]}]
    assert await found(request(), **test) is not None
    assert await found(request(), **other) is None
    assert await found(request(NODES), rules=everything, **other) is not None
    assert await found(request(NAMESPACES, labels={"env": "other"}), rules=everything, **other) is not None
    assert await found(request(NAMESPACES, labels={"env": "test"}), rules=everything, **other) is None


async def test_what_is_excluded_is_not_meant():
    excluded = [RULE | {"resourceNames": ["x"]}]
    assert await found(request(), excludeResourceRules=excluded) is None
    assert await found(request(name="y"), excludeResourceRules=excluded) is not None
