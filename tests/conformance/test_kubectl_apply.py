"""`kubectl apply` as the client does it: last-applied annotation, three-way merge, prune, kustomize, diff, dry run."""

import json
import shutil

import pytest
import yaml

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

LAST = "kubectl.kubernetes.io/last-applied-configuration"

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {app: web, tier: front}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      nodeSelector: {never: there}
      containers:
      - name: web
        image: "web:1"
        env: [{name: A, value: "1"}, {name: B, value: "2"}]
        ports: [{containerPort: 80}]
      - {name: side, image: "side:1"}
"""


def changed(manifest, change):
    parsed = yaml.safe_load(manifest)
    change(parsed)
    return yaml.safe_dump(parsed)


def container(found, name="web"):
    return next(one for one in found["spec"]["template"]["spec"]["containers"] if one["name"] == name)


def test_apply_creates_then_changes_nothing_then_changes(kubectl):
    assert kubectl("apply", "-f", "-", stdin=DEPLOYMENT) == "deployment.apps/web created\n"
    found = kubectl.get("deployment", "web", "--show-managed-fields")
    assert json.loads(found["metadata"]["annotations"][LAST])["spec"]["replicas"] == 2
    assert "kubectl-client-side-apply" in {one["manager"] for one in found["metadata"]["managedFields"]}
    assert kubectl("apply", "-f", "-", stdin=DEPLOYMENT) == "deployment.apps/web unchanged\n"
    more = DEPLOYMENT.replace("web:1", "web:2")
    assert kubectl("apply", "-f", "-", stdin=more) == "deployment.apps/web configured\n"
    found = kubectl.get("deployment", "web")
    assert container(found)["image"] == "web:2"
    assert found["metadata"]["generation"] == 2


def test_fields_that_are_no_longer_applied_go_and_those_of_others_stay(kubectl):
    kubectl("apply", "-f", "-", stdin=DEPLOYMENT)
    kubectl("label", "deployment", "web", "owner=me")
    kubectl("set", "env", "deployment/web", "C=3", "-c", "web")

    def fewer(manifest):
        del manifest["metadata"]["labels"]["tier"]
        first = manifest["spec"]["template"]["spec"]["containers"][0]
        first["env"] = [{"name": "B", "value": "2"}]
        del first["ports"]
        manifest["spec"]["template"]["spec"]["containers"] = [first]

    kubectl("apply", "-f", "-", stdin=changed(DEPLOYMENT, fewer))
    found = kubectl.get("deployment", "web")
    assert found["metadata"]["labels"] == {"app": "web", "owner": "me"}
    (only,) = found["spec"]["template"]["spec"]["containers"]
    assert {one["name"]: one["value"] for one in only["env"]} == {"B": "2", "C": "3"}
    assert "ports" not in only


def test_a_field_that_another_changed_is_set_back(kubectl):
    kubectl("apply", "-f", "-", stdin=DEPLOYMENT)
    kubectl("scale", "deployment", "web", "--replicas=7")
    assert kubectl("apply", "-f", "-", stdin=DEPLOYMENT) == "deployment.apps/web configured\n"
    assert kubectl.get("deployment", "web")["spec"]["replicas"] == 2


def test_what_was_created_otherwise_can_be_applied_with_a_warning(kubectl):
    kubectl("create", "configmap", "c", "--from-literal=a=1")
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"b": "2"}}
    done = kubectl.run("apply", "-f", "-", stdin=json.dumps(manifest))
    assert done.stdout == "configmap/c configured\n"
    assert "missing the kubectl.kubernetes.io/last-applied-configuration annotation" in done.stderr
    assert kubectl.get("configmap", "c")["data"] == {"a": "1", "b": "2"}


def test_view_and_set_last_applied(kubectl):
    kubectl("apply", "-f", "-", stdin=DEPLOYMENT)
    assert yaml.safe_load(kubectl("apply", "view-last-applied", "deployment/web"))["spec"]["replicas"] == 2
    kubectl("create", "configmap", "c")
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}
    kubectl("apply", "set-last-applied", "-f", "-", "--create-annotation", stdin=json.dumps(manifest))
    assert LAST in kubectl.get("configmap", "c")["metadata"]["annotations"]


def test_a_dry_run_on_the_server_shows_and_keeps_nothing(kubectl):
    answer = kubectl("apply", "--dry-run=server", "-f", "-", stdin=DEPLOYMENT)
    assert answer == "deployment.apps/web created (server dry run)\n"
    kubectl.fails("get", "deployment", "web")
    kubectl("apply", "-f", "-", stdin=DEPLOYMENT)
    text = kubectl("apply", "--dry-run=server", "-o", "json", "-f", "-", stdin=DEPLOYMENT.replace("replicas: 2", "replicas: 5"))
    shown = json.loads(text)
    assert shown["spec"]["replicas"] == 5
    assert shown["spec"]["template"]["spec"]["dnsPolicy"] == "ClusterFirst"
    assert kubectl.get("deployment", "web")["spec"]["replicas"] == 2
    fault = kubectl.fails("apply", "--dry-run=server", "-f", "-", stdin=DEPLOYMENT.replace("matchLabels: {app: web}", "matchLabels: {app: x}"))
    assert "`selector` does not match template `labels`" in fault


def test_apply_prunes_what_is_no_longer_in_the_set(kubectl, namespace):
    def settings(*names):
        return "".join(
            f"---\n{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}, labels: {{set: s}}}}}}\n" for name in names
        )

    kubectl("apply", "-f", "-", stdin=settings("one", "two"))
    kubectl("create", "configmap", "by-hand")
    kubectl("label", "configmap", "by-hand", "set=s")
    answer = kubectl("apply", "--prune", "-l", "set=s", "--prune-allowlist=core/v1/ConfigMap", "-f", "-", stdin=settings("one"))
    assert "configmap/one unchanged" in answer
    assert "configmap/two pruned" in answer
    assert kubectl("get", "cm", "-l", "set=s", "-o", "name").split() == ["configmap/by-hand", "configmap/one"]


def test_a_list_is_applied_one_by_one(kubectl):
    items = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}} for name in ("one", "two")]
    answer = kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    assert answer == "configmap/one created\nconfigmap/two created\n"


def test_a_folder_of_manifests_and_a_kustomization(kubectl, namespace, tmp_path):
    folder = tmp_path / "plain"
    folder.mkdir()
    (folder / "a.yaml").write_text("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}")
    (folder / "b.json").write_text('{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}}')
    assert kubectl("apply", "-f", str(folder)) == "configmap/a created\nconfigmap/b created\n"
    (folder / "kustomization.yaml").write_text(
        f"resources: [a.yaml]\nnamePrefix: k-\nnamespace: {namespace}\nlabels: [{{pairs: {{via: kustomize}}}}]\n"
        "configMapGenerator: [{name: made, literals: [x=1]}]\n"
    )
    answer = kubectl("apply", "-k", str(folder))
    assert "configmap/k-a created" in answer
    assert "configmap/k-made-" in answer
    assert kubectl.get("configmap", "k-a")["metadata"]["labels"] == {"via": "kustomize"}
    assert "configmap \"k-a\" deleted" in kubectl("delete", "-k", str(folder))


@pytest.mark.skipif(shutil.which("diff") is None, reason="diff is not installed")
def test_diff_says_what_would_change(kubectl):
    done = kubectl.run("diff", "-f", "-", stdin=DEPLOYMENT)
    assert done.returncode == 1, done.stderr
    assert "+kind: Deployment" in done.stdout
    kubectl("apply", "-f", "-", stdin=DEPLOYMENT)
    done = kubectl.run("diff", "-f", "-", stdin=DEPLOYMENT)
    assert (done.returncode, done.stdout) == (0, "")
    done = kubectl.run("diff", "-f", "-", stdin=DEPLOYMENT.replace("web:1", "web:2"))
    assert done.returncode == 1
    lines = [line for line in done.stdout.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    assert lines == ["-  generation: 1", "+  generation: 2", "-        image: web:1", "+        image: web:2"]
    done = kubectl.run("diff", "--server-side", "-f", "-", stdin=DEPLOYMENT.replace("web:1", "web:2"))
    assert done.returncode in (0, 1), done.stderr


def test_force_replaces_what_cannot_be_changed(kubectl):
    kubectl("apply", "-f", "-", stdin=DEPLOYMENT)
    other = DEPLOYMENT.replace("matchLabels: {app: web}", "matchLabels: {app: other}").replace(
        "metadata: {labels: {app: web}}", "metadata: {labels: {app: other}}"
    )
    fault = kubectl.fails("apply", "-f", "-", stdin=other)
    assert "spec.selector: Invalid value" in fault
    assert "field is immutable" in fault
    kubectl("apply", "--force", "-f", "-", stdin=other)
    assert kubectl.get("deployment", "web")["spec"]["selector"] == {"matchLabels": {"app": "other"}}


def test_service_keeps_its_address_when_applied_again(kubectl):
    manifest = "{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {ports: [{port: 80}, {name: x, port: 81}]}}"
    manifest = manifest.replace("{port: 80}", "{name: w, port: 80}")
    kubectl("apply", "-f", "-", stdin=manifest)
    before = kubectl.get("service", "s")["spec"]
    kubectl("apply", "-f", "-", stdin=manifest.replace("81", "82"))
    after = kubectl.get("service", "s")["spec"]
    assert after["clusterIP"] == before["clusterIP"]
    assert [one["port"] for one in after["ports"]] == [80, 82]
