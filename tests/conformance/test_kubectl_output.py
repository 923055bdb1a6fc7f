"""Formats, selectors and orders of `kubectl get`."""

import json

import pytest
import yaml

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

THREE = "".join(
    f"""
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: {name}, labels: {{app: "{app}", size: "{size}"}}}}
data: {{size: "{size}"}}
"""
    for name, app, size in (("one", "x", 3), ("two", "x", 1), ("three", "y", 2))
)


@pytest.fixture
def three(kubectl):
    kubectl("create", "-f", "-", stdin=THREE)
    return kubectl


def names(text):
    return [line.removeprefix("configmap/") for line in text.splitlines()]


def test_json_and_yaml_are_the_object(three, namespace):
    found = three.get("configmap", "one")
    assert found["apiVersion"] == "v1"
    assert found["kind"] == "ConfigMap"
    assert found["data"] == {"size": "3"}
    assert list(found["metadata"]) == ["creationTimestamp", "labels", "name", "namespace", "resourceVersion", "uid"]
    assert found["metadata"]["namespace"] == namespace
    assert yaml.safe_load(three("get", "configmap", "one", "-o", "yaml"))["data"] == {"size": "3"}


def test_managed_fields_are_there_when_asked_for(three):
    found = three.get("configmap", "one", "--show-managed-fields")
    (entry,) = found["metadata"]["managedFields"]
    assert entry["manager"] == "kubectl-create"
    assert entry["operation"] == "Update"
    assert entry["fieldsV1"]["f:data"] == {".": {}, "f:size": {}}


def test_several_objects_are_a_list(three):
    found = three.get("configmap", "-l", "app")
    assert found["kind"] == "List"
    assert found["metadata"] == {"resourceVersion": ""}
    assert [one["kind"] for one in found["items"]] == ["ConfigMap"] * 3


def test_name_jsonpath_template_and_custom_columns(three):
    assert three("get", "cm", "one", "-o", "name") == "configmap/one\n"
    assert three("get", "cm", "-l", "app", "-o", "jsonpath={.items[*].metadata.name}") == "one three two"
    assert three("get", "cm", "-l", "app", "-o", r"jsonpath={range .items[*]}{.data.size}{'\n'}{end}") == "3\n2\n1\n"
    assert three("get", "cm", "one", "-o", "go-template={{.metadata.labels.app}}") == "x"
    text = three("get", "cm", "-l", "app", "-o", "custom-columns=N:.metadata.name,S:.data.size,X:.nothing")
    assert [line.split() for line in text.splitlines()] == [
        ["N", "S", "X"], ["one", "3", "<none>"], ["three", "2", "<none>"], ["two", "1", "<none>"],
    ]


def test_label_selectors(three):
    cases = {
        "app=x": ["one", "two"],
        "app==y": ["three"],
        "app!=x,app": ["three"],
        "app in (x,y),size notin (1)": ["one", "three"],
        "app,!size": [],
        "size=2": ["three"],
    }
    for selector, expected in cases.items():
        assert names(three("get", "cm", "-l", selector, "-o", "name")) == expected, selector
    assert "unable to parse requirement" in three.fails("get", "cm", "-l", "app in x")


def test_field_selectors(three):
    assert names(three("get", "cm", "--field-selector", "metadata.name=two", "-o", "name")) == ["two"]
    assert names(three("get", "cm", "-l", "app", "--field-selector", "metadata.name!=two", "-o", "name")) == ["one", "three"]
    fault = three.fails("get", "cm", "--field-selector", "data.size=1")
    assert fault == (
        'Error from server (BadRequest): Unable to find "/v1, Resource=configmaps" that match label selector "", field selector '
        '"data.size=1": "data.size" is not a known field selector: only "metadata.name", "metadata.namespace"\n'
    )
    assert three.fails("get", "pods", "--field-selector", "spec.x=1").endswith(": field label not supported: spec.x\n")


def test_pods_can_be_selected_by_phase_and_node(kubectl):
    kubectl("run", "p", "--image=i", "--overrides", '{"spec":{"schedulerName":"nobody"}}')
    assert kubectl("get", "pods", "--field-selector", "status.phase=Pending", "-o", "name") == "pod/p\n"
    assert kubectl("get", "pods", "--field-selector", "status.phase=Running", "-o", "name") == ""
    assert kubectl("get", "pods", "--field-selector", "spec.nodeName=", "-o", "name") == "pod/p\n"


def test_order_by_a_field(three):
    text = three("get", "cm", "-l", "app", "--sort-by={.data.size}", "-o", "custom-columns=N:.metadata.name", "--no-headers")
    assert text.split() == ["two", "three", "one"]
    text = three("get", "cm", "-l", "app", "--sort-by=.metadata.labels.size", "--no-headers")
    assert [line.split()[0] for line in text.splitlines()] == ["two", "three", "one"]
    text = three("get", "cm", "-l", "app", "--sort-by=.metadata.creationTimestamp", "-o", "name")
    assert sorted(names(text)) == ["one", "three", "two"]


def test_labels_as_columns(three):
    text = three("get", "cm", "-l", "app=y", "--show-labels").splitlines()
    assert text[0].split() == ["NAME", "DATA", "AGE", "LABELS"]
    assert text[1].split()[-1] == "app=y,size=2"
    text = three("get", "cm", "-l", "app=y", "-L", "size,none").splitlines()
    assert text[0].split() == ["NAME", "DATA", "AGE", "SIZE", "NONE"]
    assert text[1].split()[-1] == "2"


def test_all_namespaces_have_a_column_of_their_own(three, namespace):
    text = three("get", "cm", "-A", "-l", "app=y").splitlines()
    assert text[0].split() == ["NAMESPACE", "NAME", "DATA", "AGE"]
    assert [namespace, "three"] in [line.split()[:2] for line in text[1:]]


def test_a_long_list_comes_in_chunks(kubectl):
    items = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"c{n:02}"}} for n in range(12)]
    kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    text = kubectl("get", "cm", "--chunk-size=5", "--no-headers")
    assert [line.split()[0] for line in text.splitlines()] == [f"c{n:02}" for n in range(12)] + ["kube-root-ca.crt"]


def test_raw_answers_are_printed_as_they_are(three, namespace):
    found = json.loads(three("get", "--raw", f"/api/v1/namespaces/{namespace}/configmaps/one"))
    assert found["data"] == {"size": "3"}
    assert "managedFields" in found["metadata"]


def test_subresources_can_be_read(kubectl, played_node):
    kubectl("create", "deployment", "web", "--image=web", "--replicas=0")
    text = kubectl("get", "deployment", "web", "--subresource=scale").splitlines()
    assert text[0].split() == ["NAME", "DESIRED", "AVAILABLE", "AGE"]
    assert text[1].split()[:3] == ["web", "0", "0"]
    found = kubectl.get("deployment", "web", "--subresource=status")
    assert found["kind"] == "Deployment"
