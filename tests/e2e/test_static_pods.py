"""A pod that lies as a file on the node runs, is seen through the API, survives its mirror's deletion, and goes with its file."""

import json

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

FOLDER = "/var/lib/k3py/agent/pod-manifests"


def test_a_static_pod(server, namespace):
    (node,) = json.loads(server.kubectl("get", "nodes", "-o", "json").stdout)["items"]
    name = f"web-{node['metadata']['name']}"
    container = {
        "name": "c",
        "image": "docker.io/library/busybox:local",
        "command": ["sh", "-c", "echo hi; sleep 3600"],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
    }
    server.node.run(["sh", "-c", f"echo '{json.dumps(pod)}' > {FOLDER}/web.json"])

    def find():
        items = json.loads(server.kubectl("-n", namespace, "get", "pods", "-o", "json").stdout)["items"]
        return next((one for one in items if one["metadata"]["name"] == name), None)

    def is_running():
        found = find()
        return found is not None and found["status"].get("phase") == "Running"

    server.until(is_running, what="the mirror of the running pod")
    assert server.kubectl("-n", namespace, "logs", name).stdout == "hi\n"
    before = find()
    # Waiting, kubectl would miss a replacement that comes between its look and its watch.
    server.kubectl("-n", namespace, "delete", "pod", name, "--wait=false")
    server.until(
        lambda: is_running() and find()["metadata"]["uid"] != before["metadata"]["uid"], what="a new mirror"
    )
    assert (
        find()["status"]["containerStatuses"][0]["containerID"]
        == before["status"]["containerStatuses"][0]["containerID"]
    )
    server.node.run(["rm", f"{FOLDER}/web.json"])
    server.until(lambda: find() is None, what="the end of the pod")
