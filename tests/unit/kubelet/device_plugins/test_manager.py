"""Device plugins announce devices, containers get them, and nobody gets one twice."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from k3py.api.resource import NODES, PODS
from k3py.kubelet.plugins.channel import open_plugin
from k3py.kubelet.plugins.server import serve_socket
from k3py.runtime.errors import RuntimeFailure
from k3py.runtime.fake import FakeRuntime
from tests.support.fake_client import FakeClient
from tests.support.kubelet import bound_pod, container, running_kubelet
from tests.support.plugin_server import registration

TOY = "example.com/toy"
SERVICE = "/v1beta1.DevicePlugin/"


class Plugin:
    """Has devices a, b, c."""

    def __init__(self, **options):
        self.health = dict.fromkeys("abc", "Healthy")
        self.changed = asyncio.Event()
        self.options = options
        self.calls = []

    async def list_and_watch(self, _):
        while True:
            self.changed.clear()
            yield {"devices": [{"ID": one, "health": health} for one, health in self.health.items()]}
            await self.changed.wait()

    async def allocate(self, request):
        self.calls.append(("Allocate", request))
        (one,) = request["container_requests"]
        ids = one["devices_ids"]
        response = {
            "envs": {"TOYS": ",".join(ids)},
            "mounts": [{"container_path": "/toys", "host_path": "/opt/toys", "read_only": True}],
            "devices": [{"container_path": f"/dev/{one}", "host_path": f"/dev/toy-{one}", "permissions": "rw"} for one in ids],
            "annotations": {"example.com/toys": "yes"},
            "cdi_devices": [{"name": f"example.com/toy={one}"} for one in ids],
        }
        return {"container_responses": [response]}

    async def prefer(self, request):
        (one,) = request["container_requests"]
        return {"container_responses": [{"deviceIDs": sorted(one["available_deviceIDs"], reverse=True)[: one["allocation_size"]]}]}

    async def pre_start(self, request):
        self.calls.append(("PreStartContainer", request))
        return {}

    async def get_options(self, _):
        return self.options

    @asynccontextmanager
    async def serving(self, folder, name="toy.sock"):
        answers = {
            SERVICE + "Allocate": self.allocate,
            SERVICE + "GetPreferredAllocation": self.prefer,
            SERVICE + "PreStartContainer": self.pre_start,
            SERVICE + "GetDevicePluginOptions": self.get_options,
        }
        async with serve_socket(folder / name, answers, {SERVICE + "ListAndWatch": self.list_and_watch}):
            yield

    @asynccontextmanager
    async def registered(self, folder):
        async with self.serving(folder):
            await register(folder, options=self.options)
            yield


async def register(folder, **fields):
    request = {"version": "v1beta1", "endpoint": "toy.sock", "resource_name": TOY, **fields}
    async with asyncio.timeout(30):
        while not (folder / "kubelet.sock").exists():
            await asyncio.sleep(0.005)
    with open_plugin(folder / "kubelet.sock") as channel:
        await channel.call("/v1beta1.Registration/Register", request, timeout_s=30)


@pytest.fixture
def client():
    return FakeClient(graceful_pods=True)


def toy_pod(name="p", amount=1, **spec):
    return bound_pod(name, containers=[container("c", resources={"limits": {TOY: str(amount)}})], terminationGracePeriodSeconds=1, **spec)


def toys(client, what="allocatable"):
    return next((one["status"][what].get(TOY) for one in client.objects(NODES)), None)


async def test_a_container_gets_what_the_plugin_says(short_path, client):
    folder, plugin = short_path / "kubelet/device-plugins", Plugin(pre_start_required=True)
    async with running_kubelet(short_path, client=client) as bench, plugin.registered(folder):
        await bench.until(lambda: toys(client) == toys(client, "capacity") == "3")
        client.seed(PODS, toy_pod())
        await bench.until(lambda: bench.condition("Ready") == "True")
        (made,) = bench.runtime.containers.values()
        assert {"key": "TOYS", "value": "a"} in made.config["envs"]
        assert {"container_path": "/dev/a", "host_path": "/dev/toy-a", "permissions": "rw"} in made.config["devices"]
        assert {"container_path": "/toys", "host_path": "/opt/toys", "readonly": True} in made.config["mounts"]
        assert made.config["CDI_devices"] == [{"name": "example.com/toy=a"}]
        assert made.config["annotations"]["example.com/toys"] == "yes"
        assert [one for one, _ in plugin.calls] == ["Allocate", "PreStartContainer"]
        with open_plugin(short_path / "kubelet/pod-resources/kubelet.sock") as channel:
            answer = await channel.call("/v1.PodResourcesLister/List", {}, timeout_s=30)
            (found,) = answer["pod_resources"][0]["containers"][0]["devices"]
            assert (found["resource_name"], found["device_ids"]) == (TOY, ["a"])
            every = await channel.call("/v1.PodResourcesLister/GetAllocatableResources", {}, timeout_s=30)
            assert len(every["devices"]) == 3
            one = await channel.call("/v1.PodResourcesLister/Get", {"pod_name": "p", "pod_namespace": "default"}, timeout_s=30)
            assert one["pod_resources"]["name"] == "p"
            with pytest.raises(RuntimeFailure, match="not found"):
                await channel.call("/v1.PodResourcesLister/Get", {"pod_name": "q"}, timeout_s=30)


async def test_an_ill_device_and_one_that_is_used_are_not_given(short_path, client):
    folder, plugin = short_path / "kubelet/device-plugins", Plugin()
    async with running_kubelet(short_path, client=client) as bench, plugin.registered(folder):
        await bench.until(lambda: toys(client) == "3")
        client.seed(PODS, toy_pod("first"))
        await bench.until(lambda: bench.condition("Ready", "first") == "True")
        plugin.health["b"] = "Unhealthy"
        plugin.changed.set()
        await bench.until(lambda: toys(client) == "2" and toys(client, "capacity") == "3")
        client.seed(PODS, toy_pod("second", 2))
        await bench.until(lambda: bench.phase("second") == "Failed")
        assert bench.status("second")["reason"] == "UnexpectedAdmissionError"
        assert "Requested: 2, Available: 1" in bench.status("second")["message"]
        await client.delete(PODS, "first", namespace="default")
        await bench.until(lambda: bench.pod("first") is None)
        client.seed(PODS, toy_pod("third", 2))
        await bench.until(lambda: bench.condition("Ready", "third") == "True")


async def test_the_plugin_may_choose(short_path, client):
    folder, plugin = short_path / "kubelet/device-plugins", Plugin(get_preferred_allocation_available=True)
    async with running_kubelet(short_path, client=client) as bench, plugin.registered(folder):
        await bench.until(lambda: toys(client) == "3")
        client.seed(PODS, toy_pod(amount=2))
        await bench.until(lambda: plugin.calls)
        assert plugin.calls[0][1]["container_requests"] == [{"devices_ids": ["c", "b"]}]


async def test_a_containers_devices_go_on_from_its_init_containers(short_path, client):
    folder, plugin = short_path / "kubelet/device-plugins", Plugin()
    limits = {"resources": {"limits": {TOY: "3"}}}
    async with running_kubelet(short_path, client=client) as bench, plugin.registered(folder):
        await bench.until(lambda: toys(client) == "3")
        client.seed(PODS, bound_pod(containers=[container("c", **limits)], initContainers=[container("i", "true", **limits)]))
        await bench.until(lambda: bench.condition("Ready") == "True")


async def test_what_containers_have_outlives_the_kubelet(short_path, client):
    folder, plugin = short_path / "kubelet/device-plugins", Plugin()
    async with FakeRuntime() as runtime:
        async with running_kubelet(short_path, client=client, runtime=runtime) as bench, plugin.registered(folder):
            await bench.until(lambda: toys(client) == "3")
            client.seed(PODS, toy_pod())
            await bench.until(lambda: bench.condition("Ready") == "True")
        async with running_kubelet(short_path, client=client, runtime=runtime) as bench:
            await bench.until(lambda: toys(client) == toys(client, "capacity") == "0")
            async with plugin.registered(folder):
                await bench.until(lambda: toys(client) == "3")
                client.seed(PODS, toy_pod("second", 2))
                await bench.until(lambda: bench.condition("Ready", "second") == "True")
                assert sorted(plugin.calls[-1][1]["container_requests"][0]["devices_ids"]) == ["b", "c"]
                client.seed(PODS, toy_pod("third"))
                await bench.until(lambda: bench.phase("third") == "Failed")


async def test_a_plugin_that_ends_has_no_devices_to_give(short_path, client):
    folder, plugin = short_path / "kubelet/device-plugins", Plugin()
    async with running_kubelet(short_path, client=client) as bench:
        async with plugin.registered(folder):
            await bench.until(lambda: toys(client) == "3")
        await bench.until(lambda: toys(client) == "0" and toys(client, "capacity") == "3")


async def test_a_plugin_may_make_itself_known_by_the_folder_of_sockets(short_path, client):
    folder, plugin, told = short_path / "kubelet/plugins/toys", Plugin(), []
    async with running_kubelet(short_path, client=client) as bench, plugin.serving(folder):
        known = registration("DevicePlugin", TOY, folder / "toy.sock", ["v1beta1"], told)
        async with serve_socket(short_path / "kubelet/plugins_registry/toy-reg.sock", known):
            await bench.until(lambda: toys(client) == "3")
            await bench.until(lambda: told == [{"plugin_registered": True, "error": ""}])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"version": "v9"}, "'v9' is not supported"),
        ({"resource_name": "cpu"}, "ResourceName 'cpu' is invalid"),
        ({"endpoint": "../toy.sock"}, "is no name of a socket"),
    ],
)
async def test_a_wrong_registration_is_refused(short_path, client, fields, message):
    async with running_kubelet(short_path, client=client):
        with pytest.raises(RuntimeFailure, match=message):
            await register(short_path / "kubelet/device-plugins", **fields)
