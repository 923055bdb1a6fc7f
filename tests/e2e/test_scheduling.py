"""Pods with real containers: an important one takes a lesser one's place; a gate holds; what came too late waits for room."""

import json

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

IMAGE = "docker.io/library/busybox:local"
SLOT = "example.com/slots"


def slotted(name, *, priority_class="", **spec):
    container = {
        "name": "c",
        "image": IMAGE,
        "command": ["sleep", "3600"],
        "resources": {"requests": {SLOT: "1"}, "limits": {SLOT: "1"}},
    }
    body = {"terminationGracePeriodSeconds": 1, "containers": [container], **spec}
    if priority_class:
        body["priorityClassName"] = priority_class
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": body}


@pytest.fixture
def slots(server):
    """One slot on the node, announced as the official tests do: in the node's capacity alone."""
    (node,) = json.loads(server.kubectl("get", "nodes", "-o", "json").stdout)["items"]
    name = node["metadata"]["name"]

    def announce(value):
        patch = json.dumps({"status": {"capacity": {SLOT: value}}})
        server.kubectl("patch", "node", name, "--subresource=status", "--type=merge", "-p", patch)

    announce("1")
    server.until(lambda: allocatable(server).get(SLOT) == "1", what="the slot")
    for one, value in (("slots-low", 1), ("slots-high", 1000)):
        made = {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": one},
            "value": value,
        }
        server.kubectl("create", "-f", "-", stdin=json.dumps(made))
    yield name
    announce(None)
    server.kubectl("delete", "priorityclass", "slots-low", "slots-high")


def allocatable(server):
    (node,) = json.loads(server.kubectl("get", "nodes", "-o", "json").stdout)["items"]
    return node["status"]["allocatable"]


def test_an_important_pod_takes_the_place_of_a_lesser_one(server, namespace, slots):
    def create(pod):
        server.kubectl("-n", namespace, "create", "-f", "-", stdin=json.dumps(pod))

    def find(name):
        listing = json.loads(server.kubectl("-n", namespace, "get", "pods", "-o", "json").stdout)
        return next((one for one in listing["items"] if one["metadata"]["name"] == name), None)

    def is_running(name):
        pod = find(name)
        return pod is not None and pod["status"].get("phase") == "Running"

    create(slotted("low", priority_class="slots-low"))
    server.until(lambda: is_running("low"), what="the lesser pod")
    create(slotted("equal", priority_class="slots-low"))

    def explanation():
        conditions = find("equal")["status"].get("conditions") or ()
        return next((one.get("message", "") for one in conditions if one["type"] == "PodScheduled"), "")

    server.until(explanation, what="the explanation")
    assert explanation() == (
        f"0/1 nodes are available: 1 Insufficient {SLOT}. no new claims to deallocate, preemption: "
        "0/1 nodes are available: 1 No preemption victims found for incoming pod."
    )
    create(slotted("high", priority_class="slots-high"))
    server.until(lambda: is_running("high"), what="the important pod")
    assert find("low") is None
    events = server.kubectl("-n", namespace, "get", "events", "--field-selector=reason=Preempted").stdout
    assert "pod/low" in events
    server.kubectl("-n", namespace, "delete", "pod", "high")
    server.until(lambda: is_running("equal"), what="the pod that waited for room")
