"""Definitions become kinds: versions, subresources, columns, selectable fields, what the store holds."""

from __future__ import annotations

from datetime import UTC, datetime

from k3py.apiserver.crd.kinds import build_kinds

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def version(name, *, storage=False, served=True, properties=None, **more):
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": properties or {}}}}
    return {"name": name, "served": served, "storage": storage, "schema": {"openAPIV3Schema": schema}, **more}


def definition(*versions, **metadata):
    names = {"plural": "ws", "singular": "w", "kind": "W", "listKind": "WList", "shortNames": ["z"]}
    return {
        "metadata": {"name": "ws.example.com", "uid": "u", **metadata},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": names, "versions": list(versions)},
        "status": {"acceptedNames": names},
    }


STRING = {"type": "string"}


def test_each_served_version_is_a_kind_over_one_store():
    kinds = build_kinds(definition(version("v1"), version("v2", storage=True), version("v3", served=False)))
    assert [one.version for one in kinds.served] == ["v1", "v2"]
    assert {one.storage.prefix for one in kinds.served} == {"example.com/ws"}
    assert (kinds.stored.version, kinds.served[0].stored) == ("v2", kinds.stored)
    assert kinds.served[0].short_names == ("z",)


def test_other_versions_show_only_what_their_schema_knows():
    first = version("v1", properties={"a": STRING})
    second = version("v2", storage=True, properties={"a": STRING, "b": STRING})
    kinds = build_kinds(definition(first, second))
    converted = kinds.served[0].from_storage({"spec": {"a": "1", "b": "2"}})
    assert converted["spec"] == {"a": "1"}
    assert kinds.served[1].from_storage is None


def test_stored_documents_get_todays_defaults_and_lose_what_is_gone():
    late = version("v1", storage=True, properties={"late": STRING | {"default": "now"}})
    read = build_kinds(definition(late)).stored.on_read
    document = {"apiVersion": "example.com/v1", "spec": {"old": 1}}
    assert read(document) is True
    assert document["spec"] == {"late": "now"}
    assert read(document) is False


def test_documents_of_an_older_storage_version_are_brought_to_the_new_one():
    read = build_kinds(definition(version("v1"), version("v2", storage=True))).stored.on_read
    document = {"apiVersion": "example.com/v1", "spec": {}}
    assert read(document) is True
    assert document["apiVersion"] == "example.com/v2"


def test_subresources_columns_and_selectable_fields():
    kinds = build_kinds(
        definition(
            version(
                "v1",
                storage=True,
                properties={"a": STRING, "on": {"type": "boolean"}},
                subresources={
                    "status": {},
                    "scale": {"specReplicasPath": ".spec.r", "statusReplicasPath": ".status.r"},
                },
                additionalPrinterColumns=[{"name": "A", "type": "string", "jsonPath": ".spec.a"}],
                selectableFields=[{"jsonPath": ".spec.a"}, {"jsonPath": ".spec.on"}],
            )
        )
    )
    (kind,) = kinds.served
    obj = {"metadata": {"name": "x"}, "spec": {"a": "1", "on": True}}
    assert [one.name for one in kind.subresources] == ["status", "scale"]
    assert [(one.name, one.value(obj, NOW)) for one in kind.columns] == [("Name", "x"), ("A", "1")]
    assert {name: get(obj) for name, get in kind.selectable_fields.items()} == {
        "spec.a": "1",
        "spec.on": "true",
    }


def test_without_columns_there_is_the_age():
    (kind,) = build_kinds(definition(version("v1", storage=True))).served
    obj = {"metadata": {"name": "x", "creationTimestamp": "2026-01-01T00:00:00Z"}}
    assert [one.value(obj, NOW) for one in kind.columns] == ["x", "24h"]


def test_a_definition_that_goes_takes_nothing_new_and_a_deprecated_version_warns():
    going = definition(version("v1", storage=True, deprecated=True), deletionTimestamp="2026-01-01T00:00:00Z")
    (kind,) = build_kinds(going).served
    assert kind.creation_refusal
    assert kind.deprecation == "example.com/v1 W is deprecated"
