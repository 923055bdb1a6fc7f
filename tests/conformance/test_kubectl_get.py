"""`kubectl get` prints each kind's table as it does against upstream."""

import json

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

HEADERS = {
    "namespaces": ("NAME STATUS AGE", ""),
    "nodes": ("NAME STATUS ROLES AGE VERSION", "INTERNAL-IP EXTERNAL-IP OS-IMAGE KERNEL-VERSION CONTAINER-RUNTIME"),
    "pods": ("NAME READY STATUS RESTARTS AGE", "IP NODE NOMINATED-NODE READINESS-GATES"),
    "configmaps": ("NAME DATA AGE", ""),
    "secrets": ("NAME TYPE DATA AGE", ""),
    "services": ("NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE", "SELECTOR"),
    "endpoints": ("NAME ENDPOINTS AGE", ""),
    "endpointslices": ("NAME ADDRESSTYPE PORTS ENDPOINTS AGE", ""),
    "serviceaccounts": ("NAME AGE", ""),
    "leases": ("NAME HOLDER AGE", ""),
    "deployments": ("NAME READY UP-TO-DATE AVAILABLE AGE", "CONTAINERS IMAGES SELECTOR"),
    "replicasets": ("NAME DESIRED CURRENT READY AGE", "CONTAINERS IMAGES SELECTOR"),
    "roles": ("NAME CREATED-AT", ""),
    "clusterroles": ("NAME CREATED-AT", ""),
    "rolebindings": ("NAME ROLE AGE", "USERS GROUPS SERVICEACCOUNTS"),
    "clusterrolebindings": ("NAME ROLE AGE", "USERS GROUPS SERVICEACCOUNTS"),
}

CLUSTER_SCOPED = ("namespaces", "nodes", "clusterroles", "clusterrolebindings")

OBJECTS = """
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {a: "1", b: "2"}, binaryData: {z: AAAA}}
---
{apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {a: "1"}}
---
{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {clusterIP: None, selector: {app: web}, ports: [{name: a, port: 80}, {name: b, port: 53, protocol: UDP}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: out}, spec: {type: ExternalName, externalName: example.org}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: robot}}
---
{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: l}, spec: {holderIdentity: me}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: r}, rules: []}
---
{apiVersion: v1, kind: Endpoints, metadata: {name: e}, subsets: [{addresses: [{ip: 10.0.0.1}, {ip: 10.0.0.2}], ports: [{port: 80}]}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: rb}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: r}
subjects:
- {kind: User, name: ann, apiGroup: rbac.authorization.k8s.io}
- {kind: User, name: bob, apiGroup: rbac.authorization.k8s.io}
- {kind: Group, name: ops, apiGroup: rbac.authorization.k8s.io}
- {kind: ServiceAccount, name: robot, namespace: x}
---
apiVersion: v1
kind: Pod
metadata: {name: p, labels: {app: web}}
spec:
  nodeSelector: {never: there}
  readinessGates: [{conditionType: example.org/ready}]
  containers: [{name: a, image: "a:1"}, {name: b, image: "b:1"}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: a, image: "a:1"}, {name: b, image: "b:1"}]}
"""


def header(kubectl, *arguments):
    line = kubectl("get", *arguments).partition("\n")[0]
    for name in ("NOMINATED NODE", "READINESS GATES", "CREATED AT", "LAST SEEN", "FIRST SEEN"):
        line = line.replace(name, name.replace(" ", "-"))
    return " ".join(line.split())


@pytest.fixture
def objects(kubectl):
    kubectl("create", "-f", "-", stdin=OBJECTS)
    return kubectl


def row(kubectl, *arguments):
    """The cells of the one row, without the age."""
    found = kubectl("get", *arguments, "--no-headers").splitlines()
    assert len(found) == 1, found
    return found[0].split()


def test_every_kind_has_its_columns(objects, played_node):
    for resource, (narrow, wide) in HEADERS.items():
        namespace = "" if resource in CLUSTER_SCOPED else "NAMESPACE "
        assert header(objects, resource, "-A") == f"{namespace}{narrow}", resource
        assert header(objects, resource, "-A", "-o", "wide") == f"{namespace}{narrow} {wide}".strip(), resource


def test_events_have_their_columns(objects):
    objects("wait", "--for=condition=PodScheduled=false", "pod/p", "--timeout=20s")
    assert header(objects, "events") == "LAST-SEEN TYPE REASON OBJECT MESSAGE"
    wide = "LAST-SEEN TYPE REASON OBJECT SUBOBJECT SOURCE MESSAGE FIRST-SEEN COUNT NAME"
    assert header(objects, "events", "-o", "wide") == wide


def test_rows_say_what_the_objects_hold(objects):
    assert row(objects, "configmap", "c")[:2] == ["c", "3"]
    assert row(objects, "secret", "s")[:3] == ["s", "Opaque", "1"]
    assert row(objects, "service", "web", "-o", "wide")[:5] == ["web", "ClusterIP", "None", "<none>", "80/TCP,53/UDP"]
    assert row(objects, "service", "web", "-o", "wide")[6:] == ["app=web"]
    assert row(objects, "service", "out")[:5] == ["out", "ExternalName", "<none>", "example.org", "<none>"]
    assert row(objects, "endpoints", "e")[:2] == ["e", "10.0.0.1:80,10.0.0.2:80"]
    assert row(objects, "lease", "l")[:2] == ["l", "me"]
    assert row(objects, "rolebinding", "rb", "-o", "wide")[:2] == ["rb", "Role/r"]
    assert row(objects, "rolebinding", "rb", "-o", "wide")[3:] == ["ann,", "bob", "ops", "x/robot"]
    assert row(objects, "deployment", "web", "-o", "wide")[:4] == ["web", "0/0", "0", "0"]
    assert row(objects, "deployment", "web", "-o", "wide")[5:] == ["a,b", "a:1,b:1", "app=web"]
    assert row(objects, "pod", "p", "-o", "wide")[:4] == ["p", "0/2", "Pending", "0"]
    assert row(objects, "pod", "p", "-o", "wide")[5:] == ["<none>", "<none>", "<none>", "0/1"]


def test_endpoints_are_deprecated(objects):
    warning = "Warning: v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice\n"
    assert objects.run("get", "endpoints").stderr == warning


def test_a_service_shows_its_node_port_and_the_addresses_of_its_load_balancer(kubectl):
    kubectl("create", "service", "loadbalancer", "lb", "--tcp=80:8080")
    cells = row(kubectl, "service", "lb")
    assert cells[1] == "LoadBalancer"
    assert cells[3] == "<pending>"
    assert cells[4].startswith("80:3")
    assert cells[4].endswith("/TCP")
    status = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"hostname": "lb.example.org"}]}}}
    kubectl("patch", "service", "lb", "--subresource=status", "--type=merge", "-p", json.dumps(status))
    assert row(kubectl, "service", "lb")[3] == "192.0.2.1,lb.example.org"


def pod_status(kubectl, **status):
    kubectl("patch", "pod", "p", "--subresource=status", "-p", json.dumps({"status": status}))
    return row(kubectl, "pod", "p")


def container(name, state, *, ready=False, restarts=0, **more):
    return {"name": name, "image": "i", "imageID": "", "ready": ready, "restartCount": restarts, "state": state, **more}


def test_the_status_of_a_pod_is_what_its_containers_do(objects):
    started = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    waiting = {"waiting": {"reason": "ImagePullBackOff"}}
    cells = pod_status(objects, containerStatuses=[container("a", started, ready=True), container("b", waiting)])
    assert cells[1:4] == ["1/2", "ImagePullBackOff", "0"]
    ended = {"terminated": {"exitCode": 0, "reason": "Completed"}}
    cells = pod_status(objects, containerStatuses=[container("a", ended), container("b", ended)])
    assert cells[1:4] == ["0/2", "Completed", "0"]
    killed = {"terminated": {"exitCode": 137, "signal": 9, "finishedAt": "2026-01-01T00:00:00Z"}}
    cells = pod_status(
        objects, containerStatuses=[container("a", started, ready=True), container("b", killed, restarts=3, lastState=killed)]
    )
    assert cells[1:4] == ["1/2", "Signal:9", "3"]
    assert cells[4].startswith("(")
    assert objects("get", "pod", "p").splitlines()[1].find("ago)") > 0


def test_a_node_shows_its_roles_conditions_and_addresses(kubectl, played_node):
    cells = row(kubectl, "node", played_node.name, "-o", "wide")
    assert cells[:3] == ["played", "Ready", "<none>"]
    assert cells[4:7] == ["v1.35.4", "192.0.2.7", "<none>"]
    assert kubectl("get", "node", "-o", "wide").splitlines()[1].split("  ")[-1].strip() == "played://1.0"
    kubectl("label", "node", "played", "node-role.kubernetes.io/worker=", "node-role.kubernetes.io/edge=")
    kubectl("cordon", "played")
    try:
        assert row(kubectl, "node", "played")[1:3] == ["Ready,SchedulingDisabled", "edge,worker"]
    finally:
        kubectl("uncordon", "played")
        kubectl("label", "node", "played", "node-role.kubernetes.io/worker-", "node-role.kubernetes.io/edge-")


def test_a_namespace_that_ends_is_terminating(kubectl, namespace):
    blocker = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b", "finalizers": ["example.org/stay"]}}
    kubectl("create", "-f", "-", stdin=json.dumps(blocker))
    kubectl("delete", "namespace", namespace, "--wait=false")
    assert row(kubectl, "namespace", namespace)[1] == "Terminating"
    kubectl("patch", "configmap", "b", "--type=json", "-p", '[{"op":"remove","path":"/metadata/finalizers"}]')
    kubectl("wait", "--for=delete", f"namespace/{namespace}", "--timeout=30s")


def test_several_kinds_at_once_are_several_tables_with_prefixed_names(objects):
    text = objects("get", "configmap,secret")
    assert "NAME                         DATA   AGE" in text.splitlines()[0]
    assert "configmap/c" in text
    assert "\n\nNAME" in text
    assert "secret/s" in text


def test_get_all_shows_the_category(objects):
    text = objects("get", "all")
    for name in ("pod/p", "service/web", "deployment.apps/web", "replicaset.apps/web-"):
        assert name in text
    assert "configmap" not in text


def test_nothing_found_is_said_on_the_other_stream(kubectl, namespace):
    done = kubectl.run("get", "pods")
    assert (done.stdout, done.stderr, done.returncode) == ("", f"No resources found in {namespace} namespace.\n", 0)
    assert kubectl.run("get", "deployments", "-A", "-l", "no=body").stderr == "No resources found\n"
    done = kubectl.run("get", "pod", "nobody", "--ignore-not-found")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    assert kubectl.fails("get", "pod", "nobody") == 'Error from server (NotFound): pods "nobody" not found\n'


def test_short_names_singular_names_and_groups_name_a_resource(objects):
    for name in ("deploy/web", "deployment/web", "deployments/web", "deployments.apps/web", "deployment.v1.apps/web"):
        assert objects("get", name, "-o", "name") == "deployment.apps/web\n"
    for short, full in (("cm", "configmap"), ("po", "pod"), ("svc", "service"), ("sa", "serviceaccount")):
        assert {line.split("/")[0] for line in objects("get", short, "-o", "name").splitlines()} == {full}
