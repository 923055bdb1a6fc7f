"""Custom resources are pruned, completed and checked by their schema as upstream does (api-machinery.md §5.2)."""

from __future__ import annotations

import pytest

from k3py.api.structural.structure import Structure


def structure_of(spec, **root):
    return Structure({"type": "object", "properties": {"spec": spec}, **root})


def resource(spec):
    return {"apiVersion": "example.com/v1", "kind": "W", "metadata": {"name": "x"}, "spec": spec}


def faults(spec_schema, spec, old=None):
    one = structure_of(spec_schema)
    found = (
        one.validate(resource(spec)) if old is None else one.validate_update(resource(spec), resource(old))
    )
    return [(error.reason, error.path) for error in found]


def object_of(**properties):
    return {"type": "object", "properties": properties}


STRING = {"type": "string"}
INTEGER = {"type": "integer"}


def test_unknown_fields_are_dropped_and_named():
    one = structure_of(object_of(a=STRING, l={"type": "array", "items": object_of(k=STRING)}))
    decoded, unknown = one.decode(
        resource({"a": "x", "b": 1, "l": [{"k": "x", "z": {}}]}), lambda metadata: (metadata, [])
    )
    assert decoded["spec"] == {"a": "x", "l": [{"k": "x"}]}
    assert unknown == ["spec.b", "spec.l[0].z"]


def test_what_a_schema_preserves_stays_but_for_fields_that_it_describes():
    preserving = object_of(a=object_of(k=STRING)) | {"x-kubernetes-preserve-unknown-fields": True}
    decoded, unknown = structure_of(preserving).decode(
        resource({"a": {"k": "x", "z": 1}, "b": {"c": 1}}), lambda metadata: (metadata, [])
    )
    assert decoded["spec"] == {"a": {"k": "x"}, "b": {"c": 1}}
    assert unknown == ["spec.a.z"]


def test_open_maps_lose_what_is_below_their_objects():
    one = structure_of(object_of(m={"type": "object", "additionalProperties": True}))
    decoded, _ = one.decode(resource({"m": {"a": 1, "b": {"c": 1}}}), lambda metadata: (metadata, []))
    assert decoded["spec"] == {"m": {"a": 1, "b": {}}}


def test_decoding_leaves_the_document_alone():
    document = resource({"b": 1})
    structure_of(object_of(a=STRING)).decode(document, lambda metadata: (metadata, []))
    assert document["spec"] == {"b": 1}


@pytest.mark.parametrize(
    ("given", "kept"),
    [(1.0, 1), (1.5, 1.5), (12345678901234567890, 12345678901234567000), (1e300, 1e300), (-0.0, 0)],
)
def test_numbers_are_go_s(given, kept):
    one = structure_of(object_of(n={"type": "number"}))
    decoded, _ = one.decode(resource({"n": given}), lambda metadata: (metadata, []))
    assert (decoded["spec"]["n"], type(decoded["spec"]["n"])) == (kept, type(kept))


def test_defaults_fill_what_is_absent_or_null_and_reach_into_lists_and_maps():
    item = object_of(n=INTEGER | {"default": 3})
    one = structure_of(
        object_of(
            a=STRING | {"default": "x"},
            b=STRING | {"default": "y", "nullable": True},
            l={"type": "array", "items": item},
            m={"type": "object", "additionalProperties": item},
        )
    )
    obj = resource({"a": None, "b": None, "l": [{}, {"n": 1}], "m": {"k": {}}})
    assert one.default(obj)
    assert obj["spec"] == {"a": "x", "b": None, "l": [{"n": 3}, {"n": 1}], "m": {"k": {"n": 3}}}


def test_nulls_that_are_neither_allowed_nor_defaulted_go():
    obj = resource({"a": None, "b": None})
    structure_of(object_of(a=STRING, b=STRING | {"nullable": True})).default(obj)
    assert obj["spec"] == {"b": None}


def test_defaults_are_copies():
    one = structure_of(object_of(o=object_of(a=STRING) | {"default": {"a": "x"}}))
    first, second = resource({}), resource({})
    one.default(first)
    first["spec"]["o"]["a"] = "changed"
    one.default(second)
    assert second["spec"]["o"] == {"a": "x"}


def test_every_fault_is_told():
    schema = object_of(
        a=INTEGER,
        b=STRING | {"enum": ["x"]},
        c={"type": "array", "items": INTEGER | {"maximum": 3}},
    ) | {"required": ["d"]}
    assert faults(schema, {"a": "1", "b": "z", "c": [5, "x"]}) == [
        ("FieldValueTypeInvalid", "spec.a"),
        ("FieldValueNotSupported", "spec.b"),
        ("FieldValueInvalid", "spec.c[0]"),
        ("FieldValueTypeInvalid", "spec.c[1]"),
        ("FieldValueRequired", "spec.d"),
    ]


@pytest.mark.parametrize(
    ("schema", "good", "bad", "reason"),
    [
        (STRING | {"maxLength": 2}, "üü", "abc", "FieldValueTooLong"),
        (STRING | {"minLength": 2}, "ab", "a", "FieldValueInvalid"),
        (STRING | {"pattern": "^a+$"}, "aa", "aa\n", "FieldValueInvalid"),
        (STRING | {"format": "date-time"}, "2020-01-01T00:00:00Z", "2020-01-01", "FieldValueTypeInvalid"),
        (STRING | {"format": "nonsense"}, "anything", 1, "FieldValueTypeInvalid"),
        (INTEGER, 1.0, 1.5, "FieldValueTypeInvalid"),
        (INTEGER | {"minimum": 2, "exclusiveMinimum": True}, 3, 2, "FieldValueInvalid"),
        (INTEGER | {"multipleOf": 3}, 9, 4, "FieldValueInvalid"),
        ({"type": "array", "items": STRING, "maxItems": 1}, ["a"], ["a", "b"], "FieldValueTooMany"),
        ({"type": "array", "items": STRING, "minItems": 1}, ["a"], [], "FieldValueInvalid"),
        ({"x-kubernetes-int-or-string": True}, "50%", True, "FieldValueTypeInvalid"),
        ({"type": "boolean", "enum": [True]}, True, False, "FieldValueNotSupported"),
    ],
)
def test_words_of_the_schema(schema, good, bad, reason):
    assert faults(object_of(f=schema), {"f": good}) == []
    assert faults(object_of(f=schema), {"f": bad}) == [(reason, "spec.f")]


def test_an_alternative_that_fits_nearly_is_told_too():
    schema = object_of(a=STRING, b=INTEGER) | {
        "anyOf": [{"required": ["a"]}, {"properties": {"b": {"minimum": 5}}, "required": ["b"]}]
    }
    assert faults(schema, {"b": 5}) == []
    assert faults(schema, {"b": 1}) == [("FieldValueInvalid", "<nil>"), ("FieldValueInvalid", "spec.b")]


def test_two_alternatives_of_one_of_are_too_many():
    schema = object_of(a=STRING, b=STRING) | {"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}
    assert faults(schema, {"a": "", "b": ""}) == [("FieldValueInvalid", "<nil>")]


def test_sets_and_maps_hold_things_once():
    schema = object_of(
        s={"type": "array", "items": STRING, "x-kubernetes-list-type": "set"},
        m={
            "type": "array",
            "items": object_of(k=STRING),
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["k"],
        },
    )
    assert faults(schema, {"s": ["a", "a"], "m": [{"k": "x"}, {"k": "y"}, {"k": "x"}]}) == [
        ("FieldValueDuplicate", "spec.s[1]"),
        ("FieldValueDuplicate", "spec.m[2]"),
    ]


def test_an_update_may_keep_what_is_wrong_but_not_add_to_it():
    schema = object_of(a=STRING | {"maxLength": 1}, b=STRING | {"maxLength": 1})
    assert faults(schema, {"a": "long", "b": "x"}, old={"a": "long"}) == []
    assert faults(schema, {"a": "longer"}, old={"a": "long"}) == [("FieldValueTooLong", "spec.a")]


def test_entries_of_keyed_lists_are_compared_with_their_twins_and_those_of_others_are_not():
    item = object_of(k=STRING, v=STRING | {"maxLength": 1})
    keyed = {
        "type": "array",
        "items": item,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["k"],
    }
    old = {"l": [{"k": "a", "v": "long"}]}
    new = {"l": [{"k": "b", "v": "x"}, {"k": "a", "v": "long"}]}
    assert faults(object_of(l=keyed), new, old=old) == []
    atomic = {"type": "array", "items": item}
    assert faults(object_of(l=atomic), new, old=old) == [("FieldValueTooLong", "spec.l[1].v")]


def test_resources_inside_are_checked_as_resources():
    embedded = {
        "type": "object",
        "x-kubernetes-embedded-resource": True,
        "x-kubernetes-preserve-unknown-fields": True,
    }
    assert faults(object_of(e=embedded), {"e": {"kind": "Pod"}}) == [
        ("FieldValueRequired", "spec.e.apiVersion")
    ]
