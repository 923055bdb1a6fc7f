import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3py.api.object import deep_copy
from k3py.api.patch.json_patch import apply_json_patch
from k3py.api.status import ApiError


def test_all_operations():
    doc = {"data": {"k": "v", "l": "w"}, "a/b": ["x", "y"]}
    patch = [
        {"op": "test", "path": "/data/k", "value": "v"},
        {"op": "replace", "path": "/data/k", "value": "changed"},
        {"op": "remove", "path": "/data/l"},
        {"op": "add", "path": "/data/m", "value": "new"},
        {"op": "copy", "from": "/data/m", "path": "/data/n"},
        {"op": "move", "from": "/data/m", "path": "/data/o"},
        {"op": "add", "path": "/a~1b/1", "value": "mid"},
        {"op": "add", "path": "/a~1b/-", "value": "end"},
        {"op": "remove", "path": "/a~1b/-4"},
    ]
    before = deep_copy(doc)
    assert apply_json_patch(doc, patch) == {"data": {"k": "changed", "n": "new", "o": "new"}, "a/b": ["mid", "y", "end"]}
    assert doc == before


def test_replace_of_a_missing_key_adds_it():
    assert apply_json_patch({"data": {}}, [{"op": "replace", "path": "/data/none", "value": "x"}]) == {"data": {"none": "x"}}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/data/k", "value": "other"},
        {"op": "test", "path": "/n", "value": True},
        {"op": "remove", "path": "/data/none"},
        {"op": "add", "path": "/none/deep", "value": "x"},
        {"op": "add", "path": "/list/5", "value": "x"},
        {"op": "add", "path": "/list/x", "value": "x"},
        {"op": "replace", "path": "/list/1", "value": "x"},
        {"op": "jump", "path": "/data/k"},
        {"op": "add", "path": "", "value": {}},
        {"op": "add", "value": {}},
        {"op": "move", "from": "/none", "path": "/x"},
        {"op": "add", "path": "/data/k/deep", "value": 1},
    ],
)
def test_operations_that_do_not_apply_are_422(operation):
    with pytest.raises(ApiError) as error:
        apply_json_patch({"data": {"k": "v"}, "n": 1, "list": ["a"]}, [operation])
    assert (error.value.code, error.value.reason, error.value.details) == (422, "Invalid", {})


@pytest.mark.parametrize("patch", [{"op": "add"}, ["x"], "x", None])
def test_patches_of_another_shape_are_400(patch):
    with pytest.raises(ApiError) as error:
        apply_json_patch({}, patch)
    assert error.value.code == 400


def test_too_many_operations_are_413():
    with pytest.raises(ApiError) as error:
        apply_json_patch({"a": 1}, [{"op": "test", "path": "/a", "value": 1}] * 10_001)
    assert error.value.code == 413


keys = st.sampled_from(["a", "b", "c/d", "~e", ""])
documents = st.dictionaries(keys, st.recursive(st.integers(0, 3), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=8))


@given(documents, keys, st.integers())
def test_add_then_test_then_remove_is_the_identity(doc, key, value):
    doc.pop(key, None)
    path = "/" + key.replace("~", "~0").replace("/", "~1")
    patch = [{"op": "add", "path": path, "value": value}, {"op": "test", "path": path, "value": value}, {"op": "remove", "path": path}]
    assert apply_json_patch(doc, patch) == doc


def test_copies_cannot_double_a_document_for_ever():
    patch = [{"op": "copy", "from": "/data", "path": f"/data/{n}"} for n in range(100)]
    with pytest.raises(ApiError) as fault:
        apply_json_patch({"data": {"a": "x" * 1000}}, patch)
    assert fault.value.code == 422
    assert "exceeding the limit 3145728" in fault.value.message


def test_copies_cannot_nest_for_ever():
    patch = [{"op": "copy", "from": "/a", "path": "/b"}, {"op": "add", "path": "/a", "value": {}}, {"op": "move", "from": "/b", "path": "/a/x"}]
    with pytest.raises(ApiError) as fault:
        apply_json_patch({"a": {}}, patch * 1200)
    assert (fault.value.code, fault.value.message) == (400, "exceeded max depth")
