"""Which nodes' addresses a Service gets."""

from k3py.addons.service_lb.plan import ENABLE_LABEL, POOL_LABEL, plan_addresses


def node(name, *, ready="True", external="", internal="", **labels):
    addresses = [{"type": "InternalIP", "address": internal or f"10.0.0.{name[1:]}"}]
    addresses += [{"type": "ExternalIP", "address": external}] if external else []
    labels = {key.replace("__", "/"): value for key, value in labels.items()}
    status = {"conditions": [{"type": "Ready", "status": ready}], "addresses": addresses}
    return {"metadata": {"name": name, "labels": labels}, "status": status}


def labelled(name, **fields):
    made = node(name)
    made["metadata"]["labels"] = fields
    return made


def service(name="web", port=80, *, created="2026-01-01T00:00:00Z", labels=None, **spec):
    ports = [{"port": port, "protocol": "TCP"}]
    spec = {"type": "LoadBalancer", "ports": ports, "ipFamilies": ["IPv4"], **spec}
    metadata = {"name": name, "namespace": "default", "creationTimestamp": created, "labels": labels or {}}
    return {"metadata": metadata, "spec": spec}


def plan(services, nodes, **more):
    return plan_addresses(services, nodes, local_nodes=more.pop("local", {}), **more)


def test_all_ready_nodes_take_part():
    nodes = [node("n10"), node("n9"), node("n3", ready="False"), node("n4", ready="Unknown")]
    assert plan([service()], nodes) == {"default/web": ["10.0.0.9", "10.0.0.10"]}


def test_external_addresses_take_the_place_of_internal_ones():
    assert plan([service()], [node("n1"), node("n2", external="192.0.2.2")]) == {"default/web": ["192.0.2.2"]}


def test_others_services_are_left_alone():
    others = [service(type="NodePort"), service(loadBalancerClass="example.com/lb")]
    gone = service()
    gone["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert plan([*others, gone], [node("n1")]) == {}


def test_local_policy_wants_an_endpoint_on_the_node():
    local = {"default/web": {"n2"}}
    found = plan([service(externalTrafficPolicy="Local")], [node("n1"), node("n2")], local=local)
    assert found == {"default/web": ["10.0.0.2"]}


def test_a_label_makes_a_list_of_allowed_nodes_and_pools():
    nodes = [
        labelled("n1", **{ENABLE_LABEL: "true"}),
        labelled("n2", **{ENABLE_LABEL: "true", POOL_LABEL: "a"}),
        labelled("n3"),
    ]
    assert plan([service()], nodes) == {"default/web": ["10.0.0.1", "10.0.0.2"]}
    assert plan([service(labels={POOL_LABEL: "a"})], nodes) == {"default/web": ["10.0.0.2"]}
    assert plan([service(labels={POOL_LABEL: "b"})], nodes) == {"default/web": []}
    excluded = labelled("n1", **{"node.kubernetes.io/exclude-from-external-load-balancers": ""})
    assert plan([service()], [excluded]) == {"default/web": []}


def test_a_port_of_a_node_belongs_to_the_oldest_service():
    older, newer = service("b"), service("a", created="2026-01-02T00:00:00Z")
    other = service("c", 81, created="2026-01-03T00:00:00Z")
    found = plan([newer, other, older], [node("n1")])
    assert found == {"default/b": ["10.0.0.1"], "default/a": [], "default/c": ["10.0.0.1"]}


def test_reserved_ports_are_not_given_away():
    found = plan([service(port=6443)], [node("n1"), node("n2")], taken={("n1", "TCP", 6443)})
    assert found == {"default/web": ["10.0.0.2"]}


def test_families_in_the_services_order():
    both = [node("n1"), node("n2", internal="fd00::2")]
    assert plan([service(ipFamilies=["IPv6", "IPv4"])], both) == {"default/web": ["fd00::2", "10.0.0.1"]}
    assert plan([service(ipFamilies=["IPv6"])], both) == {"default/web": ["fd00::2"]}
