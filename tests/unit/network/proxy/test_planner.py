"""Service ports to nftables rules."""

from __future__ import annotations

import re
from dataclasses import replace

from k3py.network.interface import Endpoint, ServicePort
from k3py.network.proxy.merged_rules import MergedRules
from k3py.network.proxy.planner import UdpFlow, find_stale_udp, plan_base, plan_service

A, B = Endpoint(address="10.42.0.2", port=8080, local=True), Endpoint(address="10.42.1.3", port=8080)
WEB = ServicePort(
    namespace="default", service="web", name="http", protocol="TCP", port=80, cluster_ips=("10.43.0.7",), endpoints=(A, B)
)
BOTH, LOCAL = {"10.42.0.2:8080", "10.42.1.3:8080"}, {"10.42.0.2:8080"}
VIP = "10.43.0.7 . tcp . 80"


def plan(*ports, cidrs=()):
    """The whole table of one service's ports."""
    rules = MergedRules(plan_base(cidrs))
    rules.change({("default", "web"): plan_service(ports, cluster_cidrs=cidrs)})
    return rules.whole()


def chain_of(table, map_name, key):
    return table.chains[table.elements[map_name][key].removeprefix("goto ")].rules


def targets(table, rules, key=""):
    """Where rules may lead: what DNAT makes of a packet with this key."""
    found = set()
    for rule in rules:
        if "@endpoints" in rule or "@node-endpoints" in rule:
            count, name = re.search(r"numgen random mod (\d+) map @(\S+)", rule).groups()
            found |= {table.elements[name][f"{key} . {index}"].replace(" . ", ":") for index in range(int(count))}
        elif " map {" in rule:
            found |= {one.replace(" . ", ":") for one in re.findall(r"\d+ : (\S+ \. \d+)", rule)}
        elif "dnat" in rule:
            found.add(re.search(r"dnat \S+ to (\S+)", rule)[1])
        for name in re.findall(r"goto ((?:ep|all|own)[46]-\w+)", rule):
            found |= targets(table, table.chains[name].rules, key)
    return found


def test_a_cluster_address_leads_to_its_endpoints():
    table = plan(WEB)
    assert targets(table, chain_of(table, "service-ips4", VIP), VIP) == BOTH
    assert "jump mark-it" not in chain_of(table, "service-ips4", VIP)


def test_ports_with_equally_many_endpoints_share_their_chain():
    other = replace(WEB, name="other", port=81, endpoints=(B, replace(B, port=1)))
    table = plan(WEB, other)
    assert table.elements["service-ips4"][VIP] == table.elements["service-ips4"]["10.43.0.7 . tcp . 81"] == "goto pick4-2"


def test_a_port_with_many_endpoints_has_a_chain_of_its_own():
    many = [Endpoint(address=f"10.42.2.{number}", port=8080) for number in range(1, 41)]
    table = plan(replace(WEB, endpoints=tuple(many), node_port=30080))
    expected = {f"{one.address}:8080" for one in many}
    assert targets(table, chain_of(table, "service-ips4", VIP), VIP) == expected
    assert table.elements["endpoints4"] == {}
    rules = chain_of(table, "nodeports4", "tcp . 30080")
    assert (rules[0], targets(table, rules)) == ("jump mark-it", expected)


def test_without_endpoints_a_port_is_rejected():
    table = plan(replace(WEB, endpoints=(), node_port=30080))
    assert table.elements["service-ips4"] == {}
    assert chain_of(table, "no-endpoints4", VIP) == ("reject",)
    assert chain_of(table, "no-endpoint-nodeports4", "tcp . 30080") == ("reject",)


def test_node_ports_and_external_addresses_are_masqueraded():
    table = plan(replace(WEB, node_port=30080, external_ips=("192.0.2.1",), load_balancer_ips=("192.0.2.2",)))
    for name, key in (("nodeports4", "tcp . 30080"), ("service-ips4", "192.0.2.1 . tcp . 80"), ("service-ips4", "192.0.2.2 . tcp . 80")):
        rules = chain_of(table, name, key)
        assert rules[0] == "jump mark-it"
        assert targets(table, rules, key) == BOTH


def test_the_external_policy_local_keeps_the_clients_address_and_to_local_endpoints():
    table = plan(replace(WEB, node_port=30080, external_local=True), cidrs=["10.42.0.0/16"])
    rules = chain_of(table, "nodeports4", "tcp . 30080")
    assert targets(table, rules[-1:]) == LOCAL
    # This node and its pods reach all of them; only the node is masqueraded.
    assert rules[0] == "fib saddr type local jump mark-it"
    assert rules[1].startswith("fib saddr type local goto all4-")
    assert rules[2].startswith("ip saddr { 10.42.0.0/16 } goto all4-")
    assert targets(table, rules[1:2]) == targets(table, rules[2:3]) == BOTH
    assert targets(table, chain_of(table, "service-ips4", VIP), VIP) == BOTH


def test_the_external_policy_local_without_local_endpoints_drops_what_comes_from_outside():
    table = plan(replace(WEB, endpoints=(B,), node_port=30080, external_local=True, external_ips=("192.0.2.1",)))
    rules = chain_of(table, "nodeports4", "tcp . 30080")
    assert all("fib saddr type local" in rule for rule in rules)
    assert chain_of(table, "no-endpoint-nodeports4", "tcp . 30080") == ("drop",)
    assert chain_of(table, "no-endpoints4", "192.0.2.1 . tcp . 80") == ("drop",)


def test_the_internal_policy_local_uses_local_endpoints_or_drops():
    table = plan(replace(WEB, internal_local=True))
    assert targets(table, chain_of(table, "service-ips4", VIP), VIP) == LOCAL
    assert chain_of(plan(replace(WEB, endpoints=(B,), internal_local=True)), "no-endpoints4", VIP) == ("drop",)


def test_affinity_looks_for_the_clients_last_endpoint_first_and_remembers_it():
    table = plan(replace(WEB, session_affinity_s=60))
    rules = chain_of(table, "service-ips4", VIP)
    assert [rule.split()[1] for rule in rules] == ["saddr", "saddr", "random"]
    assert targets(table, rules) == BOTH
    remembering = {name: text for name, text in table.sets.items() if name.startswith("aff")}
    assert len(remembering) == 2
    for name, declaration in remembering.items():
        assert "timeout 60s" in declaration
        assert any(f"update @{name} " in rule for chain in table.chains.values() for rule in chain.rules)
        assert any(f"@{name} goto" in rule for rule in rules)


def test_an_endpoint_that_calls_itself_is_masqueraded():
    table = plan(WEB)
    assert "10.42.0.2 . 10.42.0.2" in table.elements["hairpin4"]
    assert any("saddr . ip daddr @hairpin4 masquerade" in rule for rule in table.chains["nat-postrouting"].rules)


def test_clients_outside_of_the_pod_ranges_are_masqueraded_on_cluster_addresses():
    table = plan(WEB, cidrs=["10.42.0.0/16", "fd00::/56"])
    assert table.chains["services"].rules[0].startswith("ip daddr @cluster-ips4 ip saddr != { 10.42.0.0/16 } meta mark set")
    assert set(table.elements["cluster-ips4"]) == {"10.43.0.7"}


def test_node_ports_answer_where_they_are_wanted():
    def lookups(*addresses):
        return [rule for rule in plan_base((), addresses).chains["services"].rules if "@nodeports" in rule]

    assert [rule.split(" fib")[0] for rule in lookups()] == ["ip daddr != 127.0.0.0/8", "ip6 daddr != ::1"]
    (rule,) = lookups("192.0.2.0/24", "192.0.2.7/32", "198.51.100.1")
    assert rule.startswith("ip daddr { 192.0.2.0/24, 198.51.100.1/32 } fib daddr type local ")
    assert [rule.split()[0] for rule in lookups("192.0.2.1", "2001:db8::1")] == ["ip", "ip6"]


def test_source_ranges_close_a_load_balancers_addresses_only():
    ranges = ("192.0.2.0/24", "192.0.2.7/32", "2001:db8::/32")
    table = plan(replace(WEB, load_balancer_ips=("203.0.113.1",), load_balancer_ranges=ranges))
    assert set(table.elements["firewall-ips4"]) == {"203.0.113.1 . tcp . 80"}
    (rule,) = chain_of(table, "firewall-ips4", "203.0.113.1 . tcp . 80")
    assert rule.startswith("ip saddr != { 192.0.2.0/24 } drop")
    open_to_all = plan(replace(WEB, load_balancer_ips=("203.0.113.1",), load_balancer_ranges=("0.0.0.0/0",)))
    assert open_to_all.elements["firewall-ips4"] == {}


def test_a_dual_stack_service_is_planned_for_both_families():
    six = Endpoint(address="fd00::2", port=8080)
    table = plan(replace(WEB, cluster_ips=("10.43.0.7", "fd01::7"), endpoints=(A, six)))
    assert targets(table, chain_of(table, "service-ips4", VIP), VIP) == LOCAL
    key = "fd01::7 . tcp . 80"
    assert chain_of(table, "service-ips6", key)[0].startswith("meta l4proto { tcp, udp, sctp } dnat ip6 ")
    assert table.elements["endpoints6"] == {f"{key} . 0": "fd00::2 . 8080"}


def test_tcp_and_udp_of_one_number_are_two_ports():
    table = plan(WEB, replace(WEB, name="udp", protocol="UDP"))
    assert set(table.elements["service-ips4"]) == {VIP, "10.43.0.7 . udp . 80"}


def test_udp_flows_to_an_endpoint_that_left_are_stale():
    dns = replace(WEB, protocol="UDP", port=53, node_port=30053)
    assert find_stale_udp([dns], [replace(dns, endpoints=(A,))]) == (
        UdpFlow("10.43.0.7", 53, "10.42.1.3"),
        UdpFlow("", 30053, "10.42.1.3"),
    )


def test_all_udp_flows_are_stale_when_a_port_gets_its_first_endpoint():
    dns = replace(WEB, protocol="UDP", port=53)
    assert find_stale_udp([replace(dns, endpoints=())], [dns]) == (UdpFlow("10.43.0.7", 53, ""),)
    assert find_stale_udp([dns], [dns]) == ()
    assert find_stale_udp([replace(WEB, endpoints=())], [WEB]) == ()
