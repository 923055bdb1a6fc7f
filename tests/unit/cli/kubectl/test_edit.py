"""The patch of an edit."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from k3py.api.patch.merge_patch import apply_merge_patch
from k3py.cli.kubectl.edit import make_merge_patch

VALUES = st.recursive(
    st.integers() | st.text(max_size=3) | st.booleans(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(OBJECTS, OBJECTS)
def test_the_patch_makes_one_object_of_the_other(before, after):
    assert apply_merge_patch(before, make_merge_patch(before, after)) == after


def test_what_did_not_change_is_not_sent():
    before = {"spec": {"replicas": 1, "list": [1]}, "status": {"x": 1}}
    assert make_merge_patch(before, {"spec": {"replicas": 2, "list": [1]}, "status": {"x": 1}}) == {"spec": {"replicas": 2}}
