"""`kubectl apply --server-side`: owners of fields, conflicts, force, migration from client-side apply."""

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      nodeSelector: {never: there}
      containers:
      - {name: web, image: "web:1", ports: [{containerPort: 80}, {containerPort: 80, protocol: UDP}]}
"""
CONFIG = "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: c}}, data: {}}}"


def managers(kubectl, resource, name):
    found = kubectl.get(resource, name, "--show-managed-fields")
    return {one["manager"]: one for one in found["metadata"]["managedFields"]}


def ssa(kubectl, manifest, *arguments, manager="kubectl"):
    return kubectl("apply", "--server-side", f"--field-manager={manager}", *arguments, "-f", "-", stdin=manifest)


def test_server_side_apply_creates_and_owns(kubectl):
    assert ssa(kubectl, DEPLOYMENT) == "deployment.apps/web serverside-applied\n"
    assert ssa(kubectl, DEPLOYMENT) == "deployment.apps/web serverside-applied\n"
    found = kubectl.get("deployment", "web")
    assert "annotations" not in found["metadata"] or "last-applied" not in str(found["metadata"]["annotations"])
    assert found["metadata"]["generation"] == 1
    entry = managers(kubectl, "deployment", "web")["kubectl"]
    assert entry["operation"] == "Apply"
    assert entry["fieldsV1"]["f:spec"]["f:replicas"] == {}
    containers = entry["fieldsV1"]["f:spec"]["f:template"]["f:spec"]["f:containers"]
    assert '{"containerPort":80,"protocol":"UDP"}' in str(containers).replace("k:", "")


def test_a_conflict_names_the_other_manager_and_the_field(kubectl):
    ssa(kubectl, DEPLOYMENT)
    other = DEPLOYMENT.replace("replicas: 2", "replicas: 3")
    fault = kubectl.fails("apply", "--server-side", "--field-manager=other", "-f", "-", stdin=other)
    assert fault.startswith('error: Apply failed with 1 conflict: conflict with "kubectl": .spec.replicas\n')
    assert "Please review the fields above--they currently have other managers." in fault
    ssa(kubectl, other, "--force-conflicts", manager="other")
    assert kubectl.get("deployment", "web")["spec"]["replicas"] == 3
    assert "f:replicas" not in managers(kubectl, "deployment", "web")["kubectl"]["fieldsV1"]["f:spec"]


def test_several_conflicts_are_listed(kubectl):
    ssa(kubectl, CONFIG.format("{a: '1', b: '2'}"))
    fault = kubectl.fails(
        "apply", "--server-side", "--field-manager=other", "-f", "-", stdin=CONFIG.format("{a: x, b: x}")
    )
    assert fault.startswith('error: Apply failed with 2 conflicts: conflicts with "kubectl":\n- .data.a\n- .data.b\n')


def test_a_field_that_its_only_owner_gives_up_goes(kubectl):
    ssa(kubectl, CONFIG.format("{a: '1', b: '2'}"))
    ssa(kubectl, CONFIG.format("{b: '2', c: '3'}"), manager="other")
    ssa(kubectl, CONFIG.format("{}"))
    assert kubectl.get("configmap", "c")["data"] == {"b": "2", "c": "3"}


def test_a_conflict_with_an_update_says_by_what(kubectl):
    ssa(kubectl, DEPLOYMENT)
    kubectl("scale", "deployment", "web", "--replicas=4")
    fault = kubectl.fails("apply", "--server-side", "-f", "-", stdin=DEPLOYMENT)
    assert 'conflict with "kubectl" with subresource "scale" using apps/v1: .spec.replicas\n' in fault


def test_client_side_applied_objects_are_taken_over(kubectl):
    kubectl("apply", "-f", "-", stdin=CONFIG.format("{a: '1', b: '2'}"))
    ssa(kubectl, CONFIG.format("{a: '1'}"))
    assert kubectl.get("configmap", "c")["data"] == {"a": "1"}
    found = managers(kubectl, "configmap", "c")
    # kubectl keeps the annotation of client-side apply alive, as a manager of its own.
    assert set(found) == {"kubectl", "kubectl-last-applied"}
    assert found["kubectl"]["operation"] == "Apply"


def test_a_dry_run_keeps_nothing(kubectl):
    assert ssa(kubectl, DEPLOYMENT, "--dry-run=server") == "deployment.apps/web serverside-applied (server dry run)\n"
    kubectl.fails("get", "deployment", "web")


def test_an_unknown_field_is_refused_with_its_name(kubectl):
    manifest = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, dataa: {a: b}}"
    fault = kubectl.fails("apply", "--server-side", "--validate=false", "-f", "-", stdin=manifest)
    assert ".dataa: field not declared in schema" in fault
