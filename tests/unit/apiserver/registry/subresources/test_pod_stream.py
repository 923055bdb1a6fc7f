import pytest

from k3py.api.status import ApiError
from k3py.apiserver.interface import StreamResult
from k3py.apiserver.registry.subresources.pod_stream import choose_container
from tests.support.api import run_api

NODE = {
    "metadata": {"name": "n"},
    "status": {
        "addresses": [{"type": "Hostname", "address": "n"}, {"type": "InternalIP", "address": "192.0.2.7"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10251}},
    },
}


@pytest.fixture
async def api():
    async with run_api() as api:
        await api.send("create", "serviceaccounts", body={"metadata": {"name": "default"}})
        await api.send("create", "nodes", body=NODE)
        yield api


async def create_pod(api, node="n", containers=("c",)):
    spec = {"containers": [{"name": one, "image": "i"} for one in containers]}
    if node:
        spec["nodeName"] = node
    await api.send("create", "pods", body={"metadata": {"name": "p"}, "spec": spec})


async def test_a_log_is_the_kubelets(api):
    await create_pod(api)
    result = await api.result("get", "pods", "p", sub="log", tailLines="5", follow="true")
    assert isinstance(result, StreamResult)
    assert result.target == "https://192.0.2.7:10251/containerLogs/default/p/c?follow=true&tailLines=5"


async def test_exec_passes_streams_on(api):
    await create_pod(api)
    result = await api.result("create", "pods", "p", sub="exec", stdin="true", tty="false", stdout="1")
    assert result.target == "https://192.0.2.7:10251/exec/default/p/c?input=1&output=1"


@pytest.mark.parametrize(
    ("value", "query"), [("true", "?follow=true"), ("", "?follow=true"), ("F", "?follow=true"), ("False", ""), ("0", "")]
)
async def test_only_false_and_0_turn_a_flag_off(api, value, query):
    await create_pod(api)
    result = await api.result("get", "pods", "p", sub="log", follow=value)
    assert result.target == f"https://192.0.2.7:10251/containerLogs/default/p/c{query}"


async def test_a_pod_without_a_node_has_an_empty_log_and_cannot_be_entered(api):
    await create_pod(api, node="")
    result = await api.result("get", "pods", "p", sub="log")
    assert result.status_code == 204
    with pytest.raises(ApiError) as caught:
        await api.result("create", "pods", "p", sub="exec", stdout="1")
    assert caught.value.message == "pod p does not have a host assigned"


async def test_log_options_are_checked(api):
    await create_pod(api)
    for options, code in (({"tailLines": "x"}, 400), ({"tailLines": "-1"}, 422), ({"limitBytes": "0"}, 422)):
        with pytest.raises(ApiError) as caught:
            await api.result("get", "pods", "p", sub="log", **options)
        assert caught.value.code == code


def test_the_container_must_be_clear():
    pod = {
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "a"}, {"name": "b"}], "initContainers": [{"name": "i"}]},
    }
    assert choose_container(pod, "i") == "i"
    with pytest.raises(ApiError) as caught:
        choose_container(pod, "")
    assert caught.value.message == (
        "a container name must be specified for pod p, choose one of: [a b] or one of the init containers: [i]"
    )
    with pytest.raises(ApiError) as caught:
        choose_container(pod, "x")
    assert caught.value.message == "container x is not valid for pod p"
    pod["metadata"]["annotations"] = {"kubectl.kubernetes.io/default-container": "b"}
    assert choose_container(pod, "") == "b"
