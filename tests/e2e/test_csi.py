"""A CSI driver with its sidecars on two nodes: claims get volumes, which follow their pods through restarts of pods and nodes."""

import json
import sys

import pytest

from tests.support.cluster import KUBECONFIG, running_pair, start_agent
from tests.support.lab import Lab
from tests.support.lab.node import PROJECT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

IMAGE = "docker.io/library/busybox:local"
DRIVER = "d.example.com"


class Cluster:
    """Two nodes with the driver."""

    def __init__(self, lab, server, second):
        self.lab, self.server, self.second = lab, server, second
        self.folder = server.node.shared / "volumes"
        self.processes = {}

    def start_driver(self, node):
        command = [sys.executable, "-m", "tests.support.csi_driver", f"--name={DRIVER}", f"--node={node.name}", f"--folder={self.folder}"]
        with (node.disk / "var/log/driver.log").open("ab") as log:
            self.processes[node.name] = node.popen(command, cwd=PROJECT, stdout=log, stderr=log)
        self.server.until(
            lambda: any(one["name"] == DRIVER for one in self.server.get("csinode", node.name)["spec"].get("drivers") or ()),
            what=f"the driver on {node.name}",
        )

    def start_sidecars(self):
        command = [sys.executable, "-m", "tests.support.csi_sidecars", f"--name={DRIVER}", f"--kubeconfig={KUBECONFIG}", f"--folder={self.folder}"]
        with (self.server.node.disk / "var/log/sidecars.log").open("ab") as log:
            self.processes["sidecars"] = self.server.node.popen(command, cwd=PROJECT, stdout=log, stderr=log)

    def stop(self):
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
            process.wait(timeout=30)

    def apply(self, *objects):
        self.server.kubectl("apply", "-f", "-", stdin=json.dumps({"kind": "List", "apiVersion": "v1", "items": list(objects)}))

    def read(self, pod, path):
        return self.server.kubectl("exec", pod, "--", "cat", path).stdout

    def wait_ready(self, pod):
        def ready():
            found = self.server.get("pod", pod)
            return {one["type"]: one["status"] for one in found["status"].get("conditions") or ()}.get("Ready") == "True" and found

        return self.server.until(ready, limit_s=120, what=f"pod {pod} to be ready")

    def mounts(self, node):
        return [line for line in node.run(["cat", "/proc/mounts"]).stdout.splitlines() if "csi" in line]


@pytest.fixture(scope="module")
def cluster():
    with Lab() as lab, running_pair(lab=lab) as (server, second):
        made = Cluster(lab, server, second)
        made.folder.mkdir(exist_ok=True)
        made.apply(
            {"kind": "CSIDriver", "apiVersion": "storage.k8s.io/v1", "metadata": {"name": DRIVER}, "spec": {"fsGroupPolicy": "File", "volumeLifecycleModes": ["Persistent", "Ephemeral"]}},
            {
                "kind": "StorageClass",
                "apiVersion": "storage.k8s.io/v1",
                "metadata": {"name": "folders"},
                "provisioner": DRIVER,
                "volumeBindingMode": "WaitForFirstConsumer",
                "allowVolumeExpansion": True,
            },
        )
        try:
            made.start_sidecars()
            for node in (server.node, second):
                made.start_driver(node)
            yield made
        finally:
            made.stop()


def stateful_set(name, node, replicas=1):
    script = "date +%N >>/data/starts; sync; exec sleep 100000"
    template = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "folders", "resources": {"requests": {"storage": "1Gi"}}}}
    spec = {
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"fsGroup": 2000},
        "containers": [{"name": "c", "image": IMAGE, "command": ["sh", "-c", script], "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
    }
    if node:
        spec["nodeSelector"] = {"kubernetes.io/hostname": node}
    return {
        "kind": "StatefulSet",
        "apiVersion": "apps/v1",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "serviceName": name,
            "selector": {"matchLabels": {"app": name}},
            "volumeClaimTemplates": [template],
            "template": {"metadata": {"labels": {"app": name}}, "spec": spec},
        },
    }


def test_a_claim_follows_its_pod_through_restarts_of_pod_kubelet_and_node_grows_and_moves(cluster):
    server, second = cluster.server, cluster.second
    cluster.apply(stateful_set("db", "n2"))
    first = cluster.wait_ready("db-0")
    assert first["spec"]["nodeName"] == "n2"
    claim = server.get("pvc", "data-db-0")
    (attachment,) = server.get("volumeattachments")["items"]
    assert attachment["spec"]["source"]["persistentVolumeName"] == claim["spec"]["volumeName"]
    status = server.get("node", "n2")["status"]
    assert status["volumesInUse"] == [one["name"] for one in status["volumesAttached"]] == [f"kubernetes.io/csi/{DRIVER}^{claim['spec']['volumeName']}"]
    assert cluster.read("db-0", "/data/starts").count("\n") == 1
    assert "2000" in server.kubectl("exec", "db-0", "--", "ls", "-ldn", "/data").stdout

    # The pod goes and comes again.
    server.kubectl("delete", "pod", "db-0")
    server.until(lambda: cluster.wait_ready("db-0")["metadata"]["uid"] != first["metadata"]["uid"], what="a new pod")
    assert cluster.read("db-0", "/data/starts").count("\n") == 2

    # The volume grows while it is used.
    server.kubectl("patch", "pvc", "data-db-0", "-p", '{"spec":{"resources":{"requests":{"storage":"2Gi"}}}}')

    def grown():
        found = server.get("pvc", "data-db-0")["status"]
        return found["capacity"]["storage"] == "2Gi" and not found.get("conditions")

    server.until(grown, what="the grown claim")

    # The agent is killed and begins again while the pod runs.
    second.agent.kill()
    second.agent.wait(timeout=30)
    second.agent = start_agent(second, server.url, server.token)
    server.until(lambda: cluster.read("db-0", "/data/starts").count("\n") == 2, what="the agent that began again")

    # The node's power is cut: nothing is mounted when it comes back, and the pod's volume is brought again.
    second.kill()
    for process in (second.agent, cluster.processes["n2"]):
        process.wait(timeout=30)
    cluster.lab.restart_node(second)
    second.agent = start_agent(second, server.url, server.token)
    cluster.start_driver(second)
    server.until(lambda: cluster.read("db-0", "/data/starts").count("\n") == 3, limit_s=120, what="the pod's third start")

    # The set moves to the other node: the volume is detached from one and attached to the other.
    cluster.apply(stateful_set("db", "n1"))
    server.until(lambda: cluster.wait_ready("db-0")["spec"]["nodeName"] == "n1", limit_s=120, what="the pod on n1")
    assert cluster.read("db-0", "/data/starts").count("\n") == 4
    (attachment,) = server.get("volumeattachments")["items"]
    assert attachment["spec"]["nodeName"] == "n1"
    assert cluster.mounts(second) == []

    # All goes: pods, claim, volume, folder.
    server.kubectl("delete", "statefulset", "db")
    server.kubectl("delete", "pvc", "data-db-0")
    server.until(lambda: not server.get("pv")["items"] and not server.get("volumeattachments")["items"], what="the end of the volume")
    server.until(lambda: cluster.mounts(server.node) == [], what="the end of mounts")
    assert list(cluster.folder.iterdir()) == []


def test_an_inline_volume_lives_with_its_pod(cluster):
    server = cluster.server
    volume = {"name": "scratch", "csi": {"driver": DRIVER}}
    mount = [{"name": "scratch", "mountPath": "/scratch"}]
    command = ["sh", "-c", "echo hello >/scratch/word; exec sleep 100000"]
    spec = {"nodeName": "n1", "terminationGracePeriodSeconds": 1, "volumes": [volume]}
    spec["containers"] = [{"name": "c", "image": IMAGE, "command": command, "volumeMounts": mount}]
    cluster.apply({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "inline"}, "spec": spec})
    cluster.wait_ready("inline")
    server.until(lambda: cluster.read("inline", "/scratch/word") == "hello\n", what="the word")
    server.kubectl("delete", "pod", "inline")
    server.until(lambda: cluster.mounts(server.node) == [], what="the end of mounts")


def test_a_server_that_is_killed_finds_its_volumes_again(cluster):
    server = cluster.server
    cluster.apply(stateful_set("kept", "n1"))
    cluster.wait_ready("kept-0")
    server.kill()
    server.start()
    server.until(lambda: cluster.read("kept-0", "/data/starts").count("\n") == 1, limit_s=120, what="the server that began again")
    server.kubectl("delete", "statefulset", "kept")
    server.kubectl("delete", "pvc", "data-kept-0")
    server.until(lambda: cluster.mounts(server.node) == [] and not server.get("volumeattachments")["items"], what="the end of mounts")
