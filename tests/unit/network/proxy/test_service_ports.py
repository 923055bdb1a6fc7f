"""Services and endpoint slices to service ports."""

from __future__ import annotations

import pytest

from k3py.network.interface import Endpoint
from k3py.network.proxy.service_ports import plan_service_ports


def service(**spec):
    base = {"clusterIP": "10.43.0.7", "clusterIPs": ["10.43.0.7"], "type": "ClusterIP", "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}
    return {"metadata": {"name": "web", "namespace": "default", "labels": {}}, "spec": base | spec}


def slice_(*endpoints, ports=({"name": "http", "port": 8080, "protocol": "TCP"},)):
    return {"metadata": {"name": "web-1", "namespace": "default"}, "addressType": "IPv4", "ports": list(ports), "endpoints": list(endpoints)}


def endpoint(address, node="n1", **conditions):
    return {"addresses": [address], "nodeName": node, "conditions": conditions}


def addresses(ports):
    return [(e.address, e.port) for port in ports for e in port.endpoints]


def plan(obj, *slices):
    return plan_service_ports(obj, slices, node_name="n1")


def test_ready_endpoints_are_used_and_those_of_this_node_are_local():
    (port,) = plan(service(), slice_(endpoint("10.42.0.2", ready=True), endpoint("10.42.1.3", "n2", ready=True), endpoint("10.42.1.4", ready=False)))
    assert port.endpoints == (
        Endpoint(address="10.42.0.2", port=8080, local=True),
        Endpoint(address="10.42.1.3", port=8080, local=False),
    )
    assert (port.protocol, port.port, port.cluster_ips, port.node_port) == ("TCP", 80, ("10.43.0.7",), 0)


def test_absent_ready_counts_as_ready():
    assert addresses(plan(service(), slice_(endpoint("10.42.0.2")))) == [("10.42.0.2", 8080)]


def test_ending_endpoints_that_serve_are_used_only_when_none_is_ready():
    ending = endpoint("10.42.0.3", ready=False, serving=True, terminating=True)
    assert addresses(plan(service(), slice_(ending))) == [("10.42.0.3", 8080)]
    assert addresses(plan(service(), slice_(ending, endpoint("10.42.0.2", ready=True)))) == [("10.42.0.2", 8080)]
    dead = endpoint("10.42.0.3", ready=False, serving=False, terminating=True)
    assert addresses(plan(service(), slice_(dead))) == []


def test_slices_may_have_different_ports_for_one_service_port():
    ports = plan(service(), slice_(endpoint("10.42.0.2")), slice_(endpoint("10.42.0.2"), ports=({"name": "http", "port": 9090, "protocol": "TCP"},)))
    assert addresses(ports) == [("10.42.0.2", 8080), ("10.42.0.2", 9090)]


def test_ports_are_matched_by_name_and_protocol():
    two = service(ports=[{"name": "a", "port": 1, "protocol": "TCP"}, {"name": "b", "port": 1, "protocol": "UDP"}])
    found = plan(two, slice_(endpoint("10.42.0.2"), ports=({"name": "a", "port": 11, "protocol": "TCP"}, {"name": "b", "port": 12, "protocol": "UDP"})))
    assert [(p.name, p.protocol, [e.port for e in p.endpoints]) for p in found] == [("a", "TCP", [11]), ("b", "UDP", [12])]


@pytest.mark.parametrize(
    "spec",
    [{"clusterIP": "None", "clusterIPs": ["None"]}, {"type": "ExternalName", "clusterIP": "", "clusterIPs": []}, {"clusterIP": "", "clusterIPs": []}],
)
def test_services_without_an_address_have_no_ports(spec):
    assert plan(service(**spec), slice_(endpoint("10.42.0.2"))) == ()


def test_another_proxys_services_are_left_to_it():
    obj = service()
    obj["metadata"]["labels"]["service.kubernetes.io/service-proxy-name"] = "other"
    assert plan(obj) == ()


def test_node_ports_count_only_for_types_that_have_them():
    port = [{"name": "http", "port": 80, "nodePort": 30080}]
    assert plan(service(ports=port, type="NodePort"))[0].node_port == 30080
    assert plan(service(ports=port))[0].node_port == 0


def test_client_affinity_lasts_three_hours_unless_told():
    assert plan(service(sessionAffinity="ClientIP"))[0].session_affinity_s == 10800
    told = {"clientIP": {"timeoutSeconds": 5}}
    assert plan(service(sessionAffinity="ClientIP", sessionAffinityConfig=told))[0].session_affinity_s == 5
    assert plan(service(sessionAffinity="None"))[0].session_affinity_s == 0


def test_load_balancer_addresses_in_proxy_mode_are_not_taken():
    obj = service(type="LoadBalancer", externalTrafficPolicy="Local")
    obj["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"ip": "192.0.2.2", "ipMode": "Proxy"}, {"hostname": "x"}]}}
    (port,) = plan(obj)
    assert (port.load_balancer_ips, port.external_local) == (("192.0.2.1",), True)


def near(address, node="n2", *, zones=(), nodes=(), **conditions):
    hints = {"forZones": [{"name": one} for one in zones], "forNodes": [{"name": one} for one in nodes]}
    return endpoint(address, node, **conditions) | {"hints": hints}


def test_hints_choose_what_is_near_when_every_endpoint_has_one():
    a, b = near("10.42.0.2", zones="a"), near("10.42.0.3", zones="b")
    obj = service()

    def chosen(zone, *endpoints):
        return [one for one, _ in addresses(plan_service_ports(obj, [slice_(*endpoints)], node_name="n1", zone=zone))]

    assert chosen("a", a, b) == ["10.42.0.2"]
    assert chosen("", a, b) == chosen("c", a, b) == ["10.42.0.2", "10.42.0.3"]
    assert chosen("a", a, b, endpoint("10.42.0.4")) == ["10.42.0.2", "10.42.0.3", "10.42.0.4"]
    own, other = near("10.42.0.5", zones="a", nodes=("n1",)), near("10.42.0.6", zones="a", nodes=("n2",))
    assert chosen("a", own, other) == ["10.42.0.5"]
    assert chosen("a", other, near("10.42.0.7", zones="b", nodes=("n3",))) == ["10.42.0.6"]


def test_the_policy_local_falls_back_to_ending_endpoints_of_its_own_node():
    ending = endpoint("10.42.0.3", ready=False, serving=True, terminating=True)
    (port,) = plan(service(internalTrafficPolicy="Local"), slice_(ending, endpoint("10.42.1.3", "n2", ready=True)))
    assert [one.address for one in port.endpoints] == ["10.42.1.3"]
    assert [one.address for one in port.own_endpoints] == ["10.42.0.3"]


def test_load_balancers_have_addresses_ranges_and_a_health_check():
    obj = service(
        type="LoadBalancer", externalTrafficPolicy="Local", healthCheckNodePort=30999, loadBalancerSourceRanges=["192.0.2.0/24"]
    )
    obj["status"] = {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}, {"ip": "203.0.113.2", "ipMode": "Proxy"}, {"hostname": "h"}]}}
    ending = endpoint("10.42.0.3", ready=False, serving=True, terminating=True)
    (port,) = plan(obj, slice_(endpoint("10.42.0.2", ready=True), ending))
    assert (port.load_balancer_ips, port.load_balancer_ranges) == (("203.0.113.1",), ("192.0.2.0/24",))
    assert (port.health_check_port, port.local_ready, port.external_local) == (30999, 1, True)
