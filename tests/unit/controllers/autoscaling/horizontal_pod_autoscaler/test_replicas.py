"""How many pods a metric asks for: ready, starting and silent pods (upstream's formula)."""

from datetime import timedelta

import pytest

from k3py.api.timestamps import format_time, parse_time
from k3py.controllers.autoscaling.horizontal_pod_autoscaler.replicas import (
    MetricError,
    PodMetric,
    Proposal,
    Tolerances,
    propose_by_average,
    propose_by_utilization,
    propose_by_value,
    propose_by_value_a_pod,
)

NOW = parse_time("2026-01-01T01:00:00Z")
NEAR = Tolerances()


def make(name, *, phase="Running", ready=True, age=timedelta(hours=1), request="1"):
    changed = format_time(NOW - age)
    return {
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": request}}}]},
        "status": {
            "phase": phase,
            "startTime": changed,
            "conditions": [
                {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": changed}
            ],
        },
    }


def values(**by_pod):
    return {name: PodMetric(value, NOW, 15.0) for name, value in by_pod.items()}


def by_utilization(replicas, target, metrics, pods, tolerances=NEAR):
    return propose_by_utilization(
        replicas, target, metrics, pods, resource="cpu", container="", tolerances=tolerances, now=NOW
    )


@pytest.mark.parametrize(
    ("usages", "target", "replicas"),
    [
        ((900, 900, 900), 30, 9),  # three times too much
        ((310, 300, 300), 30, 3),  # within a tenth
        ((100, 100, 100), 50, 1),
        ((500, 500, 500), 45, 4),
    ],
)
def test_utilization(usages, target, replicas):
    pods = [make(f"p{index}") for index in range(3)]
    metrics = values(**{f"p{index}": usage for index, usage in enumerate(usages)})
    found = by_utilization(3, target, metrics, pods)
    assert found == Proposal(replicas, sum(usages) // 3, sum(usages) * 100 // 3000)


def test_starting_pods_count_as_idle_when_it_goes_up():
    pods = [make("p0"), make("p1"), make("new", age=timedelta(seconds=5), ready=False)]
    found = by_utilization(3, 30, values(p0=600, p1=600, new=5000), pods)
    assert found.replicas == 4  # (600 + 600 + 0) / 3000 = 40 % of 30 %: 4 pods


def test_starting_pods_do_not_count_when_it_goes_down():
    pods = [make("p0"), make("p1"), make("wait", phase="Pending")]
    assert by_utilization(3, 50, values(p0=100, p1=100), pods).replicas == 1


def test_silent_pods_hinder_a_change():
    pods = [make("p0"), make("p1"), make("silent")]
    up = by_utilization(3, 30, values(p0=360, p1=360), pods)
    assert up.replicas == 3  # with the silent one as idle it is 24 %: no reason to grow
    down = by_utilization(3, 50, values(p0=100, p1=100), pods)
    assert down.replicas == 3  # with the silent one busy it is 40 %: ceil(0.8 * 3)


def test_failed_and_deleted_pods_are_not_there():
    gone = make("gone")
    gone["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    pods = [make("p0"), make("failed", phase="Failed"), gone]
    assert by_utilization(1, 50, values(p0=1000, failed=1, gone=1), pods).replicas == 2


@pytest.mark.parametrize(
    ("pods", "metrics", "text"),
    [
        ([], {}, "no pods returned by selector while calculating replica count"),
        ([make("p0")], {}, "did not receive metrics for targeted pods (pods might be unready)"),
    ],
)
def test_what_cannot_be_told(pods, metrics, text):
    with pytest.raises(MetricError, match=text.partition("(")[0]):
        by_utilization(1, 50, metrics, pods)


def test_pod_without_request_is_named():
    pod = make("p0")
    del pod["spec"]["containers"][0]["resources"]
    with pytest.raises(MetricError, match="missing request for cpu in container c of Pod p0"):
        by_utilization(1, 50, values(p0=1), [pod])


def test_average_a_pod():
    pods = [make("p0"), make("p1")]
    found = propose_by_average(2, 10_000, values(p0=30_000, p1=10_000), pods, tolerances=NEAR, now=NOW)
    assert found == Proposal(4, 20_000)


def test_tolerance_is_configurable_by_direction():
    pods = [make("p0")]
    wide = Tolerances(down=0.5, up=1.5)
    assert propose_by_average(1, 100, values(p0=240), pods, tolerances=wide, now=NOW).replicas == 1
    assert propose_by_average(1, 100, values(p0=260), pods, tolerances=wide, now=NOW).replicas == 3


def test_value_of_the_whole():
    pods = [make("p0"), make("p1"), make("unready", ready=False)]
    assert propose_by_value(3, 1000, 2000, pods, NEAR) == Proposal(4, 2000)
    assert propose_by_value(0, 1000, 2500, [], NEAR) == Proposal(3, 2500)
    with pytest.raises(MetricError):
        propose_by_value(3, 1000, 2000, [], NEAR)


def test_value_shared_among_pods():
    assert propose_by_value_a_pod(2, 1000, 5000, NEAR) == Proposal(5, 2500)
    assert propose_by_value_a_pod(5, 1000, 5000, NEAR) == Proposal(5, 1000)
    assert propose_by_value_a_pod(0, 1000, 1500, NEAR) == Proposal(2, 1500)
