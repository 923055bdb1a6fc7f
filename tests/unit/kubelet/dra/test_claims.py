"""Claimed devices are prepared by their drivers before containers start, and given back behind the last pod."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from k3py.api.resource import PODS, RESOURCE_CLAIMS, RESOURCE_SLICES
from k3py.kubelet.dra.drivers import DraDrivers
from k3py.kubelet.plugins.channel import open_plugin
from k3py.kubelet.plugins.server import serve_socket
from k3py.runtime.fake import FakeRuntime
from k3py.util.supervise import TaskScope
from tests.support.fake_client import FakeClient
from tests.support.kubelet import NODE, bound_pod, container, running_kubelet
from tests.support.plugin_server import registration

DRIVER = "gpu.example.com"
SERVICE = "/k8s.io.kubelet.pkg.apis.dra.v1.DRAPlugin/"


class Driver:
    """Prepares one device a request."""

    def __init__(self):
        self.calls = []
        self.error = ""
        self.told = []

    async def prepare(self, request):
        return {"claims": {one["uid"]: self._prepare(one) for one in request["claims"]}}

    def _prepare(self, claim):
        self.calls.append(("prepare", claim["name"]))
        if self.error:
            return {"error": self.error}
        names = {"large": ["gpu=0"], "small/half": ["gpu=1", "gpu=2"]}
        return {
            "devices": [
                {"request_names": [one], "pool_name": "pool", "device_name": f"d-{one[:5]}", "cdi_device_ids": [f"{DRIVER}/{id_}" for id_ in ids]}
                for one, ids in names.items()
            ]
        }

    async def unprepare(self, request):
        self.calls += [("unprepare", one["name"]) for one in request["claims"]]
        return {"claims": {one["uid"]: {"error": self.error} for one in request["claims"]}}

    @asynccontextmanager
    async def running(self, kubelet, versions=("v1.DRAPlugin",)):
        own = kubelet / "plugins" / DRIVER / "dra.sock"
        answers = {SERVICE + "NodePrepareResources": self.prepare, SERVICE + "NodeUnprepareResources": self.unprepare}
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(serve_socket(own, answers))
            known = registration("DRAPlugin", DRIVER, own, list(versions), self.told)
            await stack.enter_async_context(serve_socket(kubelet / "plugins_registry" / "gpu-reg.sock", known))
            yield


@pytest.fixture
def client():
    return FakeClient(graceful_pods=True)


def claim(*uids, name="c"):
    results = [{"driver": DRIVER, "request": one, "pool": "pool", "device": "d"} for one in ("large", "small/half")]
    status = {"allocation": {"devices": {"results": results}}, "reservedFor": [{"resource": "pods", "name": one, "uid": one} for one in uids]}
    return {"kind": "ResourceClaim", "metadata": {"name": name, "namespace": "default"}, "spec": {}, "status": status}


def claiming_pod(name="p", request="", **spec):
    wish = {"name": "gpu", **({"request": request} if request else {})}
    entry = {"name": "gpu", "resourceClaimName": "c"}
    return bound_pod(name, containers=[container("c", resources={"claims": [wish]})], resourceClaims=[entry], terminationGracePeriodSeconds=1, **spec)


@asynccontextmanager
async def node(path, client, driver, **options):
    async with running_kubelet(path, client=client, **options) as bench, driver.running(path / "kubelet"):
        yield bench


@pytest.mark.parametrize(
    ("request_name", "names"),
    [("", ["gpu=0", "gpu=1", "gpu=2"]), ("large", ["gpu=0"]), ("small", ["gpu=1", "gpu=2"])],
)
async def test_a_container_gets_the_devices_of_its_request(short_path, client, request_name, names):
    driver = Driver()
    client.seed(RESOURCE_CLAIMS, claim("uid-p"))
    async with node(short_path, client, driver) as bench:
        client.seed(PODS, claiming_pod(request=request_name))
        await bench.until(lambda: bench.condition("Ready") == "True")
        (made,) = bench.runtime.containers.values()
        assert made.config["CDI_devices"] == [{"name": f"{DRIVER}/{one}"} for one in names]


async def test_a_claim_is_prepared_once_and_given_back_behind_the_last_pod(short_path, client):
    driver = Driver()
    client.seed(RESOURCE_CLAIMS, claim("uid-p", "uid-q"))
    async with node(short_path, client, driver) as bench:
        for name in "pq":
            client.seed(PODS, claiming_pod(name))
        await bench.until(lambda: bench.condition("Ready") == bench.condition("Ready", "q") == "True")
        await client.delete(PODS, "p", namespace="default")
        await bench.until(lambda: bench.pod() is None)
        assert driver.calls == [("prepare", "c")]
        with open_plugin(short_path / "kubelet/pod-resources/kubelet.sock") as channel:
            answer = await channel.call("/v1.PodResourcesLister/List", {}, timeout_s=30)
        (found,) = answer["pod_resources"][0]["containers"][0]["dynamic_resources"]
        assert (found["claim_name"], [one["device_name"] for one in found["claim_resources"]]) == ("c", ["d-large", "d-small"])
        await client.delete(PODS, "q", namespace="default")
        await bench.until(lambda: bench.pod("q") is None)
        assert driver.calls == [("prepare", "c"), ("unprepare", "c")]


async def test_a_driver_that_fails_is_asked_again(short_path, client):
    driver = Driver()
    driver.error = "the device is on fire"
    client.seed(RESOURCE_CLAIMS, claim("uid-p"))
    async with node(short_path, client, driver) as bench:
        client.seed(PODS, claiming_pod())
        await bench.until(lambda: any("on fire" in message for _, message in bench.events.told))
        assert "FailedPrepareDynamicResources" in bench.events.reasons
        driver.error = ""
        await bench.until(lambda: bench.condition("Ready") == "True")


@pytest.mark.parametrize(
    ("stored", "message"),
    [(None, "failed to fetch ResourceClaim c"), (claim("somebody"), "is not allowed to use"), ({**claim("uid-p"), "status": {}}, "is not allocated")],
)
async def test_a_claim_that_is_not_the_pods_is_not_prepared(short_path, client, stored, message):
    driver = Driver()
    if stored is not None:
        client.seed(RESOURCE_CLAIMS, stored)
    async with node(short_path, client, driver) as bench:
        client.seed(PODS, claiming_pod())
        await bench.until(lambda: any(message in text for _, text in bench.events.told))
        assert driver.calls == []


async def test_claims_of_pods_that_went_while_the_kubelet_was_away_are_given_back(short_path, client):
    driver = Driver()
    client.seed(RESOURCE_CLAIMS, claim("uid-p"))
    async with node(short_path, client, driver) as bench:
        client.seed(PODS, claiming_pod())
        await bench.until(lambda: bench.condition("Ready") == "True")
    client.remove(PODS, "p", "default")
    async with FakeRuntime() as runtime, node(short_path, client, driver, runtime=runtime) as bench:
        await bench.until(lambda: driver.calls == [("prepare", "c"), ("unprepare", "c")])


async def test_a_driver_of_an_old_version_is_refused(short_path, client):
    driver = Driver()
    async with running_kubelet(short_path, client=client) as bench, driver.running(short_path / "kubelet", ["v1alpha3"]):
        await bench.until(lambda: driver.told)
        assert "needs v1.DRAPlugin" in driver.told[0]["error"]


async def test_what_a_driver_announced_goes_behind_it(short_path, client):
    for name, driver, where in (("mine", DRIVER, NODE), ("others", "other.example.com", NODE), ("elsewhere", DRIVER, "n9")):
        client.seed(RESOURCE_SLICES, {"kind": "ResourceSlice", "metadata": {"name": name}, "spec": {"driver": driver, "nodeName": where}})
    drivers = DraDrivers(client, NODE, lambda: None, wipe_s=0.0)
    await drivers.register("other.example.com", short_path / "s", ["v1.DRAPlugin"])
    async with TaskScope() as scope:
        _ = scope.spawn(drivers.run(), name="drivers")
        async with asyncio.timeout(30):
            while len(client.objects(RESOURCE_SLICES)) == 3:
                await asyncio.sleep(0.005)
        scope.cancel()
    assert [one["metadata"]["name"] for one in client.objects(RESOURCE_SLICES)] == ["elsewhere", "others"]
