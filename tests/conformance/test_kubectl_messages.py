"""What is refused, in upstream's very words: people search the web for them, and programs match them."""

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

NAME_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an "
    r"alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)

OBJECTS = """
{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {a: "1"}}
---
{apiVersion: v1, kind: Secret, metadata: {name: s}, data: {a: eA==}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: r}, rules: []}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: rb}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: r}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: a, image: a}]}}
"""


@pytest.fixture
def made(kubectl):
    kubectl("create", "-f", "-", stdin=OBJECTS)
    return kubectl


PATCHES = {
    ("deploy", "web", "strategic", '{"spec":{"replicas":-1,"selector":{"matchLabels":{"x":"y"}}}}'): (
        'The Deployment "web" is invalid: \n'
        "* spec.replicas: Invalid value: -1: must be greater than or equal to 0\n"
        '* spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`\n'
        '* spec.selector: Invalid value: {"matchLabels":{"app":"web","x":"y"}}: field is immutable\n'
    ),
    ("rolebinding", "rb", "strategic", '{"roleRef":{"name":"x"}}'): (
        'The RoleBinding "rb" is invalid: roleRef: Invalid value: {"APIGroup":"rbac.authorization.k8s.io","Kind":"Role","Name":"x"}: '
        "cannot change roleRef\n"
    ),
    ("rolebinding", "rb", "merge", '{"subjects":[{"kind":"Foo","name":""},{"kind":"ServiceAccount","name":"A"}]}'): (
        'The RoleBinding "rb" is invalid: \n'
        "* subjects[0].name: Required value\n"
        '* subjects[0].kind: Unsupported value: "Foo": supported values: "ServiceAccount", "User", "Group"\n'
        f'* subjects[1].name: Invalid value: "A": {NAME_RULE}\n'
    ),
    ("secret", "s", "strategic", '{"data":{"a":"%%%"}}'): (
        'The request is invalid: patch: Invalid value: "map[data:map[a:%%%]]": error decoding from json: '
        "illegal base64 data at input byte 0\n"
    ),
    ("cm", "c", "merge", "[]"): (
        "Error from server (BadRequest): error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}\n"
    ),
    ("cm", "c", "json", "{}"): (
        "Error from server (BadRequest): error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp\n"
    ),
}


@pytest.mark.parametrize(
    ("resource", "name", "kind", "patch"), PATCHES, ids=[f"{number}-{one[0]}" for number, one in enumerate(PATCHES)]
)
def test_a_patch_is_refused(made, resource, name, kind, patch):
    assert made.fails("patch", resource, name, f"--type={kind}", "-p", patch) == PATCHES[resource, name, kind, patch]


SELECTORS = {
    "a in (b": "unable to parse requirement: found '', expected: ',' or ')'",
    "a in (b c)": "unable to parse requirement: found 'c', expected: ',' or ')'",
    "a b": "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
    "=a": "found '=', expected: !, identifier, or 'end of string'",
    "a=b c": "found 'c', expected: ',' or 'end of string'",
}


def test_a_label_selector_is_refused(kubectl):
    for selector, message in SELECTORS.items():
        assert kubectl.fails("get", "cm", "-l", selector).rstrip("\n").endswith(f'field selector "": {message}'), selector


CREATIONS = {
    ("service", "clusterip", "x", "--tcp=80", "--clusterip=10.44.0.1"): (
        'error: failed to create ClusterIP service: Service "x" is invalid: spec.clusterIPs: Invalid value: ["10.44.0.1"]: '
        "failed to allocate IP 10.44.0.1: the provided network does not match the current range\n"
    ),
    ("service", "nodeport", "x", "--tcp=80", "--node-port=80"): (
        'error: failed to create NodePort service: Service "x" is invalid: spec.ports[0].nodePort: Invalid value: 80: '
        "provided port is not in the valid range. The range of valid ports is 30000-32767\n"
    ),
    ("quota", "x", "--hard=foo=1"): (
        'error: failed to create quota: ResourceQuota "x" is invalid: [spec.hard[foo]: Invalid value: "foo": must be a standard '
        'resource type or fully qualified, spec.hard[foo]: Invalid value: "foo": must be a standard resource for quota]\n'
    ),
    ("cronjob", "x", "--image=x", "--schedule=foo"): (
        'error: failed to create cronjob: CronJob.batch "x" is invalid: spec.schedule: Invalid value: "foo": '
        "expected exactly 5 fields, found 1: [foo]\n"
    ),
    ("configmap", "Bad_Name"): (
        f'error: failed to create configmap: ConfigMap "Bad_Name" is invalid: metadata.name: Invalid value: "Bad_Name": {NAME_RULE}\n'
    ),
    ("token", "default", "--duration=1s"): (
        'error: failed to create token: TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: '
        "Invalid value: 1: may not specify a duration less than 10 minutes\n"
    ),
}


@pytest.mark.parametrize("arguments", CREATIONS, ids=[f"{number}-{one[0]}" for number, one in enumerate(CREATIONS)])
def test_a_creation_is_refused(kubectl, arguments):
    assert kubectl.fails("create", *arguments) == CREATIONS[arguments]


def test_a_service_account_keeps_the_names_of_its_secrets(kubectl):
    manifest = "{apiVersion: v1, kind: ServiceAccount, metadata: {name: a}, secrets: [{name: s, namespace: x}], imagePullSecrets: [{name: i}]}"
    kubectl("create", "-f", "-", stdin=manifest)
    found = kubectl.get("sa", "a")
    assert found["secrets"] == [{"name": "s"}]
    assert found["imagePullSecrets"] == [{"name": "i"}]


def test_priority_classes_say_what_they_are_for(kubectl):
    found = kubectl.get("priorityclass", "system-node-critical")
    assert found["description"] == "Used for system critical pods that must not be moved from their current node."


def test_the_version_is_indented(kubectl):
    assert kubectl("get", "--raw", "/version").startswith('{\n  "major": "1",\n  "minor": "35",\n')
