"""Names of services and pods: DNS specification 1.1.0 (api-machinery.md §7.3)."""

import pytest

from k3py.api.resource import ENDPOINT_SLICES, SERVICES
from k3py.network.dns.records import ClusterRecords, read_reverse
from k3py.wire.dns import AAAA, CNAME, NOERROR, NXDOMAIN, PTR, SRV, TXT, A
from tests.support.fake_client import FakeClient, FakeInformerFactory


def service(name, **spec):
    return {"metadata": {"name": name, "namespace": "a"}, "spec": spec}


def slice_of(name, *endpoints):
    return {
        "metadata": {"name": f"{name}-1", "namespace": "a", "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"name": "web", "protocol": "TCP", "port": 8080}],
        "endpoints": list(endpoints),
    }


def endpoint(address, *, ready=True, hostname=""):
    made = {"addresses": [address], "conditions": {"ready": ready}}
    return {**made, "hostname": hostname} if hostname else made


@pytest.fixture
def records():
    client = FakeClient()
    ports = [{"name": "web", "port": 80, "protocol": "TCP"}]
    client.seed(SERVICES, service("s", type="ClusterIP", clusterIP="10.43.0.7", clusterIPs=["10.43.0.7", "fd00::7"], ports=ports))
    client.seed(SERVICES, service("h", type="ClusterIP", clusterIP="None", clusterIPs=["None"], ports=ports))
    client.seed(SERVICES, service("down", type="ClusterIP", clusterIP="None", clusterIPs=["None"]))
    client.seed(SERVICES, service("early", clusterIP="None", clusterIPs=["None"], publishNotReadyAddresses=True))
    client.seed(SERVICES, service("x", type="ExternalName", externalName="example.com."))
    client.seed(ENDPOINT_SLICES, slice_of("h", endpoint("10.42.0.2"), endpoint("10.42.0.3", hostname="web-0"), endpoint("10.42.0.4", ready=False)))
    client.seed(ENDPOINT_SLICES, slice_of("down", endpoint("10.42.0.5", ready=False)))
    client.seed(ENDPOINT_SLICES, slice_of("early", endpoint("10.42.0.6", ready=False)))
    return ClusterRecords(FakeInformerFactory(client), domain="cluster.local")


def ask(records, name, kind=A):
    answer = records.find(name, kind)
    return answer.code, [one.data for one in answer.records]


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("s.a.svc.cluster.local", A, ["10.43.0.7"]),
        ("S.A.Svc.Cluster.Local", A, ["10.43.0.7"]),
        ("s.a.svc.cluster.local", AAAA, ["fd00::7"]),
        ("s.a.svc.cluster.local", TXT, []),
        ("_web._tcp.s.a.svc.cluster.local", SRV, [(0, 100, 80, "s.a.svc.cluster.local")]),
        ("h.a.svc.cluster.local", A, ["10.42.0.2", "10.42.0.3"]),
        ("web-0.h.a.svc.cluster.local", A, ["10.42.0.3"]),
        ("10-42-0-2.h.a.svc.cluster.local", A, ["10.42.0.2"]),
        ("_web._tcp.h.a.svc.cluster.local", SRV, [(0, 100, 8080, "10-42-0-2.h.a.svc.cluster.local"), (0, 100, 8080, "web-0.h.a.svc.cluster.local")]),
        ("early.a.svc.cluster.local", A, ["10.42.0.6"]),
        ("x.a.svc.cluster.local", A, ["example.com"]),
        ("x.a.svc.cluster.local", CNAME, ["example.com"]),
        ("1-2-3-4.a.pod.cluster.local", A, ["1.2.3.4"]),
        ("dns-version.cluster.local", TXT, ["1.1.0"]),
        ("7.0.43.10.in-addr.arpa", PTR, ["s.a.svc.cluster.local"]),
        ("3.0.42.10.in-addr.arpa", PTR, ["web-0.h.a.svc.cluster.local"]),
        ("svc.cluster.local", A, []),
        ("a.svc.cluster.local", A, []),
        ("cluster.local", A, []),
    ],
)  # fmt: skip
def test_names_that_exist(records, name, kind, expected):
    assert ask(records, name, kind) == (NOERROR, expected)


@pytest.mark.parametrize(
    "name",
    [
        "none.a.svc.cluster.local",
        "s.other.svc.cluster.local",
        "other.svc.cluster.local",
        "x.s.a.svc.cluster.local",
        "_no._tcp.s.a.svc.cluster.local",
        "_web._udp.s.a.svc.cluster.local",
        "none.h.a.svc.cluster.local",
        "down.a.svc.cluster.local",
        "not-an-ip.a.pod.cluster.local",
        "s.a.cluster.local",
    ],
)
def test_names_that_do_not_exist(records, name):
    assert ask(records, name)[0] == NXDOMAIN


@pytest.mark.parametrize("name", ["example.com", "cluster.local.example.com", "9.9.9.9.in-addr.arpa", "43.10.in-addr.arpa"])
def test_other_names_are_somebody_elses(records, name):
    assert records.find(name, A) is None


def test_services_bring_their_addresses_along(records):
    extra = records.find("_web._tcp.s.a.svc.cluster.local", SRV).extra
    assert [one.data for one in extra] == ["10.43.0.7", "fd00::7"]


def test_reverse_names_of_ipv6_are_read():
    digits = "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f"
    assert read_reverse(f"{digits}.ip6.arpa") == "fd00::7"
