"""`kubectl events` and `get events`."""

import json
import re

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]


@pytest.fixture
def pod(kubectl):
    """A pod that fits nowhere: the scheduler says why."""
    kubectl("run", "p", "--image=i", "--overrides", json.dumps({"spec": {"nodeSelector": {"never": "there"}}}))
    kubectl("wait", "--for=condition=PodScheduled=false", "pod/p", "--timeout=20s")
    return kubectl


def eventually(kubectl, *arguments):
    waiting = kubectl.start("events", "--watch", *arguments)
    lines = [waiting.stdout.readline() for _ in range(2)]
    waiting.kill()
    waiting.wait()
    waiting.stdout.close()
    return lines


def test_events_tell_of_an_object(pod):
    header, row = eventually(pod, "--for", "pod/p")
    assert header.split() == ["LAST", "SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    assert re.match(r"\S+ +Warning +FailedScheduling +Pod/p +0/\d+ nodes are available", row)
    assert "FailedScheduling" in pod("events", "--types=Warning")
    assert "No events found" in pod.run("events", "--types=Normal").stderr


def test_get_events_and_their_fields(pod):
    eventually(pod, "--for", "pod/p")
    row = pod("get", "events", "--field-selector", "reason=FailedScheduling,involvedObject.name=p,type=Warning", "--no-headers")
    assert re.match(r"\S+ +Warning +FailedScheduling +pod/p +0/\d+ nodes are available", row)
    (found,) = pod.get("events")["items"]
    assert found["involvedObject"]["kind"] == "Pod"
    assert found["reportingComponent"] == "default-scheduler"
    assert pod.get("events.events.k8s.io")["items"][0]["regarding"]["name"] == "p"
    assert pod("get", "events", "--sort-by=.lastTimestamp", "-o", "name").startswith("event/p.")
