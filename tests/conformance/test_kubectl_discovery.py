"""What the server says about itself: api-resources, api-versions, explain, version, health, metrics, OpenAPI."""

import json

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

ALL = "create,delete,deletecollection,get,list,patch,update,watch"


def test_api_resources_name_everything_about_a_kind(kubectl):
    lines = [line.split() for line in kubectl("api-resources", "-o", "wide").splitlines()]
    assert lines[0] == ["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND", "VERBS", "CATEGORIES"]
    repeated = {"events.k8s.io/v1", "metrics.k8s.io/v1beta1"}  # groups with plurals of others
    rows = {line[0]: line for line in lines[1:] if repeated.isdisjoint(line)}
    assert rows["pods"] == ["pods", "po", "v1", "true", "Pod", ALL, "all"]
    assert rows["configmaps"] == ["configmaps", "cm", "v1", "true", "ConfigMap", ALL]
    assert rows["deployments"] == ["deployments", "deploy", "apps/v1", "true", "Deployment", ALL, "all"]
    assert rows["replicasets"] == ["replicasets", "rs", "apps/v1", "true", "ReplicaSet", ALL, "all"]
    assert rows["services"] == ["services", "svc", "v1", "true", "Service", ALL, "all"]
    assert rows["serviceaccounts"] == ["serviceaccounts", "sa", "v1", "true", "ServiceAccount", ALL]
    assert rows["nodes"] == ["nodes", "no", "v1", "false", "Node", ALL]
    assert rows["secrets"] == ["secrets", "v1", "true", "Secret", ALL]
    assert rows["events"][:2] == ["events", "ev"]
    assert rows["leases"] == ["leases", "coordination.k8s.io/v1", "true", "Lease", ALL]
    assert rows["roles"] == ["roles", "rbac.authorization.k8s.io/v1", "true", "Role", ALL]
    assert rows["clusterrolebindings"][1:4] == ["rbac.authorization.k8s.io/v1", "false", "ClusterRoleBinding"]
    assert rows["namespaces"] == ["namespaces", "ns", "v1", "false", "Namespace", "create,delete,get,list,patch,update,watch"]
    assert rows["selfsubjectaccessreviews"][-1] == "create"


def test_api_resources_can_be_narrowed(kubectl):
    spaced = kubectl("api-resources", "--namespaced=true", "-o", "name").split()
    global_ = kubectl("api-resources", "--namespaced=false", "-o", "name").split()
    assert {"pods", "deployments.apps"} <= set(spaced)
    assert {"nodes", "namespaces", "clusterroles.rbac.authorization.k8s.io"} <= set(global_)
    assert not set(spaced) & set(global_)
    assert "selfsubjectaccessreviews.authorization.k8s.io" not in kubectl("api-resources", "--verbs=list", "-o", "name")
    assert set(kubectl("api-resources", "--api-group=apps", "-o", "name", "--no-headers").split()) == {
        "controllerrevisions.apps", "daemonsets.apps", "deployments.apps", "replicasets.apps", "statefulsets.apps",
    }
    names = kubectl("api-resources", "--categories=all", "-o", "name").split()
    assert {"pods", "services", "deployments.apps", "replicasets.apps"} <= set(names)
    assert "configmaps" not in names


def test_api_versions(kubectl):
    found = kubectl("api-versions").split()
    assert found == sorted(found)
    assert {"v1", "apps/v1", "rbac.authorization.k8s.io/v1", "coordination.k8s.io/v1", "events.k8s.io/v1"} <= set(found)


def test_version_and_cluster_info(kubectl, cluster):
    found = json.loads(kubectl("version", "-o", "json"))["serverVersion"]
    assert (found["major"], found["minor"]) == ("1", "35")
    assert found["gitVersion"].startswith("v1.35.")
    text = kubectl("cluster-info")
    assert f"Kubernetes control plane is running at {cluster.url}" in text.replace("\x1b[0;32m", "").replace("\x1b[0;33m", "").replace("\x1b[0m", "")


def test_cluster_info_dump_writes_everything_down(kubectl, namespace, tmp_path):
    kubectl("create", "deployment", "web", "--image=i", "--replicas=0")
    kubectl("cluster-info", "dump", "--namespaces", namespace, f"--output-directory={tmp_path}")
    assert json.loads((tmp_path / namespace / "deployments.json").read_text())["items"][0]["metadata"]["name"] == "web"
    assert (tmp_path / "nodes.json").exists()


def test_health_and_metrics(kubectl):
    for path in ("/healthz", "/livez", "/readyz"):
        assert kubectl("get", "--raw", path) == "ok"
    text = kubectl("get", "--raw", "/readyz?verbose")
    assert "[+]ping ok\n" in text
    assert text.endswith("readyz check passed\n")
    assert "apiserver_request_total" in kubectl("get", "--raw", "/metrics")
    assert "/apis/apps/v1" in json.loads(kubectl("get", "--raw", "/"))["paths"]


def test_openapi_documents_are_there(kubectl):
    index = json.loads(kubectl("get", "--raw", "/openapi/v3"))["paths"]
    assert "apis/apps/v1" in index
    document = json.loads(kubectl("get", "--raw", index["apis/apps/v1"]["serverRelativeURL"]))
    assert "io.k8s.api.apps.v1.Deployment" in document["components"]["schemas"]
    assert json.loads(kubectl("get", "--raw", "/openapi/v2"))["swagger"] == "2.0"


def test_explain_a_kind(kubectl):
    text = kubectl("explain", "deployment")
    assert text.startswith("GROUP:      apps\nKIND:       Deployment\nVERSION:    v1\n\nDESCRIPTION:\n")
    for field in ("apiVersion\t<string>", "kind\t<string>", "metadata\t<ObjectMeta>", "spec\t<DeploymentSpec>", "status\t<DeploymentStatus>"):
        assert f"\n  {field}\n" in text
    assert "Deployment enables declarative updates for Pods and ReplicaSets." in text


def test_explain_a_field(kubectl):
    text = kubectl("explain", "pods.spec.containers.imagePullPolicy")
    assert text.startswith("KIND:       Pod\nVERSION:    v1\n\nFIELD: imagePullPolicy <string>\nENUM:\n    Always\n    IfNotPresent\n    Never\n")
    assert "Possible enum values:\n     - `\"Always\"` means that kubelet always attempts to pull the latest image." in text
    assert "FIELD: containers <[]Container>" in kubectl("explain", "pod.spec.containers")
    assert "FIELD: data <map[string]string>" in kubectl("explain", "configmap.data")
    text = kubectl("explain", "pod.spec.containers")
    assert "  name\t<string> -required-\n" in text
    assert 'field "nothing" does not exist' in kubectl.fails("explain", "pod.spec.nothing")


def test_explain_recursively_and_in_a_version(kubectl):
    text = kubectl("explain", "service", "--recursive")
    for line in ("  spec\t<ServiceSpec>\n", "    ports\t<[]ServicePort>\n", "      targetPort\t<IntOrString>\n"):
        assert line in text
    assert "KIND:       Event\nVERSION:    v1\n" in kubectl("explain", "events", "--api-version=events.k8s.io/v1")
    assert "KIND:       Role\n" in kubectl("explain", "roles.rules.verbs", "--api-version=rbac.authorization.k8s.io/v1")


def test_every_kind_of_the_thin_whole_can_be_explained(kubectl):
    kinds = "namespaces nodes pods configmaps secrets services serviceaccounts events leases deployments replicasets roles clusterroles rolebindings clusterrolebindings endpointslices"
    for name in kinds.split():
        assert "\n  apiVersion\t<string>\n" in kubectl("explain", name), name
