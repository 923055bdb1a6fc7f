"""`kubectl describe` of every kind of the thin whole: it reads typed objects, so what is printed was understood."""

import json
import re

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def fields(text):
    """Top-level `Name:   value` lines."""
    found = {}
    for line in text.splitlines():
        if match := re.match(r"([A-Z][A-Za-z() -]*):\s*(.*)$", line):
            found.setdefault(match[1], match[2])
    return found


def test_namespace(kubectl, namespace):
    text = kubectl("describe", "namespace", namespace)
    assert fields(text)["Labels"] == f"kubernetes.io/metadata.name={namespace}"
    assert fields(text)["Status"] == "Active"
    assert "No resource quota." in text
    assert "No LimitRange resource." in text


def test_config_map(kubectl):
    kubectl("create", "configmap", "c", "--from-literal=a=hello")
    text = kubectl("describe", "configmap", "c")
    assert "a:\n----\nhello\n" in text
    assert "Events:  <none>" in text


def test_secret_hides_its_values(kubectl):
    kubectl("create", "secret", "generic", "s", "--from-literal=a=hello")
    text = kubectl("describe", "secret", "s")
    assert fields(text)["Type"] == "Opaque"
    assert "a:  5 bytes" in text
    assert "hello" not in text


def test_service_account(kubectl):
    kubectl("create", "serviceaccount", "robot")
    found = fields(kubectl("describe", "serviceaccount", "robot"))
    assert found["Name"] == "robot"
    assert found["Image pull secrets"] == "<none>"
    assert found["Events"] == "<none>"


def test_pod(kubectl, namespace, played_node):
    kubectl("run", "p", "--image=web:1", "--port=80", "--env=A=b", "--labels=app=p")
    kubectl("wait", "--for=condition=Ready", "pod/p", "--timeout=30s")
    text = kubectl("describe", "pod", "p")
    found = fields(text)
    assert found["Node"] == "played/192.0.2.7"
    assert found["Status"] == "Running"
    assert found["QoS Class"] == "BestEffort"
    assert found["Node-Selectors"] == "<none>"
    assert found["Tolerations"] == "node.kubernetes.io/not-ready:NoExecute op=Exists for 300s"
    assert re.search(r"A: +b", text)
    assert re.search(r"Ready +True", text)
    assert "/var/run/secrets/kubernetes.io/serviceaccount from kube-api-access-" in text
    assert "Projected (a volume that contains injected data from multiple sources)" in text
    assert re.search(rf"Normal +Scheduled +\S+ +default-scheduler +Successfully assigned {namespace}/p to played", text)


def test_service_and_its_endpoints(kubectl, played_node):
    kubectl("create", "deployment", "web", "--image=web", "--port=80", "--replicas=2")
    kubectl("expose", "deployment", "web", "--port=80", "--target-port=8080")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    kubectl("wait", "--for=jsonpath={.endpoints[1].conditions.ready}=true", "endpointslice",
            "-l", "kubernetes.io/service-name=web", "--timeout=30s")
    found = fields(kubectl("describe", "service", "web"))
    assert found["Selector"] == "app=web"
    assert found["Type"] == "ClusterIP"
    assert found["IP Family Policy"] == "SingleStack"
    assert found["IP Families"] == "IPv4"
    assert found["IP"].startswith("10.43.")
    assert found["Port"].split() == ["<unset>", "80/TCP"]
    assert found["TargetPort"] == "8080/TCP"
    assert re.fullmatch(r"10\.42\.7\.\d+:8080,10\.42\.7\.\d+:8080", found["Endpoints"])
    assert found["Session Affinity"] == "None"
    assert found["Internal Traffic Policy"] == "Cluster"


def test_deployment_and_replica_set(kubectl, namespace, played_node):
    kubectl("create", "deployment", "web", "--image=web:1", "--replicas=2")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    text = kubectl("describe", "deployment", "web")
    found = fields(text)
    assert found["Replicas"] == "2 desired | 2 updated | 2 total | 2 available | 0 unavailable"
    assert found["StrategyType"] == "RollingUpdate"
    assert found["RollingUpdateStrategy"] == "25% max unavailable, 25% max surge"
    assert found["Annotations"] == "deployment.kubernetes.io/revision: 1"
    assert re.search(r"Available +True +MinimumReplicasAvailable", text)
    assert re.search(r"Progressing +True +NewReplicaSetAvailable", text)
    assert found["OldReplicaSets"] == "<none>"
    assert re.fullmatch(r"web-\w+ \(2/2 replicas created\)", found["NewReplicaSet"])
    assert re.search(r"Normal +ScalingReplicaSet +\S+ +deployment-controller +Scaled up replica set web-\w+ from 0 to 2", text)
    text = kubectl("describe", "replicaset", "-l", "app=web")
    found = fields(text)
    assert found["Controlled By"] == "Deployment/web"
    assert found["Replicas"] == "2 current / 2 desired"
    assert found["Pods Status"] == "2 Running / 0 Waiting / 0 Succeeded / 0 Failed"
    assert len(re.findall(r"Normal +SuccessfulCreate +\S+ +replicaset-controller +Created pod: web-\w+-\w+", text)) == 2


def test_node(kubectl, played_node):
    kubectl("run", "p", "--image=web:1", "--overrides", json.dumps(
        {"spec": {"containers": [{"name": "p", "image": "web:1", "resources": {"requests": {"cpu": "2"}, "limits": {"memory": "1Gi"}}}]}}
    ))
    kubectl("wait", "--for=condition=Ready", "pod/p", "--timeout=30s")
    text = kubectl("describe", "node", "played")
    found = fields(text)
    assert found["Roles"] == "<none>"
    assert found["Taints"] == "<none>"
    assert found["Unschedulable"] == "false"
    assert found["PodCIDR"] == "10.42.7.0/24"
    assert re.search(r"HolderIdentity: +played", text)
    assert re.search(r"Ready +True .*KubeletReady +kubelet is posting ready status", text)
    assert re.search(r"InternalIP: +192.0.2.7", text)
    assert re.search(r"Kubelet Version: +v1.35.4", text)
    assert re.search(r" p +2 \(3%\) +0 \(0%\) +1Gi \(0%\) +1Gi \(0%\)", text)
    assert "Allocated resources:" in text


def test_lease(kubectl):
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"},
             "spec": {"holderIdentity": "me", "renewTime": "2026-01-01T00:00:00.000000Z"}}
    kubectl("create", "-f", "-", stdin=json.dumps(lease))
    text = kubectl("describe", "lease", "l")
    assert re.search(r"Holder Identity: +me", text)
    assert re.search(r"Renew Time: +2026-01-01T00:00:00.000000Z", text)


def test_roles_and_bindings(kubectl, namespace):
    kubectl("create", "role", "r", "--verb=get,list", "--resource=pods,deployments.apps", "--resource-name=x")
    text = kubectl("describe", "role", "r")
    assert re.search(r"pods +\[\] +\[x\] +\[get list\]", text)
    assert re.search(r"deployments\.apps +\[\] +\[x\] +\[get list\]", text)
    kubectl("create", "rolebinding", "rb", "--role=r", "--serviceaccount=default:robot", "--group=ops")
    text = kubectl("describe", "rolebinding", "rb")
    assert re.search(r"Kind: +Role\n +Name: +r\n", text)
    assert re.search(r"ServiceAccount +robot +default", text)
    assert re.search(r"Group +ops", text)
    text = kubectl("describe", "clusterrole", "cluster-admin")
    assert re.search(r"\*\.\* +\[\] +\[\] +\[\*\]", text)
    assert re.search(r"\[\*\] +\[\] +\[\*\]", text)
    text = kubectl("describe", "clusterrolebinding", "cluster-admin")
    assert re.search(r"Group +system:masters", text)


def test_event(kubectl):
    kubectl("run", "p", "--image=i", "--overrides", '{"spec":{"nodeSelector":{"never":"there"}}}')
    kubectl("wait", "--for=condition=PodScheduled=false", "pod/p", "--timeout=20s")
    text = kubectl("describe", "events")
    assert re.search(r"Reason: +FailedScheduling", text)
    assert re.search(r"Type: +Warning", text)
    text = kubectl("describe", "pod", "p")
    assert re.search(r"Warning +FailedScheduling +\S+ +default-scheduler +0/\d+ nodes are available", text)
    assert re.search(r"PodScheduled +False", text)


def test_nobody(kubectl):
    assert kubectl.fails("describe", "pod", "nobody") == 'Error from server (NotFound): pods "nobody" not found\n'
