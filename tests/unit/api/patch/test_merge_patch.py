import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3py.api.object import deep_copy
from k3py.api.patch.merge_patch import apply_merge_patch
from k3py.api.status import ApiError


@pytest.mark.parametrize(
    ("doc", "patch", "expected"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({"a": "foo"}, {"a": {"b": {"c": None}}}, {"a": {"b": {}}}),
    ],
)
def test_rfc_7386(doc, patch, expected):
    assert apply_merge_patch(doc, patch) == expected


@pytest.mark.parametrize("patch", [[], "x", None, 1])
def test_patches_that_are_no_objects_are_400(patch):
    with pytest.raises(ApiError) as error:
        apply_merge_patch({}, patch)
    assert error.value.code == 400


values = st.recursive(st.integers(0, 3) | st.none(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=8)
objects = st.dictionaries(st.sampled_from("abc"), values, max_size=3)


@given(objects, objects)
def test_patching_twice_changes_nothing_more_and_inputs_stay(doc, patch):
    before = deep_copy(doc), deep_copy(patch)
    once = apply_merge_patch(doc, patch)
    assert (doc, patch) == before
    assert apply_merge_patch(once, patch) == once


@given(objects, objects)
def test_result_shares_nothing_mutable_with_the_inputs(doc, patch):
    result = apply_merge_patch(doc, patch)

    def containers(value):
        if isinstance(value, dict | list):
            yield id(value)
            for one in value.values() if isinstance(value, dict) else value:
                yield from containers(one)

    assert not set(containers(result)) & (set(containers(doc)) | set(containers(patch)))
