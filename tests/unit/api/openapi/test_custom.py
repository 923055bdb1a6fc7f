"""What custom resources look like in OpenAPI: whole in v3, without what kubectl cannot take in v2.

Source: k8s.io/apiextensions-apiserver/pkg/controller/openapi/{builder,v2/conversion}.go v0.35.
"""

from __future__ import annotations

import pytest

from k3py.api.openapi.custom import custom_schema

META = {"$ref": "#/definitions/ObjectMeta"}
RESOURCE = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": META}
OPEN = {"x-kubernetes-preserve-unknown-fields": True}


def fields(schema, dialect="v2"):
    """Return the published form of one field of a resource."""
    published = custom_schema({"type": "object", "properties": {"field": schema}}, dialect, RESOURCE)
    return published["properties"]["field"]


@pytest.mark.parametrize("dialect", ["v2", "v3"])
def test_every_resource_has_its_type_and_metadata(dialect):
    published = custom_schema({"type": "object", "properties": {"spec": {"type": "object"}}}, dialect, RESOURCE)
    assert published == {"type": "object", "properties": {**RESOURCE, "spec": {"type": "object"}}}


def test_kubectl_must_not_take_the_fields_of_an_open_resource_for_all():
    schema = {"type": "object", "properties": {"spec": {"type": "object"}}, **OPEN}
    assert custom_schema(schema, "v2", RESOURCE) == {"type": "object"}
    assert custom_schema(schema, "v3", RESOURCE)["properties"].keys() == {*RESOURCE, "spec"}
    assert custom_schema({}, "v3", RESOURCE) == {"type": "object"}


@pytest.mark.parametrize(
    ("schema", "published"),
    [
        ({"type": "object", "properties": {"a": {"type": "string"}}, **OPEN}, OPEN),
        ({"type": "array", "items": {"type": "string"}, **OPEN}, OPEN),
        ({"type": "object", "nullable": True, "properties": {"a": {"type": "string"}}}, {}),
        ({"type": "string", "format": "duration", "default": "1s", "anyOf": [{"minLength": 1}]}, {"type": "string"}),
        (
            {"type": "object", "required": ["a", "b"], "properties": {"a": {"nullable": True}, "b": {"type": "string"}}},
            {"type": "object", "required": ["b"], "properties": {"a": {}, "b": {"type": "string"}}},
        ),
        (
            {"type": "object", "required": ["a"], "additionalProperties": {"type": "string", "nullable": True}},
            {"type": "object", "additionalProperties": {}},
        ),
    ],
)
def test_v2_leaves_out_what_its_readers_misunderstand(schema, published):
    assert fields(schema) == published


def test_embedded_resources_have_a_type_and_metadata_and_need_them():
    embedded = fields({"type": "object", "x-kubernetes-embedded-resource": True, "required": ["spec"]}, "v3")
    assert embedded["properties"].keys() == RESOURCE.keys()
    assert embedded["required"] == ["spec", "kind", "apiVersion"]
    assert "properties" not in fields({"type": "object", "x-kubernetes-embedded-resource": True, **OPEN})
