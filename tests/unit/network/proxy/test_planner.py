"""Service ports to nftables rules."""

from __future__ import annotations

import re
from dataclasses import replace

from k3py.network.interface import Endpoint, ServicePort
from k3py.network.proxy.planner import TABLE, UdpFlow, find_stale_udp, plan_rules
from k3py.network.ruleset import render_change, render_full

A, B = Endpoint(address="10.42.0.2", port=8080, local=True), Endpoint(address="10.42.1.3", port=8080)
WEB = ServicePort(
    namespace="default", service="web", name="http", protocol="TCP", port=80, cluster_ips=("10.43.0.7",), endpoints=(A, B)
)


def chain_of(plan, map_name, key):
    verdict = plan.elements[map_name][key]
    return plan.chains[verdict.removeprefix("goto ")].rules


def targets(plan, rules):
    """Where a chain's rules may lead: the DNAT targets."""
    found = set()
    for rule in rules:
        for name in re.findall(r"goto (ep[46]-\w+)", rule):
            found |= {text for text in plan.chains[name].rules if "dnat" in text}
    return {re.search(r"dnat \S+ to (\S+)", text)[1] for text in found}


def test_a_cluster_address_leads_to_its_endpoints():
    plan = plan_rules([WEB])
    rules = chain_of(plan, "service-ips4", "10.43.0.7 . tcp . 80")
    assert targets(plan, rules) == {"10.42.0.2:8080", "10.42.1.3:8080"}
    assert "numgen random mod 2" in rules[-1]


def test_without_endpoints_a_port_is_rejected():
    plan = plan_rules([replace(WEB, endpoints=(), node_port=30080)])
    assert plan.elements["service-ips4"] == {}
    assert chain_of(plan, "no-endpoints4", "10.43.0.7 . tcp . 80") == ("reject",)
    assert chain_of(plan, "no-endpoint-nodeports4", "tcp . 30080") == ("reject",)


def test_node_ports_and_external_addresses_are_masqueraded():
    plan = plan_rules([replace(WEB, node_port=30080, external_ips=("192.0.2.1",))])
    by_port = chain_of(plan, "nodeports4", "tcp . 30080")
    assert by_port == chain_of(plan, "service-ips4", "192.0.2.1 . tcp . 80")
    assert by_port[0] == "jump mark-it"
    assert targets(plan, by_port) == {"10.42.0.2:8080", "10.42.1.3:8080"}


def test_the_external_policy_local_keeps_the_clients_address_and_to_local_endpoints():
    plan = plan_rules([replace(WEB, node_port=30080, external_local=True)])
    rules = chain_of(plan, "nodeports4", "tcp . 30080")
    assert "jump mark-it" not in rules
    assert targets(plan, rules[-1:]) == {"10.42.0.2:8080"}
    assert targets(plan, chain_of(plan, "service-ips4", "10.43.0.7 . tcp . 80")) == {"10.42.0.2:8080", "10.42.1.3:8080"}


def test_a_local_policy_without_local_endpoints_drops():
    plan = plan_rules([replace(WEB, endpoints=(B,), node_port=30080, external_local=True, internal_local=True)])
    assert chain_of(plan, "no-endpoint-nodeports4", "tcp . 30080") == ("drop",)
    assert chain_of(plan, "no-endpoints4", "10.43.0.7 . tcp . 80") == ("drop",)


def test_affinity_looks_for_the_clients_last_endpoint_first_and_remembers_it():
    plan = plan_rules([replace(WEB, session_affinity_s=60)])
    rules = chain_of(plan, "service-ips4", "10.43.0.7 . tcp . 80")
    assert [rule.split()[1] for rule in rules] == ["saddr", "saddr", "random"]
    assert len(plan.sets) == 2
    for name, declaration in plan.sets.items():
        assert "timeout 60s" in declaration
        assert any(f"update @{name} " in rule for chain in plan.chains.values() for rule in chain.rules)
        assert any(f"@{name} goto" in rule for rule in rules)


def test_an_endpoint_that_calls_itself_is_masqueraded():
    plan = plan_rules([WEB])
    chain = next(c.rules for n, c in plan.chains.items() if n.startswith("ep4") and "10.42.0.2:8080" in c.rules[-1])
    assert chain[0] == "ip saddr 10.42.0.2 jump mark-it"


def test_clients_outside_of_the_pod_ranges_are_masqueraded_on_cluster_addresses():
    plan = plan_rules([WEB], cluster_cidrs=["10.42.0.0/16", "fd00::/56"])
    first = chain_of(plan, "service-ips4", "10.43.0.7 . tcp . 80")[0]
    assert "saddr != { 10.42.0.0/16 }" in first
    assert "0x4000" in first


def test_a_dual_stack_service_is_planned_for_both_families():
    six = Endpoint(address="fd00::2", port=8080)
    plan = plan_rules([replace(WEB, cluster_ips=("10.43.0.7", "fd01::7"), endpoints=(A, six))])
    assert targets(plan, chain_of(plan, "service-ips4", "10.43.0.7 . tcp . 80")) == {"10.42.0.2:8080"}
    assert targets(plan, chain_of(plan, "service-ips6", "fd01::7 . tcp . 80")) == {"[fd00::2]:8080"}


def test_tcp_and_udp_of_one_number_are_two_ports():
    plan = plan_rules([WEB, replace(WEB, name="udp", protocol="UDP")])
    assert set(plan.elements["service-ips4"]) == {"10.43.0.7 . tcp . 80", "10.43.0.7 . udp . 80"}


def test_the_plan_does_not_depend_on_the_order_of_services():
    other = replace(WEB, service="db", cluster_ips=("10.43.0.9",))
    assert render_full(TABLE, plan_rules([WEB, other])) == render_full(TABLE, plan_rules([other, WEB]))


def test_no_change_is_no_input():
    assert render_change(TABLE, plan_rules([WEB]), plan_rules([WEB])) == ("", "")


def test_a_change_touches_only_what_differs():
    other = replace(WEB, service="db", cluster_ips=("10.43.0.9",))
    change, removal = render_change(TABLE, plan_rules([WEB, other]), plan_rules([replace(WEB, endpoints=(A,)), other]))
    assert "10.42.1.3" not in change
    assert "10.43.0.9" not in change
    assert change.count("flush chain") == 2  # the choice, and the endpoint that left
    assert removal.count("delete chain") == 1


def test_a_removed_service_leaves_nothing():
    change, removal = render_change(TABLE, plan_rules([WEB]), plan_rules([]))
    assert "delete element inet k3py service-ips4 { 10.43.0.7 . tcp . 80" in change
    assert removal.count("delete chain") == 3


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
