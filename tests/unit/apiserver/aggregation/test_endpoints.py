"""From a Service to one of its ready endpoints."""

import pytest

from k3py.apiserver.aggregation.api_services import ServiceReference
from k3py.apiserver.aggregation.endpoints import ServiceEndpoints, Unavailable
from tests.support.api import run_api

REFERENCE = ServiceReference(namespace="default", name="s", port=443)


def endpoint_slice(number, port_name, *endpoints, family="IPv4"):
    return {
        "metadata": {"name": f"s-{number}", "labels": {"kubernetes.io/service-name": "s"}},
        "addressType": family,
        "endpoints": [{"addresses": [address], "conditions": {"ready": ready}} for address, ready in endpoints],
        "ports": [{"name": port_name, "port": 8443}],
    }


async def test_ready_endpoints_of_the_ports_name_take_turns():
    async with run_api() as api:
        ports = [{"name": "other", "port": 80}, {"name": "api", "port": 443, "targetPort": 8443}]
        await api.send("create", "services", body={"metadata": {"name": "s"}, "spec": {"ports": ports}})
        first = endpoint_slice(1, "api", ("192.0.2.1", True), ("192.0.2.2", False))
        await api.send("create", "endpointslices", body=first)
        await api.send("create", "endpointslices", body=endpoint_slice(2, "api", ("2001:db8::1", True), family="IPv6"))
        await api.send("create", "endpointslices", body=endpoint_slice(3, "other", ("192.0.2.3", True)))
        endpoints = ServiceEndpoints(api.assembly.dispatcher.services.storage, api.kinds)
        seen = {await endpoints.resolve(REFERENCE) for _ in range(64)}
        assert seen == {("192.0.2.1", 8443), ("2001:db8::1", 8443)}


async def test_external_name_is_gone_to_as_it_is():
    async with run_api() as api:
        spec = {"type": "ExternalName", "externalName": "api.example.com"}
        await api.send("create", "services", body={"metadata": {"name": "s"}, "spec": spec})
        endpoints = ServiceEndpoints(api.assembly.dispatcher.services.storage, api.kinds)
        assert await endpoints.resolve(REFERENCE) == ("api.example.com", 443)


async def test_missing_service_is_told():
    async with run_api() as api:
        endpoints = ServiceEndpoints(api.assembly.dispatcher.services.storage, api.kinds)
        with pytest.raises(Unavailable) as caught:
            await endpoints.resolve(REFERENCE)
        assert caught.value.reason == "ServiceNotFound"
        assert caught.value.message == 'service/s in "default" is not present'
