import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3py.api.patch.fieldset import FieldSet, field_element, format_path, key_element, value_element

elements = st.sampled_from([field_element("a"), field_element("b"), key_element({"name": "x", "port": 1}), value_element("v"), "i:0", "i:10"])
paths = st.lists(elements, min_size=1, max_size=4).map(tuple)
path_sets = st.frozensets(paths, max_size=8)


def of(found):
    return FieldSet.of(found)


@given(path_sets)
def test_fields_v1_round_trip(found):
    assert set(FieldSet.from_fields_v1(of(found).to_fields_v1()).paths()) == found
    assert bool(of(found)) == bool(found)


@given(path_sets, path_sets)
def test_algebra_is_that_of_sets_of_paths(left, right):
    assert set(of(left).union(of(right)).paths()) == left | right
    assert set(of(left).intersection(of(right)).paths()) == left & right
    assert set(of(left).difference(of(right)).paths()) == left - right
    below = {path for path in left if not any(path[: len(other)] == other for other in right)}
    assert set(of(left).without_below(of(right)).paths()) == below


def test_paths_as_conflicts_show_them():
    assert format_path(("f:spec", "f:containers", key_element({"name": "x"}), "f:image")) == '.spec.containers[name="x"].image'
    assert format_path((key_element({"protocol": "TCP", "port": 80}), value_element("a"), "i:3")) == '[port=80,protocol="TCP"][="a"][3]'


@pytest.mark.parametrize("document", [[], "x", {"x:a": {}}, {"k:{": {}}, {"i:x": {}}, {"f:a": {"q": {}}}])
def test_malformed_documents_are_refused(document):
    with pytest.raises(ValueError):
        FieldSet.from_fields_v1(document)
