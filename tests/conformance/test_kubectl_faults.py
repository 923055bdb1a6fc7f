"""Wrong input: what is said, and the exit code."""

import json
from pathlib import Path

import pytest
import yaml

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def pod(**spec):
    containers = [{"name": "c", "image": "i"}]
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": containers, **spec}})


def test_unknown_resource_and_kind(kubectl):
    assert kubectl.fails("get", "unicorns") == 'error: the server doesn\'t have a resource type "unicorns"\n'
    fault = kubectl.fails("apply", "-f", "-", stdin="{apiVersion: example.org/v1, kind: Unicorn, metadata: {name: u}}")
    assert fault == (
        'error: resource mapping not found for name: "u" namespace: "" from "STDIN": no matches for kind "Unicorn" in version '
        '"example.org/v1"\nensure CRDs are installed first\n'
    )


def test_unknown_fields_are_found_before_and_named(kubectl):
    fault = kubectl.fails("apply", "-f", "-", stdin=pod(restartPolicyy="Always"))
    assert fault == (
        'Error from server (BadRequest): error when creating "STDIN": Pod in version "v1" cannot be handled as a Pod: '
        'strict decoding error: unknown field "spec.restartPolicyy"\n'
    )
    done = kubectl.run("apply", "--validate=warn", "-f", "-", stdin=pod(restartPolicyy="Always", nodeSelector={"never": "there"}))
    assert done.returncode == 0
    assert done.stderr == 'Warning: unknown field "spec.restartPolicyy"\n'


def test_a_wrong_type_is_said_with_its_place(kubectl):
    fault = kubectl.fails("create", "--validate=ignore", "-f", "-", stdin=pod(hostNetwork="yes"))
    assert 'Pod in version "v1" cannot be handled as a Pod: json: cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork of type bool' in fault


def test_invalid_values_are_listed_with_their_fields(kubectl):
    manifest = json.dumps(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "Bad_Name"}, "spec": {"containers": [
            {"name": "C", "image": ""}, {"name": "d", "image": "i", "imagePullPolicy": "Sometimes"}]}}
    )
    fault = kubectl.fails("create", "-f", "-", stdin=manifest)
    assert fault.startswith('The Pod "Bad_Name" is invalid: \n* metadata.name: Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain')
    assert '* spec.containers[0].name: Invalid value: "C": a lowercase RFC 1123 label' in fault
    assert "* spec.containers[0].image: Required value" in fault
    assert '* spec.containers[1].imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never"' in fault


def test_one_invalid_value_stands_on_the_same_line(kubectl):
    fault = kubectl.fails("create", "service", "clusterip", "s", "--tcp=99999")
    assert "99999" in fault
    manifest = "{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {ports: [{port: 99999, targetPort: 80}]}}"
    assert kubectl.fails("create", "-f", "-", stdin=manifest) == (
        'The Service "s" is invalid: spec.ports[0].port: Invalid value: 99999: must be between 1 and 65535, inclusive\n'
    )


def test_a_missing_kind_and_broken_yaml(kubectl):
    assert 'error validating "STDIN": error validating data: kind not set' in kubectl.fails("apply", "-f", "-", stdin="{apiVersion: v1, metadata: {name: x}}")
    assert "error converting YAML to JSON" in kubectl.fails("apply", "-f", "-", stdin="a: [")
    assert "no objects passed to apply" in kubectl.fails("apply", "-f", "-", stdin="")


def test_a_namespace_that_is_not_there(kubectl):
    kubectl.namespace = "nowhere"
    fault = kubectl.fails("create", "-f", "-", stdin='{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"}}')
    assert fault == 'Error from server (NotFound): error when creating "STDIN": namespaces "nowhere" not found\n'
    assert kubectl.run("get", "configmaps").stderr == "No resources found in nowhere namespace.\n"


def test_the_namespace_of_a_manifest_must_be_the_one_asked_for(kubectl, namespace):
    manifest = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","namespace":"other"}}'
    assert f"the namespace from the provided object \"other\" does not match the namespace \"{namespace}\"" in kubectl.fails(
        "create", "-f", "-", stdin=manifest
    )


def test_an_immutable_field(kubectl):
    kubectl("create", "-f", "-", stdin="{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, immutable: true, data: {a: b}}")
    fault = kubectl.fails("patch", "configmap", "c", "-p", '{"data":{"a":"c"}}')
    assert fault == 'The ConfigMap "c" is invalid: data: Forbidden: field is immutable when `immutable` is set\n'
    kubectl("create", "secret", "generic", "s")
    fault = kubectl.fails("patch", "secret", "s", "-p", '{"type":"x"}')
    assert fault == 'The Secret "s" is invalid: type: Invalid value: "x": field is immutable\n'


def test_a_pod_can_hardly_be_changed(kubectl):
    kubectl("create", "-f", "-", stdin=pod(nodeSelector={"never": "there"}))
    fault = kubectl.fails("patch", "pod", "p", "-p", '{"spec":{"restartPolicy":"Never"}}')
    assert fault.startswith('The Pod "p" is invalid: spec: Forbidden: pod updates may not change fields other than ')


def changed_config(kubectl, tmp_path, change):
    config = yaml.safe_load(Path(kubectl.environment["KUBECONFIG"]).read_text())
    change(config)
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return {"KUBECONFIG": str(path)}


def test_a_kubeconfig_with_a_wrong_authority(kubectl, tmp_path, cluster):
    other = cluster.folder / "data/server/tls/client-ca.crt"

    def change(config):
        config["clusters"][0]["cluster"] = {"server": cluster.url, "certificate-authority": str(other)}

    fault = kubectl.fails("get", "pods", **changed_config(kubectl, tmp_path, change))
    assert "tls: failed to verify certificate: x509: certificate signed by unknown authority" in fault


def test_a_bad_token_and_no_credentials(kubectl, tmp_path):
    def bad_token(config):
        config["users"][0]["user"] = {"token": "eyJhbGciOiJSUzI1NiJ9.e30.c2ln"}

    fault = kubectl.fails("get", "pods", **changed_config(kubectl, tmp_path, bad_token))
    assert fault == "error: You must be logged in to the server (Unauthorized)\n"

    def nobody(config):
        config["users"][0]["user"] = {}

    fault = kubectl.fails("get", "--raw", "/api/v1/nodes", **changed_config(kubectl, tmp_path, nobody))
    # Refused (401), kubectl asks for a user name, which nobody types.
    assert fault == "error: EOF\n"


def test_a_server_that_is_not_there(kubectl, tmp_path):
    def change(config):
        config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"

    fault = kubectl.fails("get", "pods", **changed_config(kubectl, tmp_path, change))
    assert "The connection to the server 127.0.0.1:1 was refused - did you specify the right host or port?" in fault


def test_config_view_hides_the_secrets(kubectl, cluster):
    text = kubectl("config", "view")
    assert f"server: {cluster.url}" in text
    assert "DATA+OMITTED" in text
    assert kubectl("config", "current-context").strip()
    assert "PRIVATE KEY" not in text


def test_logs_and_exec_of_what_does_not_run(kubectl):
    kubectl("create", "-f", "-", stdin=pod(nodeSelector={"never": "there"}))
    assert kubectl.fails("exec", "p", "--", "true") == "Error from server (BadRequest): pod p does not have a host assigned\n"
    assert kubectl.fails("logs", "nobody") == f'error: error from server (NotFound): pods "nobody" not found in namespace "{kubectl.namespace}"\n'
    assert kubectl.fails("logs", "p", "-c", "x") == "error: container x is not valid for pod p\n"
