"""Recommendations become sizes: windows, policies, bounds."""

import pytest

from k3py.controllers.autoscaling.horizontal_pod_autoscaler.behavior import History, decide

UP = {"policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}, {"type": "Percent", "value": 100, "periodSeconds": 15}]}
DOWN = {"policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}


def run(history, desired, *, current, behavior=None, least=1, most=100, now_s=1000.0):
    return decide(history, behavior, current=current, desired=desired, least=least, most=most, now_s=now_s)


@pytest.mark.parametrize(
    ("current", "desired", "most", "replicas", "reason", "limited"),
    [
        (2, 3, 10, 3, "DesiredWithinRange", False),
        (1, 9, 10, 4, "ScaleUpLimit", True),
        (5, 40, 100, 10, "ScaleUpLimit", True),
        (5, 40, 7, 7, "TooManyReplicas", True),
        (5, 0, 10, 1, "TooFewReplicas", True),
    ],
)
def test_without_behavior(current, desired, most, replicas, reason, limited):
    found = run(History(), desired, current=current, most=most)
    assert (found.replicas, found.limit[0], found.limited) == (replicas, reason, limited)


def test_going_down_waits_for_the_highest_recommendation_of_five_minutes():
    history = History()
    history.begin(5, 0.0)
    held = run(history, 2, current=5, now_s=299.0)
    assert (held.replicas, held.able[0]) == (5, "ScaleDownStabilized")
    free = run(history, 2, current=5, now_s=301.0)
    assert (free.replicas, free.able[0]) == (2, "ReadyForNewScale")


def test_windows_of_the_behavior():
    behavior = {"scaleUp": {**UP, "stabilizationWindowSeconds": 60}, "scaleDown": {**DOWN, "stabilizationWindowSeconds": 0}}
    history = History()
    history.begin(2, 0.0)
    held = run(history, 6, current=2, behavior=behavior, now_s=30.0)
    assert (held.replicas, held.able[0]) == (2, "ScaleUpStabilized")
    assert run(history, 6, current=2, behavior=behavior, now_s=91.0).replicas == 6
    assert run(history, 1, current=6, behavior=behavior, now_s=92.0).replicas == 1


def test_behavior_without_a_window_down_takes_five_minutes():
    history = History()
    history.begin(5, 0.0)
    behavior = {"scaleUp": UP, "scaleDown": DOWN}
    assert run(history, 2, current=5, behavior=behavior, now_s=299.0).replicas == 5
    assert run(history, 2, current=5, behavior=behavior, now_s=301.0).replicas == 2


@pytest.mark.parametrize(("select", "replicas"), [("Max", 20), ("Min", 14), ("Disabled", 10)])
def test_policies_up(select, replicas):
    behavior = {"scaleUp": {**UP, "selectPolicy": select, "stabilizationWindowSeconds": 0}, "scaleDown": DOWN}
    found = run(History(), 50, current=10, behavior=behavior)
    assert (found.replicas, found.limit[0], found.limited) == (replicas, "ScaleUpLimit", True)


@pytest.mark.parametrize(("select", "replicas"), [("Max", 4), ("Min", 5), ("Disabled", 10)])
def test_policies_down(select, replicas):
    policies = [{"type": "Pods", "value": 5, "periodSeconds": 60}, {"type": "Percent", "value": 55, "periodSeconds": 60}]
    down = {"policies": policies, "selectPolicy": select, "stabilizationWindowSeconds": 0}
    found = run(History(), 1, current=10, behavior={"scaleUp": UP, "scaleDown": down})
    assert (found.replicas, found.limit[0]) == (replicas, "ScaleDownLimit")


def test_policies_look_back_over_their_period():
    behavior = {
        "scaleUp": {"policies": [{"type": "Pods", "value": 4, "periodSeconds": 60}], "stabilizationWindowSeconds": 0},
        "scaleDown": DOWN,
    }
    history = History()
    assert run(history, 50, current=2, behavior=behavior, now_s=0.0).replicas == 6
    history.note(2, 6, 0.0, behavior)
    assert run(history, 50, current=6, behavior=behavior, now_s=59.0).replicas == 6
    assert run(history, 50, current=6, behavior=behavior, now_s=61.0).replicas == 10


def test_old_events_are_forgotten():
    history = History()
    behavior = {"scaleUp": UP}
    for second in range(0, 100, 10):
        history.note(1, 2, float(second), behavior)
    assert [when for when, _ in history.ups] == [80.0, 90.0]
