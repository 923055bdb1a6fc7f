"""Planned rules against a reference that reads policies as the API describes them: equal answers for every pair of pods and port."""

from __future__ import annotations

import ipaddress

from hypothesis import given, settings
from hypothesis import strategies as st

from k3py.network.policy.planner import plan_policies
from k3py.network.policy.pods import read_pod
from tests.support.nft_table import Packet, passes

NODE = "here"
SPACES = {"a": {"team": "x"}, "b": {"team": "y", "tier": "front"}, "c": {}}
PORTS = (53, 80, 81, 8080, 9000)
OUTSIDE = ("192.0.2.1", "198.51.100.77", "2001:db8:9::1")
CIDRS = ("10.42.0.0/24", "10.42.1.0/30", "10.42.1.1/32", "192.0.2.0/24", "0.0.0.0/0", "::/0", "2001:db8::/32", "fd00::/64")


# --- the reference ------------------------------------------------------------------------------------------------------


def selects(selector, labels):
    """LabelSelector semantics, written from the API's description."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    for term in selector.get("matchExpressions", ()):
        value, values = labels.get(term["key"]), term.get("values", ())
        fulfilled = {
            "In": value is not None and value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }[term["operator"]]
        if not fulfilled:
            return False
    return True


def peer_matches(peer, policy_space, address, pod):
    if "ipBlock" in peer:
        block, parsed = peer["ipBlock"], ipaddress.ip_address(address)
        holes = [ipaddress.ip_network(one) for one in block.get("except", ())]
        return parsed in ipaddress.ip_network(block["cidr"]) and not any(parsed in one for one in holes)
    if pod is None:
        return False
    space = pod["metadata"]["namespace"]
    if "namespaceSelector" not in peer:
        fits = space == policy_space
    else:
        fits = selects(peer["namespaceSelector"], SPACES[space])
    return fits and selects(peer.get("podSelector", {}), pod["metadata"]["labels"])


def port_matches(one, protocol, port, target):
    if one.get("protocol", "TCP") != protocol:
        return False
    wanted = one.get("port")
    if wanted is None:
        return True
    if isinstance(wanted, str):
        ports = [] if target is None else target["spec"]["containers"][0]["ports"]
        return any((known["name"], known["protocol"], known["containerPort"]) == (wanted, protocol, port) for known in ports)
    return wanted <= port <= one.get("endPort", wanted)


def direction_allows(policies, kind, subject, *, address, other, target, protocol, port):
    """Ask the policies that isolate `subject` in a direction whether they let it talk with `address` (of pod `other`, if any)."""
    isolating = [
        one
        for one in policies
        if one["metadata"]["namespace"] == subject["metadata"]["namespace"]
        and kind in one["spec"]["policyTypes"]
        and selects(one["spec"]["podSelector"], subject["metadata"]["labels"])
    ]
    if not isolating:
        return True
    rules_field, peers_field = ("ingress", "from") if kind == "Ingress" else ("egress", "to")
    return any(
        (not rule.get(peers_field) or any(peer_matches(p, one["metadata"]["namespace"], address, other) for p in rule[peers_field]))
        and (not rule.get("ports") or any(port_matches(p, protocol, port, target) for p in rule["ports"]))
        for one in isolating
        for rule in one["spec"].get(rules_field, ())
    )


def allowed(policies, source, destination, source_pod, target, protocol, port):
    """Return what this node lets pass: egress of its own pods, ingress to its own pods."""
    if source == destination:
        return True
    local = [pod is not None and pod["spec"]["nodeName"] == NODE for pod in (source_pod, target)]
    common = {"protocol": protocol, "port": port, "target": target}
    leaves = not local[0] or direction_allows(policies, "Egress", source_pod, address=destination, other=target, **common)
    enters = not local[1] or direction_allows(policies, "Ingress", target, address=source, other=source_pod, **common)
    return leaves and enters


# --- what is tried -------------------------------------------------------------------------------------------------------

labels = st.fixed_dictionaries({}, optional={"app": st.sampled_from(("web", "db")), "tier": st.sampled_from(("front", "back"))})
terms = st.one_of(
    st.builds(lambda k, o, v: {"key": k, "operator": o, "values": v}, st.sampled_from(("app", "tier", "team")),
              st.sampled_from(("In", "NotIn")), st.lists(st.sampled_from(("web", "db", "front", "x")), min_size=1, max_size=2)),
    st.builds(lambda k, o: {"key": k, "operator": o}, st.sampled_from(("app", "tier", "team")), st.sampled_from(("Exists", "DoesNotExist"))),
)  # fmt: skip
match_labels = st.fixed_dictionaries({}, optional={"app": st.sampled_from(("web", "db")), "team": st.sampled_from(("x", "y"))})
selectors = st.fixed_dictionaries({}, optional={"matchLabels": match_labels, "matchExpressions": st.lists(terms, max_size=2)})


@st.composite
def blocks(draw):
    cidr = draw(st.sampled_from(CIDRS))
    network = ipaddress.ip_network(cidr)
    inner = [one for one in CIDRS if one != cidr and ipaddress.ip_network(one).version == network.version]
    inner = [one for one in inner if ipaddress.ip_network(one).subnet_of(network)]
    holes = draw(st.lists(st.sampled_from(inner), max_size=2)) if inner else []
    return {"ipBlock": {"cidr": cidr} | ({"except": holes} if holes else {})}


peers = st.one_of(
    blocks(),
    st.builds(lambda one: {"podSelector": one}, selectors),
    st.builds(lambda one: {"namespaceSelector": one}, selectors),
    st.builds(lambda one, two: {"namespaceSelector": one, "podSelector": two}, selectors, selectors),
)
protocols = st.sampled_from(("TCP", "UDP", "SCTP"))
policy_ports = st.one_of(
    st.builds(lambda p: {"protocol": p}, protocols),
    st.builds(lambda p, n: {"protocol": p, "port": n}, protocols, st.sampled_from((*PORTS, "http", "dns"))),
    st.builds(lambda p, n, m: {"protocol": p, "port": n, "endPort": n + m}, protocols, st.sampled_from(PORTS), st.integers(0, 9000)),
)


def rules(field):
    return st.lists(
        st.fixed_dictionaries({}, optional={field: st.lists(peers, max_size=3), "ports": st.lists(policy_ports, max_size=3)}), max_size=3
    )


@st.composite
def clusters(draw):
    pods = []
    for number in range(draw(st.integers(2, 6))):
        addresses = [f"10.42.{number % 2}.{number + 1}", f"fd00::{number % 2}:{number + 1}"]
        ports = [
            {"name": name, "protocol": draw(protocols), "containerPort": draw(st.sampled_from(PORTS))}
            for name in draw(st.sets(st.sampled_from(("http", "dns"))))
        ]
        pods.append(
            {
                "metadata": {"namespace": draw(st.sampled_from(sorted(SPACES))), "name": f"p{number}", "labels": draw(labels)},
                "spec": {"nodeName": draw(st.sampled_from((NODE, "there"))), "containers": [{"ports": ports}]},
                "status": {"phase": "Running", "podIPs": [{"ip": one} for one in addresses]},
            }
        )
    policies = [
        {
            "metadata": {"namespace": draw(st.sampled_from(sorted(SPACES))), "name": f"n{number}"},
            "spec": {
                "podSelector": draw(selectors),
                "policyTypes": draw(st.sampled_from((["Ingress"], ["Egress"], ["Ingress", "Egress"]))),
                "ingress": draw(rules("from")),
                "egress": draw(rules("to")),
            },
        }
        for number in range(draw(st.integers(1, 4)))
    ]
    return pods, policies


@settings(max_examples=150, deadline=None)
@given(clusters(), protocols, st.sampled_from(PORTS))
def test_the_rules_say_what_the_policies_say(cluster, protocol, port):
    pods, policies = cluster
    planned = plan_policies(policies, [read_pod(one, node_name=NODE) for one in pods], SPACES)
    places = [(ip["ip"], pod) for pod in pods for ip in pod["status"]["podIPs"]] + [(ip, None) for ip in OUTSIDE]
    for source, source_pod in places:
        for destination, target in places:
            if (":" in source) != (":" in destination):
                continue
            expected = allowed(policies, source, destination, source_pod, target, protocol, port)
            packet = Packet(source, destination, protocol, port)
            assert passes(planned, "forward", packet) == expected, packet
