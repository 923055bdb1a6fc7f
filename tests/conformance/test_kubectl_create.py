"""All generators of `kubectl create`, `run` and `expose`: typed requests in protobuf."""

import base64
import json
import subprocess

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def test_deployment(kubectl):
    answer = kubectl("create", "deployment", "web", "--image=web:1", "--image=side:1", "--replicas=0")
    assert answer == "deployment.apps/web created\n"
    found = kubectl.get("deployment", "web")
    assert found["metadata"]["labels"] == {"app": "web"}
    assert found["spec"]["replicas"] == 0
    assert [one["name"] for one in found["spec"]["template"]["spec"]["containers"]] == ["web", "side"]
    assert found["spec"]["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}
    kubectl("create", "deployment", "one", "--image=web:1", "--port=80", "--replicas=0", "--", "sh", "-c", "true")
    (container,) = kubectl.get("deployment", "one")["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["sh", "-c", "true"]
    assert container["ports"] == [{"containerPort": 80, "protocol": "TCP"}]


def test_config_map_from_literals_files_and_env_files(kubectl, tmp_path):
    (tmp_path / "text.txt").write_text("hello\n")
    (tmp_path / "bytes.bin").write_bytes(b"\x00\xff\xfe")
    (tmp_path / "some.env").write_text("A=1\n# no\nB=two\n")
    kubectl("create", "configmap", "c", "--from-literal=k=v", f"--from-file={tmp_path / 'text.txt'}", f"--from-file=b={tmp_path / 'bytes.bin'}")
    found = kubectl.get("configmap", "c")
    assert found["data"] == {"k": "v", "text.txt": "hello\n"}
    assert found["binaryData"] == {"b": base64.b64encode(b"\x00\xff\xfe").decode()}
    kubectl("create", "configmap", "e", f"--from-env-file={tmp_path / 'some.env'}")
    assert kubectl.get("configmap", "e")["data"] == {"A": "1", "B": "two"}


def test_secret_generic_and_docker_registry(kubectl):
    kubectl("create", "secret", "generic", "s", "--from-literal=p=w", "--type=example.org/x")
    found = kubectl.get("secret", "s")
    assert found["data"] == {"p": base64.b64encode(b"w").decode()}
    assert found["type"] == "example.org/x"
    kubectl("create", "secret", "docker-registry", "d", "--docker-server=r", "--docker-username=u", "--docker-password=p")
    found = kubectl.get("secret", "d")
    assert found["type"] == "kubernetes.io/dockerconfigjson"
    assert json.loads(base64.b64decode(found["data"][".dockerconfigjson"]))["auths"]["r"]["username"] == "u"


def test_secret_tls(kubectl, tmp_path):
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=x"]
    subprocess.run([*command, "-keyout", tmp_path / "k", "-out", tmp_path / "c"], check=True, capture_output=True)
    kubectl("create", "secret", "tls", "t", f"--cert={tmp_path / 'c'}", f"--key={tmp_path / 'k'}")
    found = kubectl.get("secret", "t")
    assert found["type"] == "kubernetes.io/tls"
    assert sorted(found["data"]) == ["tls.crt", "tls.key"]


def test_services(kubectl):
    kubectl("create", "service", "clusterip", "c", "--tcp=80:8080", "--tcp=443")
    found = kubectl.get("service", "c")["spec"]
    assert found["clusterIP"].startswith("10.43.")
    assert found["clusterIPs"] == [found["clusterIP"]]
    assert found["ports"] == [
        {"name": "80-8080", "port": 80, "protocol": "TCP", "targetPort": 8080},
        {"name": "443", "port": 443, "protocol": "TCP", "targetPort": 443},
    ]
    assert found["selector"] == {"app": "c"}
    kubectl("create", "service", "clusterip", "h", "--clusterip=None", "--tcp=80")
    assert kubectl.get("service", "h")["spec"]["clusterIPs"] == ["None"]
    kubectl("create", "service", "nodeport", "n", "--tcp=80", "--node-port=31999")
    assert kubectl.get("service", "n")["spec"]["ports"][0]["nodePort"] == 31999
    kubectl("create", "service", "externalname", "e", "--external-name=example.org")
    assert kubectl.get("service", "e")["spec"]["externalName"] == "example.org"
    kubectl("create", "service", "loadbalancer", "l", "--tcp=80")
    found = kubectl.get("service", "l")["spec"]
    assert found["allocateLoadBalancerNodePorts"] is True
    assert 30000 <= found["ports"][0]["nodePort"] <= 32767
    fault = kubectl.fails("create", "service", "nodeport", "taken", "--tcp=80", "--node-port=31999")
    assert "spec.ports[0].nodePort: Invalid value: 31999: provided port is already allocated" in fault


def test_roles_and_bindings(kubectl, namespace):
    assert kubectl("create", "role", "r", "--verb=get,list", "--resource=pods,deployments.apps,pods/log") == (
        "role.rbac.authorization.k8s.io/r created\n"
    )
    assert kubectl.get("role", "r")["rules"] == [
        {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list"]},
    ]
    kubectl("create", "clusterrole", f"{namespace}-web", "--verb=get", "--non-resource-url=/logs/*")
    assert kubectl.get("clusterrole", f"{namespace}-web")["rules"] == [{"nonResourceURLs": ["/logs/*"], "verbs": ["get"]}]
    kubectl("create", "clusterrole", f"{namespace}-sum", "--aggregation-rule=in-sum=yes")
    assert kubectl.get("clusterrole", f"{namespace}-sum")["aggregationRule"] == {
        "clusterRoleSelectors": [{"matchLabels": {"in-sum": "yes"}}]
    }
    kubectl("create", "rolebinding", "rb", "--role=r", "--user=u", "--group=g", f"--serviceaccount={namespace}:s")
    assert kubectl.get("rolebinding", "rb")["subjects"] == [
        {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "u"},
        {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "g"},
        {"kind": "ServiceAccount", "name": "s", "namespace": namespace},
    ]
    kubectl("create", "clusterrolebinding", f"{namespace}-rb", "--clusterrole=view", "--user=u")
    assert kubectl.get("clusterrolebinding", f"{namespace}-rb")["roleRef"]["name"] == "view"


def test_service_account_and_token(kubectl, namespace):
    kubectl("create", "serviceaccount", "robot")
    token = kubectl("create", "token", "robot", "--duration=1h").strip()
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert claims["sub"] == f"system:serviceaccount:{namespace}:robot"
    assert claims["exp"] - claims["iat"] == 3600
    answer = json.loads(kubectl("create", "token", "robot", "--audience=a", "--audience=b", "-o", "json"))
    assert answer["spec"]["audiences"] == ["a", "b"]
    kubectl("create", "secret", "generic", "s")
    token = kubectl("create", "token", "robot", "--bound-object-kind=Secret", "--bound-object-name=s").strip()
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert claims["kubernetes.io"]["secret"]["name"] == "s"
    assert kubectl.fails("create", "token", "nobody") == (
        'error: failed to create token: serviceaccounts "nobody" not found\n'
    )


def test_namespace_quota_and_priority_class(kubectl, namespace):
    assert kubectl("create", "namespace", f"{namespace}-2") == f"namespace/{namespace}-2 created\n"
    found = kubectl.get("namespace", f"{namespace}-2")
    assert found["spec"] == {"finalizers": ["kubernetes"]}
    assert found["metadata"]["labels"] == {"kubernetes.io/metadata.name": f"{namespace}-2"}
    kubectl("create", "quota", "q", "--hard=pods=2,cpu=1", "--scopes=NotTerminating")
    assert kubectl.get("quota", "q")["spec"] == {"hard": {"cpu": "1", "pods": "2"}, "scopes": ["NotTerminating"]}
    kubectl("create", "priorityclass", f"{namespace}", "--value=7", "--description=x")
    assert kubectl.get("priorityclass", namespace)["value"] == 7


def test_jobs_ingresses_and_budgets(kubectl):
    kubectl("create", "job", "j", "--image=i", "--", "true")
    assert kubectl.get("job", "j")["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    kubectl("create", "cronjob", "cj", "--image=i", "--schedule=0 0 1 1 *", "--restart=OnFailure", "--", "true")
    assert kubectl.get("cronjob", "cj")["spec"]["schedule"] == "0 0 1 1 *"
    kubectl("create", "job", "k", "--from=cronjob/cj")
    assert kubectl.get("job", "k")["metadata"]["ownerReferences"][0]["kind"] == "CronJob"
    kubectl("create", "ingress", "in", "--rule=example.org/*=web:80,tls=t", "--class=x")
    assert kubectl.get("ingress", "in")["spec"]["tls"] == [{"hosts": ["example.org"], "secretName": "t"}]
    kubectl("create", "poddisruptionbudget", "b", "--selector=app=x", "--min-available=1")
    assert kubectl.get("pdb", "b")["spec"]["minAvailable"] == 1


def test_run_makes_a_pod(kubectl):
    overrides = json.dumps({"spec": {"nodeSelector": {"never": "there"}}})
    answer = kubectl("run", "p", "--image=i:1", "--port=80", "--env=A=b", "--labels=x=y", "--restart=Never", f"--overrides={overrides}",
                     "--command", "--", "sh", "-c", "true")
    assert answer == "pod/p created\n"
    found = kubectl.get("pod", "p")
    (container,) = found["spec"]["containers"]
    assert container["command"] == ["sh", "-c", "true"]
    assert container["env"] == [{"name": "A", "value": "b"}]
    assert container["imagePullPolicy"] == "IfNotPresent"
    assert found["spec"]["restartPolicy"] == "Never"
    assert found["spec"]["serviceAccountName"] == "default"
    assert found["status"]["qosClass"] == "BestEffort"
    assert found["status"]["phase"] == "Pending"


def test_expose_makes_a_service_of_what_it_finds(kubectl):
    kubectl("create", "deployment", "web", "--image=i", "--port=80", "--replicas=0")
    assert kubectl("expose", "deployment", "web") == "service/web exposed\n"
    found = kubectl.get("service", "web")["spec"]
    assert found["selector"] == {"app": "web"}
    assert found["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    kubectl("expose", "service", "web", "--name=again", "--port=81", "--target-port=http", "--type=NodePort")
    assert kubectl.get("service", "again")["spec"]["ports"][0]["targetPort"] == "http"


def test_dry_runs_print_and_keep_nothing(kubectl):
    text = kubectl("create", "configmap", "c", "--dry-run=client", "-o", "yaml")
    assert "kind: ConfigMap" in text
    assert kubectl("create", "configmap", "c", "--dry-run=server") == "configmap/c created (server dry run)\n"
    kubectl.fails("get", "configmap", "c")


def test_names_can_be_generated(kubectl):
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "x-"}}
    answer = kubectl("create", "-f", "-", "-o", "name", stdin=json.dumps(manifest))
    name = answer.strip().removeprefix("configmap/x-")
    assert len(name) == 5
    assert set(name) <= set("bcdfghjklmnpqrstvwxz2456789")


def test_what_exists_cannot_be_created_again(kubectl, namespace):
    kubectl("create", "configmap", "c")
    assert kubectl.fails("create", "configmap", "c") == (
        'error: failed to create configmap: configmaps "c" already exists\n'
    )
    manifest = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"}}'
    assert kubectl.fails("create", "-f", "-", stdin=manifest) == (
        'Error from server (AlreadyExists): error when creating "STDIN": configmaps "c" already exists\n'
    )
