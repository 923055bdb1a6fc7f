"""Rules of Services (api-machinery.md §3.3)."""

from __future__ import annotations

import pytest

from k3py.api.kind import WriteContext
from k3py.api.kinds.core.service.cluster_ips import normalize_cluster_ips
from k3py.api.kinds.core.service.strategy import ServiceStrategy
from k3py.api.object import deep_copy
from k3py.api.user import User

CONTEXT = WriteContext(user=User(name="tester"), now="2026-01-02T03:04:05Z")
STRATEGY = ServiceStrategy()
PORT = {"port": 80, "protocol": "TCP", "targetPort": 80}


def service(**spec):
    return {
        "metadata": {"name": "s"},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "10.43.0.9",
            "clusterIPs": ["10.43.0.9"],
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "internalTrafficPolicy": "Cluster",
            "sessionAffinity": "None",
            "ports": [dict(PORT)],
            **spec,
        },
        "status": {"loadBalancer": {}},
    }


def balanced(**spec):
    fields = {"externalTrafficPolicy": "Cluster", "allocateLoadBalancerNodePorts": True}
    return service(**{"type": "LoadBalancer", **fields, **spec})


def listed(errors):
    return sorted((one.reason.removeprefix("FieldValue"), one.path) for one in errors)


@pytest.mark.parametrize(
    ("obj", "faults"),
    [
        (service(), []),
        (balanced(), []),
        (service(ports=[]), [("Required", "spec.ports")]),
        (service(type="Odd"), [("NotSupported", "spec.type")]),
        (service(ports=[PORT, {**PORT, "port": 81}]), [("Required", f"spec.ports[{one}].name") for one in (0, 1)]),
        (
            service(ports=[{**PORT, "name": "a"}, {**PORT, "name": "b"}]),
            [("Duplicate", "spec.ports[1]")],
        ),
        (service(ports=[{**PORT, "nodePort": 30000}]), [("Forbidden", "spec.ports[0].nodePort")]),
        (service(clusterIPs=["10.43.0.10"]), [("Invalid", "spec.clusterIPs")]),
        (service(clusterIP="x", clusterIPs=["x"]), [("Invalid", "spec.clusterIPs[0]")]),
        (service(ipFamilies=["IPv6"]), [("Invalid", "spec.clusterIPs[0]")]),
        (service(externalTrafficPolicy="Local"), [("Invalid", "spec.externalTrafficPolicy")]),
        (service(externalIPs=["127.0.0.1"], externalTrafficPolicy="Cluster"), [("Invalid", "spec.externalIPs[0]")]),
        (service(loadBalancerClass="a/b"), [("Forbidden", "spec.loadBalancerClass")]),
        (service(sessionAffinity="ClientIP"), [("Required", "spec.sessionAffinityConfig")]),
        (
            service(
                type="NodePort", externalTrafficPolicy="Cluster", clusterIP="None", clusterIPs=["None"]
            ),
            [("Invalid", "spec.clusterIPs[0]")],
        ),
        (
            balanced(loadBalancerSourceRanges=["10.0.0.0"]),
            [("Invalid", "spec.LoadBalancerSourceRanges[0]")],
        ),
    ],
)
def test_a_fault_is_reported_at_its_field(obj, faults):
    assert listed(STRATEGY.validate(obj)) == faults


def test_an_external_name_has_no_address():
    obj = service(type="ExternalName", externalName="a.example.")
    assert listed(STRATEGY.validate(obj)) == [
        ("Forbidden", f"spec.{field}") for field in ("clusterIPs", "ipFamilies", "ipFamilyPolicy")
    ]
    bare = {"type": "ExternalName", "externalName": "a.example.", "sessionAffinity": "None"}
    assert listed(STRATEGY.validate({"metadata": {}, "spec": bare})) == []


def test_the_first_address_stays():
    new = service(clusterIP="10.43.0.10", clusterIPs=["10.43.0.10"])
    assert listed(STRATEGY.validate_update(new, service())) == [("Invalid", "spec.clusterIPs[0]")]


def test_the_class_of_a_load_balancer_stays_while_it_is_one():
    new, old = balanced(loadBalancerClass="example.com/a"), balanced()
    assert listed(STRATEGY.validate_update(new, old)) == [("Invalid", "spec.loadBalancerClass")]
    assert STRATEGY.validate_update(new, service()) == []


def test_what_only_a_load_balancer_has_goes_with_the_type():
    old = balanced(loadBalancerClass="example.com/a")
    old["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1", "ipMode": "VIP"}]}}
    new = deep_copy(old)
    new["spec"]["type"] = "ClusterIP"
    STRATEGY.prepare_update(new, old, CONTEXT)
    gone = ("externalTrafficPolicy", "allocateLoadBalancerNodePorts", "loadBalancerClass")
    assert not [field for field in gone if field in new["spec"]]
    assert new["status"] == {"loadBalancer": {}}
    assert STRATEGY.validate_update(new, old) == []


def test_a_load_balancer_reports_addresses_with_a_mode():
    obj = balanced()
    obj["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"hostname": "192.0.2.2"}]}}
    assert listed(STRATEGY.validate_status_update(obj, balanced())) == [
        ("Invalid", "status.loadBalancer.ingress[1].hostname"),
        ("Required", "status.loadBalancer.ingress[0].ipMode"),
    ]
    obj["spec"]["type"] = "ClusterIP"
    assert listed(STRATEGY.validate_status_update(obj, obj)) == [("Forbidden", "status.loadBalancer.ingress")]


def test_a_client_that_knows_one_address_only_is_understood():
    new = service(clusterIP="10.43.0.10")
    normalize_cluster_ips(new, service())
    assert new["spec"]["clusterIPs"] == ["10.43.0.10"]
    cleared = service()
    cleared["spec"].pop("clusterIP")
    normalize_cluster_ips(cleared, service())
    assert "clusterIPs" not in cleared["spec"]
