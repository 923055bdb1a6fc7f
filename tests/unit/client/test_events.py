from k3py.api.resource import EVENTS, PODS
from k3py.api.status import ApiError
from k3py.client.events import QUEUE_SIZE, EventRecorder
from tests.support.fake_client import FakeClient


def a_pod(client: FakeClient):
    return client.seed(PODS, {"metadata": {"name": "web", "namespace": "shop"}, "spec": {}})


async def test_event_carries_reference_source_and_timestamps():
    client = FakeClient()
    recorder = EventRecorder(client, component="kubelet", host="n1")
    pod = a_pod(client)
    recorder.event(pod, "Normal", "Started", "Started container", field_path="spec.containers{web}")
    await recorder.flush()
    (event,) = client.objects(EVENTS, "shop")
    assert event["metadata"]["name"].startswith("web.")
    int(event["metadata"]["name"].removeprefix("web."), 16)
    assert event["involvedObject"] == {
        "kind": "Pod",
        "namespace": "shop",
        "name": "web",
        "uid": pod["metadata"]["uid"],
        "apiVersion": "v1",
        "resourceVersion": pod["metadata"]["resourceVersion"],
        "fieldPath": "spec.containers{web}",
    }
    assert event["source"] == {"component": "kubelet", "host": "n1"}
    assert event["count"] == 1
    assert event["firstTimestamp"] == event["lastTimestamp"]


async def test_equal_events_are_counted_in_one_object():
    client = FakeClient()
    recorder = EventRecorder(client, component="kubelet")
    pod = a_pod(client)
    for _ in range(3):
        recorder.event(pod, "Warning", "BackOff", "Back-off restarting")
    await recorder.flush()
    (event,) = client.objects(EVENTS)
    assert event["count"] == 3


async def test_counting_starts_anew_when_the_event_is_gone():
    client = FakeClient()
    recorder = EventRecorder(client, component="kubelet")
    pod = a_pod(client)
    recorder.event(pod, "Warning", "BackOff", "Back-off restarting")
    await recorder.flush()
    client.remove(EVENTS, client.objects(EVENTS)[0]["metadata"]["name"], "shop")
    recorder.event(pod, "Warning", "BackOff", "Back-off restarting")
    await recorder.flush()
    (event,) = client.objects(EVENTS)
    assert event["count"] == 2


async def test_many_similar_events_are_combined():
    client = FakeClient()
    recorder = EventRecorder(client, component="scheduler")
    pod = a_pod(client)
    for i in range(15):
        recorder.event(pod, "Warning", "FailedScheduling", f"reason {i}")
    await recorder.flush()
    events = client.objects(EVENTS)
    combined = [e for e in events if e["message"].startswith("(combined from similar events): ")]
    assert len(events) == 10
    assert [e["count"] for e in combined] == [6]


async def test_a_talkative_source_is_cut_off_after_25_events_of_an_object():
    client = FakeClient()
    recorder = EventRecorder(client, component="x")
    pod = a_pod(client)
    for i in range(40):
        recorder.event(pod, "Normal", f"Reason{i}", "text")
    await recorder.flush()
    assert len(client.objects(EVENTS)) == 25


async def test_full_queue_drops_and_never_blocks():
    client = FakeClient()
    recorder = EventRecorder(client, component="x")
    pod = a_pod(client)
    for i in range(QUEUE_SIZE + 5):
        recorder.event(pod, "Normal", f"Reason{i}", "text")
    assert recorder.dropped == 5


async def test_refused_event_is_dropped_and_the_next_one_is_sent():
    client = FakeClient()
    client.fail("create", EVENTS, ApiError(403, "Forbidden", "no"))
    recorder = EventRecorder(client, component="x").named("y")
    recorder.event(a_pod(client), "Normal", "One", "text")
    recorder.event(a_pod(client), "Normal", "Two", "text")
    await recorder.flush()
    assert [(e["reason"], e["source"]["component"]) for e in client.objects(EVENTS)] == [("Two", "y")]
