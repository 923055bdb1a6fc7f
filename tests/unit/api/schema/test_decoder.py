import pytest

from k3py.api.schema import load_schema
from k3py.api.schema.decoder import TypeFault
from k3py.api.schema.duplicates import find_duplicate_fields

POD = "io.k8s.api.core.v1.Pod"
CONFIG_MAP = "io.k8s.api.core.v1.ConfigMap"
DEPLOYMENT = "io.k8s.api.apps.v1.Deployment"


@pytest.fixture(scope="module")
def schemas():
    return load_schema()


def pod(**spec):
    return {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}, "spec": {"containers": [{"name": "c"}]} | spec}


@pytest.mark.parametrize(
    ("name", "obj", "message"),
    [
        (CONFIG_MAP, {"data": {"k": 1}}, "json: cannot unmarshal number into Go struct field ConfigMap.data of type string"),
        (CONFIG_MAP, {"data": []}, "json: cannot unmarshal array into Go struct field ConfigMap.data of type map[string]string"),
        (DEPLOYMENT, {"spec": {"replicas": "3"}}, "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"),
        (DEPLOYMENT, {"spec": {"replicas": 15.0}}, "json: cannot unmarshal number 15.0 into Go struct field DeploymentSpec.spec.replicas of type int32"),
        (DEPLOYMENT, {"spec": {"replicas": 1 << 31}}, "json: cannot unmarshal number 2147483648 into Go struct field DeploymentSpec.spec.replicas of type int32"),
        (DEPLOYMENT, {"spec": {"paused": "true"}}, "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.paused of type bool"),
        (POD, pod(containers={}), "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container"),
        (POD, pod(containers=[{"image": 1}]), "json: cannot unmarshal number into Go struct field Container.spec.containers.image of type string"),
        (POD, {"spec": "x"}, "json: cannot unmarshal string into Go struct field Pod.spec of type v1.PodSpec"),
        (POD, {"metadata": {"creationTimestamp": "today"}}, 'parsing time "today" as "2006-01-02T15:04:05Z07:00": cannot parse "today"'),
        (POD, [], "json: cannot unmarshal array into Go value of type v1.Pod"),
    ],
)  # fmt: skip
def test_wrong_types_are_told_as_go_tells_them(schemas, name, obj, message):
    with pytest.raises(TypeFault) as fault:
        schemas.decode(name, obj)
    assert fault.value.message() == message
    assert schemas.check_types(name, obj) == [message]


def test_booleans_are_no_integers(schemas):
    assert schemas.check_types(DEPLOYMENT, {"spec": {"replicas": True}})


def test_nulls_become_zero_values(schemas):
    decoded, _ = schemas.decode(CONFIG_MAP, {"metadata": {"labels": None}, "data": {"k": None}, "immutable": None})
    assert decoded == {"metadata": {}, "data": {"k": ""}}


def test_unknown_fields_are_dropped_and_named_by_path(schemas):
    obj = pod(foo=1, containers=[{"name": "c", "bar": {}, "resources": {"baz": 1}}], nodeSelector={"any": "key"})
    obj["metadata"]["what"] = 1
    obj["Spec"] = {}
    decoded, unknown = schemas.decode(POD, obj)
    assert unknown == ["metadata.what", "spec.containers[0].bar", "spec.containers[0].resources.baz", "spec.foo", "Spec"]
    assert decoded["spec"]["containers"] == [{"name": "c", "resources": {}}]
    assert schemas.prune(POD, obj) == unknown
    assert obj == decoded
    assert schemas.prune(POD, obj) == []


def test_zero_structs_are_shown_and_mandatory_lists_are_null(schemas):
    decoded, _ = schemas.decode("io.k8s.api.rbac.v1.Role", {"metadata": {"name": "r"}})
    assert decoded == {"metadata": {"name": "r"}, "rules": None}
    decoded, _ = schemas.decode(DEPLOYMENT, {})
    template = {"metadata": {}, "spec": {"containers": None}}
    assert decoded == {"metadata": {}, "spec": {"selector": None, "template": template, "strategy": {}}, "status": {}}


def test_fields_come_in_the_servers_order(schemas):
    decoded, _ = schemas.decode(POD, {"spec": {}, "metadata": {}, "apiVersion": "v1", "status": {}, "kind": "Pod"})
    assert list(decoded) == ["kind", "apiVersion", "metadata", "spec", "status"]


def test_optional_zero_values_are_dropped_but_pointers_kept(schemas):
    decoded, _ = schemas.decode(POD, pod(hostNetwork=False, priority=0, shareProcessNamespace=False, volumes=[]))
    assert decoded["spec"] == {"containers": [{"name": "c", "resources": {}}], "priority": 0, "shareProcessNamespace": False}


def test_quantities_and_times_are_normalised(schemas):
    obj = pod(containers=[{"name": "c", "resources": {"limits": {"memory": "1.5Gi", "cpu": 0.5, "x": 2}}}])
    obj["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05.9+01:00"
    decoded, _ = schemas.decode(POD, obj)
    assert decoded["spec"]["containers"][0]["resources"] == {"limits": {"memory": "1536Mi", "cpu": "500m", "x": "2"}}
    assert decoded["metadata"]["deletionTimestamp"] == "2026-01-02T02:04:05Z"


def test_recursive_and_raw_types(schemas):
    props = {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string", "default": {"x": None}}, "nope": 1}}}
    version = {"name": "v1", "schema": {"openAPIV3Schema": props}}
    decoded, unknown = schemas.decode(
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition", {"spec": {"versions": [version]}}
    )
    assert unknown == ["spec.versions[0].schema.openAPIV3Schema.properties.a.nope"]
    found = decoded["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert found["properties"]["a"]["items"] == {"type": "string", "default": {"x": None}}


def test_every_type_compiles(schemas):
    for name in schemas.table.names():
        kind = schemas.table.get(name)
        if not kind.special:
            decoded, unknown = schemas.decode(name, {})
            assert unknown == []
            assert schemas.decode(name, decoded) == (decoded, [])


def test_duplicate_keys_are_found_with_their_paths():
    text = b'{"spec": {"replicas": 1, "replicas": 2, "a": [{"name": 1, "name": 2, "name": 3}]}, "spec2": 1}'
    assert find_duplicate_fields(text) == ["spec.replicas", "spec.a[0].name"]
    assert find_duplicate_fields(b'{"a": {"b": 1}, "c": {"b": 1}}') == []
    assert find_duplicate_fields(b"{") == []
