"""A StatefulSet gets its volume out of the box; data outlive the pod, and go with the claim."""

import json

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def test_claims_of_a_stateful_set(server, namespace):
    container = {
        "name": "c",
        "image": "docker.io/library/busybox:local",
        "command": ["sh", "-c", "echo $HOSTNAME >> /data/who; sleep 3600"],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        "securityContext": {"runAsUser": 1000},
    }
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Mi"}}},
    }
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": {"app": "db"}},
        "template": {
            "metadata": {"labels": {"app": "db"}},
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
        },
        "volumeClaimTemplates": [claim],
    }
    database = {"kind": "StatefulSet", "apiVersion": "apps/v1", "metadata": {"name": "db"}, "spec": spec}
    server.kubectl("-n", namespace, "apply", "-f", "-", stdin=json.dumps(database))

    def ready():
        return server.get("statefulset", "db", "-n", namespace)["status"].get("readyReplicas")

    server.until(ready, what="the database")
    volume = server.get("pvc", "data-db-0", "-n", namespace)["spec"]["volumeName"]
    path = server.get("pv", volume)["spec"]["local"]["path"]
    assert path.startswith("/var/lib/k3py/storage/pvc-")
    first = server.get("pod", "db-0", "-n", namespace)["metadata"]["uid"]
    server.kubectl("-n", namespace, "delete", "pod", "db-0", "--wait=false")
    server.until(
        lambda: server.get("pod", "db-0", "-n", namespace)["metadata"]["uid"] != first and ready(),
        what="the next pod",
    )
    assert server.node.run(["cat", f"{path}/who"]).stdout == "db-0\ndb-0\n"
    server.kubectl("-n", namespace, "delete", "statefulset/db", "pvc/data-db-0", "--wait=false")
    server.until(
        lambda: not server.kubectl("get", "pv", volume, "--ignore-not-found").stdout.strip(), what="the volume's end"
    )
    assert server.node.run(["ls", "/var/lib/k3py/storage"]).stdout == ""
