"""The controller on a fake cluster: targets, conditions, events."""

import pytest

from k3py.api.kinds import ALL
from k3py.api.resource import DEPLOYMENTS, HORIZONTAL_POD_AUTOSCALERS, PODS, Resource
from k3py.api.timestamps import format_time
from k3py.controllers.autoscaling.horizontal_pod_autoscaler import controller
from k3py.util import clock
from tests.support.controllers import World
from tests.support.objects import pod

POD_METRICS = Resource("metrics.k8s.io", "v1beta1", "pods", "PodMetrics")
CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}


class Cluster(World):
    """A Deployment of `replicas` pods that use `usage` of one core each, and an autoscaler h."""

    def __init__(self, replicas, usage="", **spec):
        super().__init__(ALL)
        labels = {"app": "a"}
        deployment = {
            "metadata": {"name": "d", "namespace": "default", "uid": "d"},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels}},
            "status": {"replicas": replicas},
        }
        self.client.seed(DEPLOYMENTS, deployment)
        for index in range(replicas):
            one = pod(f"p{index}", labels=labels, ready=True)
            one["spec"]["containers"] = [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]
            one["status"] |= {"phase": "Running", "startTime": "2020-01-01T00:00:00Z"}
            self.client.seed(PODS, one)
            if usage:
                self.tell(f"p{index}", usage)
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}
        autoscaler = {
            "metadata": {"name": "h", "namespace": "default", "uid": "h"},
            "spec": {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 9, "metrics": [CPU], **spec},
        }
        self.client.seed(HORIZONTAL_POD_AUTOSCALERS, autoscaler)

    def tell(self, name, usage):
        metadata = {"name": name, "namespace": "default", "labels": {"app": "a"}}
        containers = [{"name": "c", "usage": {"cpu": usage, "memory": "1Mi"}}]
        metrics = {"metadata": metadata, "timestamp": format_time(clock.now()), "window": "15s", "containers": containers}
        self.client.seed(POD_METRICS, metrics)

    async def look(self, monkeypatch):
        """Let the controller look once, when it is time."""
        monkeypatch.setattr(controller, "PERIOD_S", 0.0)
        made = controller.build(self.context)
        for watch in made.watches:
            await watch.informer.wait_synced()
        assert await made.reconcile("default/h") == 0.0
        return made

    async def status(self):
        return (await self.client.get(HORIZONTAL_POD_AUTOSCALERS, "h", namespace="default"))["status"]

    async def reasons(self):
        return {one["type"]: (one["status"], one["reason"]) for one in (await self.status())["conditions"]}

    async def replicas(self):
        return (await self.client.get(DEPLOYMENTS, "d", namespace="default"))["spec"]["replicas"]


async def test_first_look_is_a_period_after_creation():
    world = Cluster(2, "1")
    made = controller.build(world.context)
    for watch in made.watches:
        await watch.informer.wait_synced()
    left_s = await made.reconcile("default/h")
    assert 0 < left_s <= 15.0
    assert await world.replicas() == 2


async def test_busy_pods_make_it_grow(monkeypatch):
    world = Cluster(2, "1")
    await world.look(monkeypatch)
    assert await world.replicas() == 4
    status = await world.status()
    assert (status["currentReplicas"], status["desiredReplicas"]) == (2, 4)
    assert status["lastScaleTime"]
    current = {"averageUtilization": 100, "averageValue": "1"}
    assert status["currentMetrics"] == [{"type": "Resource", "resource": {"name": "cpu", "current": current}}]
    assert await world.reasons() == {
        "AbleToScale": ("True", "SucceededRescale"),
        "ScalingActive": ("True", "ValidMetricFound"),
        "ScalingLimited": ("False", "DesiredWithinRange"),
    }
    message = "New size: 4; reason: cpu resource utilization (percentage of request) above target"
    assert world.recorder.events == [("SuccessfulRescale", message)]


async def test_pods_at_their_target_stay(monkeypatch):
    world = Cluster(2, "500m")
    await world.look(monkeypatch)
    assert await world.replicas() == 2
    assert (await world.reasons())["AbleToScale"] == ("True", "ReadyForNewScale")
    assert world.recorder.events == []


@pytest.mark.parametrize(("replicas", "bounds", "wanted"), [(1, (3, 9), 3), (5, (1, 2), 2)])
async def test_bounds_come_before_metrics(monkeypatch, replicas, bounds, wanted):
    world = Cluster(replicas, minReplicas=bounds[0], maxReplicas=bounds[1])
    await world.look(monkeypatch)
    assert await world.replicas() == wanted
    assert (await world.status())["currentMetrics"] is None


async def test_stopped_target_stays_stopped(monkeypatch):
    world = Cluster(0)
    await world.look(monkeypatch)
    assert await world.replicas() == 0
    assert (await world.reasons())["ScalingActive"] == ("False", "ScalingDisabled")


async def test_missing_metrics_are_told_and_change_nothing(monkeypatch):
    world = Cluster(2)
    await world.look(monkeypatch)
    assert await world.replicas() == 2
    assert (await world.reasons())["ScalingActive"] == ("False", "FailedGetResourceMetric")
    assert (await world.status())["currentMetrics"] == [{"type": ""}]
    assert world.recorder.reasons() == ["FailedGetResourceMetric", "FailedComputeMetricsReplicas"]


async def test_one_good_metric_may_grow_but_not_shrink(monkeypatch):
    bad = {"type": "Resource", "resource": {"name": "gpu", "target": {"averageUtilization": 50}}}
    world = Cluster(2, "1", metrics=[bad, CPU])
    await world.look(monkeypatch)
    assert await world.replicas() == 4
    world = Cluster(4, "10m", metrics=[bad, CPU])
    await world.look(monkeypatch)
    assert await world.replicas() == 4
    assert (await world.reasons())["ScalingActive"] == ("False", "FailedGetResourceMetric")


@pytest.mark.parametrize("target", [{"kind": "Deployment", "name": "none"}, {"kind": "Nothing", "name": "d"}])
async def test_missing_target(monkeypatch, target):
    world = Cluster(2, scaleTargetRef={"apiVersion": "apps/v1", **target})
    await world.look(monkeypatch)
    assert await world.reasons() == {"AbleToScale": ("False", "FailedGetScale")}
    assert world.recorder.reasons() == ["FailedGetScale"]


async def test_two_autoscalers_for_the_same_pods_refuse_both(monkeypatch):
    world = Cluster(2, "1")
    world.client.seed(
        HORIZONTAL_POD_AUTOSCALERS,
        {
            "metadata": {"name": "other", "namespace": "default", "uid": "o"},
            "spec": (await world.client.get(HORIZONTAL_POD_AUTOSCALERS, "h", namespace="default"))["spec"],
        },
    )
    made = await world.look(monkeypatch)
    _ = await made.reconcile("default/other")
    assert "AmbiguousSelector" in world.recorder.reasons()
    assert await world.replicas() == 4  # as the first one, who was alone then, had it


async def test_unchanged_status_is_not_written_again(monkeypatch):
    world = Cluster(2, "500m")
    made = await world.look(monkeypatch)
    before = await world.client.get(HORIZONTAL_POD_AUTOSCALERS, "h", namespace="default")
    _ = await made.reconcile("default/h")
    after = await world.client.get(HORIZONTAL_POD_AUTOSCALERS, "h", namespace="default")
    assert before["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]
