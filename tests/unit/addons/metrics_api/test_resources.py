"""metrics.k8s.io as clients see it, in an API server."""

import pytest

from k3py.addons.metrics_api.kinds import NODE_METRICS, POD_METRICS
from k3py.addons.metrics_api.resources import MetricsResources
from k3py.addons.metrics_api.roles import ensure_roles
from k3py.addons.metrics_api.sampler import Sampler
from k3py.api.status import ApiError
from k3py.api.user import AUTHENTICATED, User
from k3py.client.local import LocalClient
from tests.support.api import ADMIN, run_api
from tests.support.waiting import wait_for

COLLECTOR = User(
    name="system:serviceaccount:kube-system:metrics-server",
    groups=("system:serviceaccounts", "system:serviceaccounts:kube-system", AUTHENTICATED),
)


class Kubelets:
    """Nodes whose pods use half a core; tells only of containers in `pods` (uid → names)."""

    def __init__(self):
        self.now_s = 0.0
        self.pods = {}

    async def pause(self, seconds):
        self.now_s += seconds

    async def fetch(self, node):
        figures = {"cpu": {"usageCoreNanoSeconds": int(self.now_s * 5e8)}, "memory": {"workingSetBytes": 4096}}
        pods = [
            {"podRef": {"uid": uid}, "containers": [{"name": name, **figures} for name in names]}
            for uid, names in self.pods.items()
        ]
        return {"node": figures, "pods": pods}


@pytest.fixture
async def world():
    async with run_api() as api:
        kubelets = Kubelets()
        sampler = Sampler(kubelets, pause=kubelets.pause, monotonic_s=lambda: kubelets.now_s)
        await api.assembly.bootstrap()
        await ensure_roles(LocalClient(api.assembly.dispatcher, ADMIN, "tests"))
        resources = MetricsResources(LocalClient(api.assembly.dispatcher, COLLECTOR, "tests"), sampler)
        api.assembly.dispatcher.serve(NODE_METRICS, resources.answer_nodes)
        api.assembly.dispatcher.serve(POD_METRICS, resources.answer_pods)
        await api.send("create", "nodes", body={"metadata": {"name": "n1", "labels": {"zone": "a"}}})
        api.kubelets = kubelets
        yield api


async def make_pod(api, name, *containers, phase="Running"):
    spec = {"nodeName": "n1", "containers": [{"name": one, "image": "i"} for one in containers]}
    account = {"metadata": {"name": "default"}}
    try:
        await api.send("create", "serviceaccounts", body=account)
    except ApiError as error:
        if error.code != 409:
            raise
    pod = await api.send("create", "pods", body={"metadata": {"name": name, "labels": {"app": name}}, "spec": spec})
    pod["status"]["phase"] = phase
    await api.send("update", "pods", name, body=pod, sub="status")
    api.kubelets.pods[pod["metadata"]["uid"]] = containers


async def test_nodes(world):
    listed = await world.send("list", "nodes.metrics.k8s.io")
    (node,) = listed["items"]
    assert node["metadata"]["name"] == "n1"
    assert node["metadata"]["labels"]["zone"] == "a"
    assert (node["usage"], node["window"]) == ({"cpu": "500000000n", "memory": "4Ki"}, "1.000s")
    assert (await world.send("list", "nodes.metrics.k8s.io", labelSelector="zone=b"))["items"] == []
    assert (await world.send("get", "nodes.metrics.k8s.io", "n1"))["usage"] == node["usage"]


async def test_pods_by_name_and_selector(world):
    await make_pod(world, "web", "a", "b")
    await make_pod(world, "done", "c", phase="Succeeded")
    found = await world.send("get", "pods.metrics.k8s.io", "web")
    assert [one["name"] for one in found["containers"]] == ["a", "b"]
    listed = await world.send("list", "pods.metrics.k8s.io")
    assert [one["metadata"]["name"] for one in listed["items"]] == ["web"]
    assert (await world.send("list", "pods.metrics.k8s.io", labelSelector="app=done"))["items"] == []
    with pytest.raises(ApiError) as caught:
        await world.send("get", "pods.metrics.k8s.io", "done")
    assert (caught.value.code, caught.value.message) == (404, 'podmetrics.metrics.k8s.io "default/done" not found')


async def test_pod_with_a_container_that_is_not_told_of_has_no_figures(world):
    await make_pod(world, "web", "a", "b")
    uid = next(iter(world.kubelets.pods))
    world.kubelets.pods[uid] = ("a",)
    assert (await world.send("list", "pods.metrics.k8s.io"))["items"] == []


async def test_it_can_only_be_read(world):
    with pytest.raises(ApiError) as caught:
        await world.send("delete", "pods.metrics.k8s.io", "web")
    assert caught.value.code == 405


async def test_it_is_registered(world):
    async def find():
        listed = await world.send("list", "apiservices")
        return [one for one in listed["items"] if one["metadata"]["name"] == "v1beta1.metrics.k8s.io"]

    (found,) = await wait_for(find)
    assert (found["spec"]["groupPriorityMinimum"], found["spec"]["versionPriority"]) == (100, 100)


async def test_viewers_may_look(world):
    reader = await world.send("get", "clusterroles", "system:aggregated-metrics-reader")
    assert reader["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-view"] == "true"
    await ensure_roles(LocalClient(world.assembly.dispatcher, ADMIN, "tests"))  # a second start finds all there
