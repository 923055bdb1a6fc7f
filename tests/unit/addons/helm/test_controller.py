"""HelmCharts become releases, once for each change, and leave with them."""

import pytest

from k3py.addons.helm.controller import FINALIZER, HelmController
from k3py.addons.helm.kinds import HELM_CHART_CONFIGS, HELM_CHARTS
from k3py.addons.helm.program import HelmFailed, HelmMissing
from k3py.api.object import deep_copy
from k3py.api.resource import SECRETS
from tests.support.controllers import World

URL = "https://charts.example/web.tgz"


class Program:
    """Remembers what is installed."""

    def __init__(self):
        self.installed = []
        self.removed = []
        self.failure = None

    async def install(self, release):
        if self.failure:
            raise self.failure
        self.installed.append(release)

    async def uninstall(self, name, namespace, timeout_s, *, driver):
        if self.failure:
            raise self.failure
        self.removed.append((name, namespace))


@pytest.fixture
def world(tmp_path):
    world = World()
    world.program = Program()
    world.build = lambda context: HelmController(
        context.client, context.informers, context.recorder, world.program, static=tmp_path
    )
    return world


def chart(**spec):
    return {
        "kind": "HelmChart",
        "apiVersion": "helm.cattle.io/v1",
        "metadata": {"name": "web", "namespace": "kube-system"},
        "spec": {"chart": URL, "targetNamespace": "web", **spec},
    }


def condition(world, kind):
    (found,) = world.client.objects(HELM_CHARTS)
    conditions = (found.get("status") or {}).get("conditions") or ()
    return next((one for one in conditions if one["type"] == kind), {"status": "", "message": ""})


async def test_a_chart_is_installed_upgraded_and_removed(world):
    world.client.seed(HELM_CHARTS, chart())
    async with world.running(world.build):
        await world.until(lambda: condition(world, "Ready")["status"] == "True")
        assert len(world.program.installed) == 1
        assert condition(world, "Failed")["status"] == "False"
        found = deep_copy(await world.client.get(HELM_CHARTS, "web", namespace="kube-system"))
        assert found["metadata"]["finalizers"] == [FINALIZER]
        # what does not change the release starts nothing
        found["metadata"]["labels"] = {"a": "b"}
        found = deep_copy(await world.client.update(HELM_CHARTS, found))
        found["spec"]["version"] = "2"
        await world.client.update(HELM_CHARTS, found)
        await world.until(lambda: len(world.program.installed) == 2)
        assert "--version=2" in world.program.installed[1].options
        config = {
            "kind": "HelmChartConfig",
            "apiVersion": "helm.cattle.io/v1",
            "metadata": {"name": "web", "namespace": "kube-system"},
            "spec": {"valuesContent": "a: b"},
        }
        await world.client.create(HELM_CHART_CONFIGS, config, namespace="kube-system")
        await world.until(lambda: len(world.program.installed) == 3)
        await world.client.delete(HELM_CHARTS, "web", namespace="kube-system")
        await world.until(lambda: not world.client.objects(HELM_CHARTS))
    assert world.program.removed == [("web", "web")]


async def test_secrets_of_values_are_followed(world):
    secret = {
        "kind": "Secret",
        "apiVersion": "v1",
        "metadata": {"name": "s", "namespace": "kube-system"},
        "data": {"v": "YTogMQ=="},
    }
    world.client.seed(SECRETS, secret)
    world.client.seed(HELM_CHARTS, chart(valuesSecrets=[{"name": "s", "keys": ["v"]}]))
    async with world.running(world.build):
        await world.until(lambda: len(world.program.installed) == 1)
        assert world.program.installed[0].files["values-00.yaml"] == b"a: 1"
        changed = deep_copy(await world.client.get(SECRETS, "s", namespace="kube-system"))
        changed["data"]["v"] = "YTogMg=="
        await world.client.update(SECRETS, changed)
        await world.until(lambda: len(world.program.installed) == 2)


@pytest.mark.parametrize(
    ("failure", "reason"), [(HelmMissing("no helm here"), "HelmMissing"), (HelmFailed("broken"), "HelmFailed")]
)
async def test_a_failure_is_told_and_tried_again(world, failure, reason):
    world.program.failure = failure
    world.client.seed(HELM_CHARTS, chart())
    controller = world.build(world.context)
    async with world.running(lambda _: controller):
        await world.until(lambda: condition(world, "Failed")["status"] == "True")
        assert condition(world, "Failed")["reason"] == reason
        assert condition(world, "Failed")["message"] == str(failure)
        assert await controller.reconcile("kube-system/web") > 0
        world.program.failure = None
        assert await controller.reconcile("kube-system/web") is None
        assert condition(world, "Failed")["status"] == "False"
    assert reason in world.recorder.reasons()


async def test_abort_tries_the_same_once(world):
    world.program.failure = HelmFailed("broken")
    world.client.seed(HELM_CHARTS, chart(failurePolicy="abort"))
    controller = world.build(world.context)
    async with world.running(lambda _: controller):
        await world.until(lambda: condition(world, "Failed")["status"] == "True")
        world.program.failure = None
        assert await controller.reconcile("kube-system/web") is None
        assert world.program.installed == []


async def test_a_chart_that_says_nothing_useful(world):
    world.client.seed(HELM_CHARTS, chart(chart=""))
    async with world.running(world.build):
        await world.until(lambda: condition(world, "Failed")["status"] == "True")
    assert condition(world, "Failed")["reason"] == "InvalidChart"
    assert "spec.chart" in condition(world, "Failed")["message"]


async def test_an_unmanaged_chart_is_left_alone(world):
    unmanaged = chart()
    unmanaged["metadata"]["annotations"] = {"helmcharts.helm.cattle.io/unmanaged": "true"}
    world.client.seed(HELM_CHARTS, unmanaged)
    controller = world.build(world.context)
    async with world.running(lambda _: controller):
        await world.until(controller._charts.list)
        assert await controller.reconcile("kube-system/web") is None
    assert world.program.installed == []


async def test_nothing_is_done_twice_while_the_informer_is_behind(world):
    guarded = chart()
    guarded["metadata"]["finalizers"] = [FINALIZER]
    world.client.seed(HELM_CHARTS, guarded)
    controller = world.build(world.context)
    controller.workers = 0
    async with world.running(lambda _: controller):
        await world.until(controller._charts.list)
        world.informers.pause()
        for _ in range(3):
            await controller.reconcile("kube-system/web")
        assert len(world.program.installed) == 1
        world.informers.resume()
        await world.until(lambda: "status" in controller._charts.list()[0])
        await controller.reconcile("kube-system/web")
    assert len(world.program.installed) == 1
