"""CustomResourceDefinitions: what is refused and where, and their life (api-machinery.md §5.1, §5.2)."""

from __future__ import annotations

import pytest

from k3py.api.kind import WriteContext
from k3py.api.kinds.apiextensions.custom_resource_definition import KIND
from k3py.api.object import deep_copy
from k3py.api.user import User

CONTEXT = WriteContext(user=User(name="u"), now="2026-01-01T00:00:00Z")
OBJECT = {"type": "object"}


def version(name="v1", *, storage=True, schema=None, **more):
    return {
        "name": name,
        "served": True,
        "storage": storage,
        "schema": {"openAPIV3Schema": schema or OBJECT},
        **more,
    }


def definition(*versions, **spec):
    names = {"plural": "ws", "singular": "w", "kind": "W", "listKind": "WList"}
    whole = {
        "group": "example.com",
        "scope": "Namespaced",
        "names": names,
        "versions": list(versions) or [version()],
        "conversion": {"strategy": "None"},
        **spec,
    }
    obj = {"metadata": {"name": "ws.example.com", "generation": 1}, "spec": whole}
    KIND.strategy.prepare_create(obj, CONTEXT)
    return obj


def faults(obj):
    return [(one.reason.removeprefix("FieldValue"), one.path) for one in KIND.strategy.validate(obj)]


def schema_faults(field):
    schema = OBJECT | {"properties": {"f": field}}
    head = "spec.validation.openAPIV3Schema.properties[f]"
    found = faults(definition(version(schema=schema)))
    return [(reason, path.removeprefix(head)) for reason, path in found]


def test_a_plain_one_is_accepted():
    assert faults(definition()) == []


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"scope": "Galaxy"}, [("NotSupported", "spec.scope")]),
        ({"preserveUnknownFields": True}, [("Invalid", "spec.preserveUnknownFields")]),
        ({"group": "other.com"}, [("Invalid", "metadata.name")]),
        ({"names": {"plural": "ws", "kind": "W", "listKind": "W", "singular": "w"}}, [("Invalid", "spec.names.listKind")]),
        ({"versions": [version(storage=False)]}, [("Invalid", "spec.versions"), ("Invalid", "status.storedVersions")]),
        ({"versions": [version(), version("v1", storage=False)]}, [("Invalid", "spec.versions")]),
        ({"conversion": {"strategy": "Webhook"}}, [
            ("Required", "spec.conversion.webhookClientConfig"), ("Required", "spec.conversion.conversionReviewVersions")]),
        ({"versions": [version(additionalPrinterColumns=[{"name": "A", "type": "text", "jsonPath": "a"}])]}, [
            ("Invalid", "spec.additionalPrinterColumns[0].type"), ("Invalid", "spec.additionalPrinterColumns[0].JSONPath")]),
        ({"versions": [version(selectableFields=[{"jsonPath": ".spec.none"}])]}, [
            ("Invalid", "spec.selectableFields[0].jsonPath")]),
        ({"versions": [version(subresources={"scale": {}})]}, [
            ("Required", "spec.subresources.scale.specReplicasPath"), ("Required", "spec.subresources.scale.statusReplicasPath")]),
    ],
)  # fmt: skip
def test_parts_of_the_spec(spec, expected):
    assert faults(definition(**spec)) == expected


def test_what_versions_do_not_share_is_named_by_version():
    other = version("v2", storage=False, schema=OBJECT | {"properties": {"f": {}}})
    assert faults(definition(version(), other)) == [
        ("Required", "spec.versions[1].schema.openAPIV3Schema.properties[f].type")
    ]


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ({}, [("Required", ".type")]),
        ({"type": "text"}, [("NotSupported", ".type")]),
        ({"type": "array"}, [("Required", ".items")]),
        ({"type": "string", "pattern": "(["}, [("Invalid", ".pattern")]),
        ({"type": "object", "$ref": "#/x"}, [("Forbidden", ".$ref")]),
        ({"type": "string", "anyOf": [{"type": "string"}]}, [("Forbidden", ".anyOf[0].type")]),
        ({"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}, []),
        ({"x-kubernetes-preserve-unknown-fields": True}, []),
        ({"type": "integer", "default": "x"}, [("TypeInvalid", ".default")]),
        ({"type": "object", "default": {"b": 1}}, [("Invalid", ".default")]),
        ({"type": "string", "default": "x", "x-kubernetes-validations": [{"rule": "self == 'y'"}]}, [("Invalid", ".default")]),
        ({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]},
         [("Invalid", ".items.type")]),
        ({"type": "string", "x-kubernetes-validations": [{"rule": "self > 1"}]}, [
            ("Invalid", ".x-kubernetes-validations[0].rule")]),
    ],
)  # fmt: skip
def test_schemas(field, expected):
    assert schema_faults(field) == expected


def test_a_new_one_has_no_conditions_and_one_stored_version():
    obj = definition(version("v1"), version("v2", storage=False))
    assert obj["status"] == {
        "conditions": None,
        "acceptedNames": {"plural": "", "kind": ""},
        "storedVersions": ["v1"],
    }


def test_each_storage_version_is_remembered_and_cannot_be_removed():
    old = definition(version("v1"), version("v2", storage=False))
    new = deep_copy(old)
    new["spec"]["versions"][0]["storage"], new["spec"]["versions"][1]["storage"] = False, True
    KIND.strategy.prepare_update(new, old, CONTEXT)
    assert (new["status"]["storedVersions"], new["metadata"]["generation"]) == (["v1", "v2"], 2)
    last = deep_copy(new)
    del last["spec"]["versions"][0]
    KIND.strategy.prepare_update(last, new, CONTEXT)
    assert [one.path for one in KIND.strategy.validate_update(last, new)] == ["status.storedVersions[0]"]


def test_names_are_fixed_once_established():
    old = definition()
    new = deep_copy(old)
    new["spec"]["scope"] = "Cluster"
    assert KIND.strategy.validate_update(new, old) == []
    old["status"]["conditions"] = [{"type": "Established", "status": "True"}]
    assert [one.path for one in KIND.strategy.validate_update(new, old)] == ["spec.scope"]


def test_a_deletion_waits_for_the_objects():
    obj = definition()
    KIND.strategy.prepare_delete(obj, CONTEXT)
    assert obj["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
    assert [(one["type"], one["status"]) for one in obj["status"]["conditions"]] == [("Terminating", "True")]


def test_groups_of_kubernetes_need_approval():
    obj = definition(group="x.k8s.io")
    obj["metadata"]["name"] = "ws.x.k8s.io"
    assert faults(obj) == [("Required", "metadata.annotations[api-approved.kubernetes.io]")]
    obj["metadata"]["annotations"] = {"api-approved.kubernetes.io": "https://example.com/1"}
    assert faults(obj) == []
