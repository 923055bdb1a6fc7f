from hypothesis import given
from hypothesis import strategies as st

from k3py.api.object import deep_copy
from k3py.api.patch import typed
from k3py.api.patch.merge_type import merge_type_of_structure

SCHEMA = {
    "type": "object",
    "properties": {
        "scalar": {"type": "integer"},
        "map": {"type": "object", "additionalProperties": {"type": "string"}},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "keyed": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name", "port"],
            "items": {"type": "object", "properties": {"name": {"type": "string"}, "port": {"type": "integer", "default": 1}, "x": {"type": "string"}}},
        },
        "atomic": {"type": "array", "items": {"type": "string"}},
        "whole": {"type": "object", "x-kubernetes-map-type": "atomic", "properties": {"a": {"type": "string"}}},
        "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}
KIND = merge_type_of_structure(SCHEMA)
text = st.sampled_from("abc")
entry = st.fixed_dictionaries({"name": text}, optional={"port": st.integers(1, 2), "x": text})
values = st.fixed_dictionaries(
    {},
    optional={
        "scalar": st.integers(0, 2),
        "map": st.dictionaries(text, text, min_size=1),
        "set": st.lists(text, unique=True, min_size=1),
        "keyed": st.lists(entry, min_size=1, max_size=4, unique_by=lambda one: (one["name"], one.get("port", 1))),
        "atomic": st.lists(text, min_size=1),
        "whole": st.dictionaries(st.just("a"), text, min_size=1),
        "open": st.dictionaries(text, st.lists(text) | st.dictionaries(text, text), min_size=1),
    },
)


@given(values)
def test_a_value_equals_itself_and_merging_it_changes_nothing(value):
    typed.validate(value, KIND)
    same = typed.compare(value, deep_copy(value), KIND)
    assert same == typed.Comparison()
    assert typed.merge(value, value, KIND) == value
    assert typed.merge(typed.ABSENT, value, KIND) == value


@given(values, values)
def test_merging_is_idempotent_and_the_configuration_prevails(live, config):
    before = deep_copy((live, config))
    merged = typed.merge(live, config, KIND)
    assert (live, config) == before
    assert typed.merge(merged, config, KIND) == merged
    # Nothing the configuration sets differs from it in the result.
    difference = typed.compare(config, merged, KIND)
    assert not difference.removed
    assert not difference.modified


@given(values, values)
def test_comparison_is_symmetric(old, new):
    there, back = typed.compare(old, new, KIND), typed.compare(new, old, KIND)
    assert (there.added, there.modified, there.removed) == (back.removed, back.modified, back.added)


@given(values)
def test_removing_all_fields_leaves_nothing(value):
    fields = typed.with_named_fields(typed.to_field_set(value, KIND), KIND)
    assert typed.remove(value, fields, KIND) is None or value == {}


@given(values, values)
def test_removing_what_was_added_restores_the_fields(live, config):
    live.pop("open", None)  # a deduced value may change its form, which removes what was below it
    merged = typed.merge(live, config, KIND)
    added = typed.compare(live, merged, KIND).added
    rest = typed.remove(merged, added, KIND) or {}
    assert typed.to_field_set(rest, KIND) == typed.to_field_set(live, KIND)
