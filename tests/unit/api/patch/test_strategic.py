import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3py.api.object import deep_copy
from k3py.api.patch.strategic import apply_strategic_patch
from k3py.api.schema import load_schema
from k3py.api.status import ApiError

TEMPLATE = "io.k8s.api.core.v1.PodTemplate"
CONFIG_MAP = "io.k8s.api.core.v1.ConfigMap"
SERVICE = "io.k8s.api.core.v1.Service"
SCHEMAS = load_schema()


def apply(doc, patch, name=CONFIG_MAP):
    return apply_strategic_patch(doc, patch, name, SCHEMAS)


def spec(**fields):
    return {"template": {"spec": fields}}


def apply_spec(doc, **patch):
    return apply(spec(**doc), spec(**patch), TEMPLATE)["template"]["spec"]


def names(entries):
    return [one["name"] for one in entries]


def test_maps_merge_and_nulls_remove():
    assert apply({"data": {"k": "v", "l": "w"}}, {"data": {"k": None, "m": "x"}}) == {"data": {"l": "w", "m": "x"}}
    assert apply({"data": {"k": "v"}}, {"data": {"$patch": "replace", "only": "this"}}) == {"data": {"only": "this"}}
    assert apply({"data": {"k": "v"}}, {"data": {"$patch": "delete"}}) == {"data": {}}
    assert apply({"data": {"k": "v"}}, {"$patch": "replace", "x": 1}) == {"x": 1}


def test_containers_merge_by_name_and_new_ones_come_in_the_middle():
    old = [{"name": "one", "image": "i1"}, {"name": "two", "image": "i2"}]
    result = apply_spec({"containers": old}, containers=[{"name": "one", "image": "changed"}, {"name": "three"}])
    assert result["containers"] == [{"name": "one", "image": "changed"}, {"name": "three"}, {"name": "two", "image": "i2"}]


def test_lists_below_merged_entries():
    old = [{"name": "one", "args": ["x", "y"], "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}]
    result = apply_spec({"containers": old}, containers=[{"name": "one", "args": ["z"], "env": [{"name": "B", "value": "new"}, {"name": "C", "value": "3"}]}])
    assert result["containers"][0]["args"] == ["z"]
    assert result["containers"][0]["env"] == [{"name": "A", "value": "1"}, {"name": "B", "value": "new"}, {"name": "C", "value": "3"}]


def test_entries_are_deleted_and_lists_replaced():
    old = [{"name": "one"}, {"name": "two"}]
    assert names(apply_spec({"containers": old}, containers=[{"name": "two", "$patch": "delete"}])["containers"]) == ["one"]
    assert names(apply_spec({"containers": old}, containers=[{"name": "only"}, {"$patch": "replace"}])["containers"]) == ["only"]
    assert apply_spec({"containers": [{"name": "one", "env": [{"name": "A"}]}]}, containers=[{"name": "one", "env": None}]) == {"containers": [{"name": "one"}]}


def test_lists_without_strategy_are_replaced():
    assert apply_spec({"tolerations": [{"key": "a"}]}, tolerations=[{"key": "b"}]) == {"tolerations": [{"key": "b"}]}
    assert apply_spec({"imagePullSecrets": [{"name": "s"}]}, imagePullSecrets=[{"name": "t"}])["imagePullSecrets"] == [{"name": "t"}, {"name": "s"}]


@pytest.mark.parametrize(
    ("old", "patch", "expected"),
    [
        (["one", "two"], {"$setElementOrder/containers": ["two", "zero", "one"], "containers": ["zero"]}, ["two", "zero", "one"]),
        (["two", "zero", "one"], {"$setElementOrder/containers": ["zero", "one"], "containers": ["-two"]}, ["zero", "one"]),
        (["a", "server", "b"], {"$setElementOrder/containers": ["b", "a"]}, ["server", "b", "a"]),
        ([], {"$setElementOrder/containers": ["b", "a"], "containers": ["b", "a"]}, ["b", "a"]),
    ],
)
def test_element_order(old, patch, expected):
    def entries(values):
        return [{"name": one[1:], "$patch": "delete"} if one.startswith("-") else {"name": one} for one in values]

    result = apply_spec({"containers": entries(old)} if old else {}, **{key: entries(value) for key, value in patch.items()})
    assert names(result["containers"]) == expected


def test_primitive_lists_are_sets():
    def finalizers(old, **patch):
        return apply({"metadata": {"finalizers": old}}, {"metadata": patch})["metadata"]["finalizers"]

    assert finalizers(["a", "b"], finalizers=["c", "a"]) == ["c", "a", "b"]
    assert finalizers(["c", "a", "b"], **{"$deleteFromPrimitiveList/finalizers": ["b", "none"]}) == ["c", "a"]
    assert finalizers(["c", "a"], **{"$setElementOrder/finalizers": ["d", "c", "a"], "finalizers": ["d"]}) == ["d", "c", "a"]
    assert finalizers(["d", "c", "a"], **{"$setElementOrder/finalizers": ["c", "d"], "$deleteFromPrimitiveList/finalizers": ["a"]}) == ["c", "d"]


def test_retain_keys_drops_the_other_sources_and_leaves_no_trace_in_new_entries():
    old = [{"name": "v", "emptyDir": {}}, {"name": "w", "emptyDir": {}}]
    patch = [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}}, {"name": "n", "$retainKeys": ["name", "emptyDir"], "emptyDir": {}}]
    assert apply_spec({"volumes": old}, volumes=patch)["volumes"] == [
        {"name": "v", "hostPath": {"path": "/x"}},
        {"name": "n", "emptyDir": {}},
        {"name": "w", "emptyDir": {}},
    ]


def test_service_ports_merge_by_number_alone():
    old = {"spec": {"ports": [{"name": "http", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}]}}
    result = apply(old, {"spec": {"ports": [{"name": "dns-tcp", "port": 53, "protocol": "TCP"}]}}, SERVICE)
    assert result["spec"]["ports"] == [{"name": "http", "port": 80}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]


@pytest.mark.parametrize(
    ("patch", "code"),
    [
        (spec(containers=[{"image": "no-name"}]), 500),
        (spec(containers=[{"name": "one", "$patch": "upset"}]), 500),
        ({"$patch": "upset"}, 500),
        (spec(**{"$setElementOrder/containers": [{"name": "one"}], "containers": [{"name": "zero"}]}), 500),
        (spec(volumes=[{"name": "w", "$retainKeys": ["name"], "hostPath": {}}]), 400),
        ([], 400),
    ],
)
def test_malformed_patches(patch, code):
    with pytest.raises(ApiError) as error:
        apply(spec(containers=[{"name": "one"}], volumes=[{"name": "w"}]), patch, TEMPLATE)
    assert error.value.code == code
    assert error.value.reason == ("BadRequest" if code == 400 else "")


entries = st.lists(st.sampled_from("abcdef"), unique=True, max_size=5).map(lambda found: [{"name": one} for one in found])


@given(entries, entries)
def test_merged_lists_hold_each_name_once_and_inputs_stay(old, patch):
    doc = spec(containers=old)
    before = deep_copy(doc)
    result = apply(doc, spec(containers=patch), TEMPLATE)["template"]["spec"]["containers"]
    assert sorted(names(result)) == sorted({*names(old), *names(patch)})
    assert doc == before
    again = apply(spec(containers=result), spec(containers=patch), TEMPLATE)["template"]["spec"]["containers"]
    assert sorted(names(again)) == sorted(names(result))


@given(entries, entries)
def test_patch_order_is_kept_among_the_patch_entries(old, patch):
    result = names(apply(spec(containers=old), spec(containers=patch), TEMPLATE)["template"]["spec"]["containers"])
    assert [one for one in result if one in names(patch)] == names(patch)
