"""Changing what exists: edit, patch, replace, label, annotate, set, scale."""

import json

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
def web(kubectl):
    """A deployment without pods and a config map."""
    kubectl("create", "deployment", "web", "--image=web:1", "--replicas=0")
    kubectl("create", "configmap", "c", "--from-literal=a=1")
    return kubectl


def template(kubectl):
    return kubectl.get("deployment", "web")["spec"]["template"]


def test_edit_sends_what_the_editor_left(web):
    assert web("edit", "configmap", "c", KUBE_EDITOR="sed -i 's/a: \"1\"/a: \"2\"/'") == "configmap/c edited\n"
    assert web.get("configmap", "c")["data"] == {"a": "2"}
    done = web.run("edit", "configmap", "c", environment={"KUBE_EDITOR": "true"})
    assert done.stdout + done.stderr == "Edit cancelled, no changes made.\n"
    assert '"image": "web:2"' in web("edit", "deployment/web", "-o", "json", KUBE_EDITOR="sed -i 's/web:1/web:2/'")
    assert template(web)["spec"]["containers"][0]["image"] == "web:2"


def test_edit_of_several_and_of_the_status(web):
    web("create", "configmap", "d", "--from-literal=a=1")
    answer = web("edit", "configmap", "c", "d", KUBE_EDITOR="sed -i 's/a: \"1\"/a: \"3\"/'")
    assert answer == "configmap/c edited\nconfigmap/d edited\n"
    web("create", "service", "loadbalancer", "lb", "--tcp=80")
    web("edit", "service", "lb", "--subresource=status", KUBE_EDITOR="sed -i 's/loadBalancer: {}/loadBalancer: {ingress: [{ip: 192.0.2.3}]}/'")
    assert web.get("service", "lb")["status"]["loadBalancer"]["ingress"][0]["ip"] == "192.0.2.3"


def test_an_edit_that_the_server_refuses_says_why_and_keeps_the_file(web, tmp_path):
    script = tmp_path / "editor"
    # The editor is opened again with the fault on top; the second time it leaves the file alone, which ends the edit.
    script.write_text("#!/bin/sh\ngrep -q 'is invalid' \"$1\" && exit 0\nsed -i 's/image: web:1/image: \"\"/' \"$1\"\n")
    script.chmod(0o755)
    done = web.run("edit", "deployment/web", environment={"KUBE_EDITOR": str(script)})
    assert done.returncode == 1
    assert 'deployments.apps "web" is invalid' in done.stderr + done.stdout
    assert "A copy of your changes has been stored to" in done.stderr + done.stdout


def test_strategic_patch_merges_by_key(web):
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "side:1"}]}}}}
    assert web("patch", "deployment", "web", "-p", json.dumps(patch)) == "deployment.apps/web patched\n"
    assert {one["name"] for one in template(web)["spec"]["containers"]} == {"web", "side"}
    assert web("patch", "deployment", "web", "-p", json.dumps(patch)) == "deployment.apps/web patched (no change)\n"
    patch = {"spec": {"template": {"spec": {"containers": [{"$patch": "delete", "name": "side"}]}}}}
    web("patch", "deployment", "web", "-p", json.dumps(patch))
    assert [one["name"] for one in template(web)["spec"]["containers"]] == ["web"]


def test_merge_patch_replaces_lists_and_null_removes(web):
    web("patch", "configmap", "c", "--type=merge", "-p", '{"data":{"a":null,"b":"2"}}')
    assert web.get("configmap", "c")["data"] == {"b": "2"}
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "only", "image": "only:1"}]}}}}
    web("patch", "deployment", "web", "--type=merge", "-p", json.dumps(patch))
    assert [one["name"] for one in template(web)["spec"]["containers"]] == ["only"]


def test_json_patch(web):
    web("patch", "configmap", "c", "--type=json", "-p", '[{"op":"test","path":"/data/a","value":"1"},{"op":"move","from":"/data/a","path":"/data/b"}]')
    assert web.get("configmap", "c")["data"] == {"b": "1"}
    fault = web.fails("patch", "configmap", "c", "--type=json", "-p", '[{"op":"remove","path":"/data/none"}]')
    assert "The request is invalid" in fault
    fault = web.fails("patch", "configmap", "c", "--type=json", "-p", '[{"op":"test","path":"/data/b","value":"9"}]')
    assert fault.startswith("The request is invalid")


def test_patch_of_status_and_scale(web):
    web("patch", "deployment", "web", "--subresource=scale", "--type=merge", "-p", '{"spec":{"replicas":1}}')
    assert web.get("deployment", "web")["spec"]["replicas"] == 1
    web("create", "service", "loadbalancer", "lb", "--tcp=80")
    web("patch", "service", "lb", "--subresource=status", "--type=merge", "-p", '{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.9"}]}},"spec":{"sessionAffinity":"ClientIP"}}')
    found = web.get("service", "lb")
    assert found["status"]["loadBalancer"]["ingress"][0]["ip"] == "192.0.2.9"
    assert found["spec"]["sessionAffinity"] == "None"


def test_a_patch_that_leads_to_an_invalid_object_is_refused(web):
    fault = web.fails("patch", "deployment", "web", "-p", '{"spec":{"replicas":-1}}')
    assert fault == (
        'The Deployment "web" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0\n'
    )
    fault = web.fails("patch", "deployment", "web", "-p", '{"spec":{"replicas":"many"}}')
    assert fault == (
        'The request is invalid: patch: Invalid value: "map[spec:map[replicas:many]]": unrecognized type: int32\n'
    )
    fault = web.fails("patch", "configmap", "c", "--type=merge", "-p", '{"data":"x"}')
    assert fault.startswith('The request is invalid: patch: Invalid value: "{\\"')
    assert fault.endswith("json: cannot unmarshal string into Go struct field ConfigMap.data of type map[string]string\n")


def test_replace_takes_the_whole_and_checks_the_version(web):
    found = web.get("configmap", "c")
    found["data"] = {"b": "2"}
    assert web("replace", "-f", "-", stdin=json.dumps(found)) == "configmap/c replaced\n"
    assert web.get("configmap", "c")["data"] == {"b": "2"}
    fault = web.fails("replace", "-f", "-", stdin=json.dumps(found))
    assert fault == (
        'Error from server (Conflict): error when replacing "STDIN": Operation cannot be fulfilled on configmaps "c": '
        "the object has been modified; please apply your changes to the latest version and try again\n"
    )
    uid = found["metadata"]["uid"]
    del found["metadata"]["resourceVersion"]
    web("replace", "--force", "-f", "-", stdin=json.dumps({**found, "metadata": {"name": "c"}}))
    assert web.get("configmap", "c")["metadata"]["uid"] != uid
    fault = web.fails("replace", "-f", "-", stdin='{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"nobody"}}')
    assert 'configmaps "nobody" not found' in fault


def test_labels_are_set_kept_overwritten_and_removed(web):
    assert web("label", "configmap", "c", "a=1", "b=2") == "configmap/c labeled\n"
    assert web.fails("label", "configmap", "c", "a=2") == (
        "error: 'a' already has a value (1), and --overwrite is false\n"
    )
    assert web("label", "configmap", "c", "a=2", "--overwrite") == "configmap/c labeled\n"
    assert web("label", "configmap", "c", "b-") == "configmap/c unlabeled\n"
    assert web.get("configmap", "c")["metadata"]["labels"] == {"a": "2"}
    assert web("label", "configmap", "c", "--list") == "a=2\n"
    assert web("label", "configmap", "--all", "z=1").count("labeled") == 2
    assert web("label", "configmap", "-l", "a=2", "y=1") == "configmap/c labeled\n"
    fault = web.fails("label", "configmap", "c", "a b=1")
    assert "a b" in fault


def test_annotations_are_set_and_removed(web):
    assert web("annotate", "configmap", "c", "note=hello world", "x=y") == "configmap/c annotated\n"
    assert web("annotate", "configmap", "c", "x-") == "configmap/c annotated\n"
    assert web.get("configmap", "c")["metadata"]["annotations"] == {"note": "hello world"}


def test_set_image_env_resources_account_and_selector(web):
    assert web("set", "image", "deployment/web", "web=web:9") == "deployment.apps/web image updated\n"
    web("set", "env", "deployment/web", "A=1", "B=2")
    web("set", "env", "deployment/web", "A-")
    assert "# Deployment web, container web" in web("set", "env", "deployment/web", "--list")
    web("set", "env", "deployment/web", "--from=configmap/c", "--prefix=C_")
    web("set", "resources", "deployment/web", "--limits=cpu=500m,memory=64Mi", "--requests=cpu=0.1")
    web("set", "serviceaccount", "deployment/web", "default")
    (container,) = template(web)["spec"]["containers"]
    assert container["image"] == "web:9"
    assert container["env"] == [
        {"name": "B", "value": "2"},
        {"name": "C_A", "valueFrom": {"configMapKeyRef": {"key": "a", "name": "c"}}},
    ]
    assert container["resources"] == {"limits": {"cpu": "500m", "memory": "64Mi"}, "requests": {"cpu": "100m"}}
    web("expose", "deployment", "web", "--port=80")
    web("set", "selector", "service/web", "app=other")
    assert web.get("service", "web")["spec"]["selector"] == {"app": "other"}


def test_set_subject_adds_to_a_binding(web, namespace):
    web("create", "role", "r", "--verb=get", "--resource=pods")
    web("create", "rolebinding", "rb", "--role=r", "--user=a")
    web("set", "subject", "rolebinding", "rb", "--user=b", f"--serviceaccount={namespace}:default")
    assert [one["name"] for one in web.get("rolebinding", "rb")["subjects"]] == ["a", "b", "default"]


def test_scale_with_and_without_preconditions(web):
    assert web("scale", "deployment", "web", "--replicas=2") == "deployment.apps/web scaled\n"
    fault = web.fails("scale", "deployment", "web", "--current-replicas=5", "--replicas=3")
    assert fault == "error: Expected replicas to be 5, was 2\n"
    assert web("scale", "--current-replicas=2", "--replicas=0", "deployment/web") == "deployment.apps/web scaled\n"
    assert web.get("deployment", "web")["spec"]["replicas"] == 0
    assert "nobody" in web.fails("scale", "deployment", "nobody", "--replicas=1")
