"""What the property test (tests/model) does not ask: types, sharing, other hooks, and the text itself."""

from k3py.network.policy.planner import plan_policies, selects, types_of
from k3py.network.policy.pods import PolicyPod
from k3py.network.ruleset import render_change
from tests.support.nft_table import Packet, passes

WEB = PolicyPod(namespace="a", name="web", labels={"app": "web"}, addresses=("10.42.0.2",), local=True)
WEB2 = PolicyPod(namespace="a", name="web2", labels={"app": "web"}, addresses=("10.42.0.3",), local=True)
CLIENT = PolicyPod(namespace="a", name="client", labels={"app": "client"}, addresses=("10.42.1.2",))


def policy(name="p", namespace="a", **spec):
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"podSelector": {}, **spec}}


def plan(*policies, pods=(WEB, WEB2, CLIENT)):
    return plan_policies(policies, pods, {"a": {}, "b": {}})


def test_without_policies_there_is_no_table():
    assert plan() is None


def test_types_follow_the_rules_when_they_are_absent():
    assert types_of({"podSelector": {}}) == ("Ingress",)
    assert types_of({"podSelector": {}, "egress": [{}]}) == ("Ingress", "Egress")
    assert types_of({"podSelector": {}, "policyTypes": ["Egress"]}) == ["Egress"]


def test_a_policy_selects_pods_of_its_namespace():
    one = policy(podSelector={"matchLabels": {"app": "web"}})
    assert selects(one, "a", {"app": "web"})
    assert not selects(one, "b", {"app": "web"})
    assert not selects(one, "a", {})


def test_default_deny_rejects_and_leaves_the_pod_itself():
    rules = plan(policy())
    assert not passes(rules, "forward", Packet("10.42.1.2", "10.42.0.2", "TCP", 80))
    assert passes(rules, "forward", Packet("10.42.0.2", "10.42.0.2", "TCP", 80))
    assert passes(rules, "forward", Packet("10.42.0.2", "10.42.1.2", "TCP", 80))


def test_egress_to_the_node_is_asked_in_input_and_ingress_from_it_nowhere():
    rules = plan(policy(policyTypes=["Ingress", "Egress"], egress=[{"ports": [{"port": 53, "protocol": "UDP"}]}]))
    assert passes(rules, "input", Packet("10.42.0.2", "10.42.0.1", "UDP", 53))
    assert not passes(rules, "input", Packet("10.42.0.2", "10.42.0.1", "TCP", 22))
    assert passes(rules, "input", Packet("10.42.1.2", "10.42.0.1", "TCP", 22))
    assert not any("hook output" in chain.hook for chain in rules.chains.values())


def test_a_further_pod_of_the_same_policies_is_nothing_but_elements():
    one = policy(ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "client"}}}]}])
    change, removal = render_change("inet t", plan(one, pods=(WEB, CLIENT)), plan(one))
    assert sorted(change.splitlines()) == [
        line for line in sorted(change.splitlines()) if line.startswith("add element inet t ") and "10.42.0.3" in line
    ]
    assert removal == ""


def test_pods_of_other_nodes_are_not_closed_here():
    assert "10.42.1.2" not in plan(policy()).elements["in4"]


def test_ranges_and_networks_that_overlap_are_merged():
    ports = [{"port": 80}, {"port": 80, "endPort": 90}, {"port": 91}, {"port": 443}]
    blocks = [{"ipBlock": {"cidr": one}} for one in ("10.0.0.0/8", "10.1.0.0/16", "192.0.2.7/24")]
    rules = plan(policy(ingress=[{"from": blocks, "ports": ports}]))
    (line,) = [rule for name, chain in rules.chains.items() if name.startswith("policy-in") for rule in chain.rules]
    assert line == "ip saddr { 10.0.0.0/8, 192.0.2.0/24 } meta l4proto tcp th dport { 80-91, 443 } accept"
