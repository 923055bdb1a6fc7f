import pytest

from k3py.api.status import ApiError
from k3py.apiserver.registry.subresources.proxy import split_name
from tests.support.api import run_api


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a", ("", "a", "")),
        ("a:80", ("", "a", "80")),
        ("https:a:web", ("https", "a", "web")),
        ("http:a:", ("http", "a", "")),
    ],
)
def test_a_name_may_carry_scheme_and_port(text, parts):
    assert split_name(text) == parts


def test_other_schemes_are_refused():
    with pytest.raises(ApiError):
        split_name("ftp:a:80")


async def test_a_service_leads_to_a_ready_endpoint_of_its_port():
    async with run_api() as api:
        service = {"metadata": {"name": "s"}, "spec": {"ports": [{"name": "web", "port": 80}]}}
        await api.send("create", "services", body=service)
        with pytest.raises(ApiError) as caught:
            await api.result("get", "services", "s:web", sub="proxy")
        assert caught.value.code == 503
        endpoints = {
            "metadata": {"name": "s-1", "labels": {"kubernetes.io/service-name": "s"}},
            "addressType": "IPv4",
            "endpoints": [
                {"addresses": ["192.0.2.1"], "conditions": {"ready": False}},
                {"addresses": ["192.0.2.2"], "conditions": {"ready": True}},
            ],
            "ports": [{"name": "web", "port": 8080}, {"name": "other", "port": 9}],
        }
        await api.send("create", "endpointslices", body=endpoints)
        for name in ("s:web", "s:80", "s"):
            result = await api.result("get", "services", name, sub="proxy", path="x/y")
            assert result.target == "http://192.0.2.2:8080/x/y"


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("n", "https://192.0.2.1:10255"),
        ("n:10255", "https://192.0.2.1:10255"),
        ("http:n:10255", "https://192.0.2.1:10255"),
        ("n:9100", "http://192.0.2.1:9100"),
        ("https:n:9100", "https://192.0.2.1:9100"),
    ],
)
async def test_a_node_leads_to_its_kubelet_also_when_the_kubelets_port_is_named(name, target):
    async with run_api() as api:
        status = {
            "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10255}},
        }
        await api.send("create", "nodes", body={"metadata": {"name": "n"}})
        await api.send("update", "nodes", "n", sub="status", body={"metadata": {"name": "n"}, "status": status})
        result = await api.result("get", "nodes", name, sub="proxy", path="pods")
        assert result.target == f"{target}/pods"
