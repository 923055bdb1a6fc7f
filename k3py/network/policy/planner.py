"""From NetworkPolicies, pods and namespaces to nftables rules: pure.

How a new connection's first packet goes (names of chains in the table)::

    forward, prio 0   (egress-forward)  ┐ source address in map out4/6 → pods-out-X → policy-out-P … → accept, else reject
    input             (egress-input)    ┘
    forward, prio 1   (ingress-forward)   destination address in map in4/6 → pods-in-X → policy-in-P … → accept, else reject

X is a hash of the policies that select a pod, P of a policy; pods that the same policies select share their chains, so that a new pod
is one element of a map. `accept` ends one base chain only: a connection between two pods of this node has to pass both. What starts on
the node itself (probes, its host-network pods) goes through output, where nothing is asked: a pod cannot be closed against its node.
Behind destination NAT: policies see pods, not services. Established connections go on, and a pod always reaches itself.

Selectors are sets of addresses (one a selector, whoever uses it), named ports are sets of (address, protocol, port).

Source: networking/v1 NetworkPolicy of Kubernetes v1.35 (API description and concept), kube-router's netpol as K3s uses it (what is
allowed of the node's own traffic, rejecting instead of dropping).
"""

from __future__ import annotations

import hashlib
import ipaddress
from typing import TYPE_CHECKING, Final

from k3py.api.selectors import LabelSelector, selector_from_object
from k3py.network.ruleset import Chain, Ruleset, list_networks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from k3py.jsontypes import JsonObject
    from k3py.network.policy.pods import PolicyPod

TABLE: Final = "inet k3py-policy"
_FAMILIES: Final = (
    ("4", "ip", "ipv4_addr", "meta nfproto ipv4"),
    ("6", "ip6", "ipv6_addr", "meta nfproto ipv6"),
)
_DIRECTIONS: Final = (("in", "Ingress", "ingress", "from"), ("out", "Egress", "egress", "to"))
_MOST_PORT: Final = 65535
# Without them IPv6 has no neighbours, and nobody is reached at all.
_NEIGHBOURS: Final = "nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, nd-router-advert"


def plan_policies(
    policies: Iterable[JsonObject],
    pods: Sequence[PolicyPod],
    namespaces: Mapping[str, Mapping[str, str]],
) -> Ruleset | None:
    """Return the rules that enforce `policies` for the local ones among `pods`, None when there is no policy: no table is needed.

    Args:
        policies: networking.k8s.io/v1 NetworkPolicies, read-only, all of the cluster.
        pods: of the cluster, those that have an address; where two have the same, the later one counts.
        namespaces: labels by name.

    Complexity: pods of a selector's namespaces × different selectors.
    """
    ordered = sorted(policies, key=lambda one: (one["metadata"]["namespace"], one["metadata"]["name"]))
    return _Planner(pods, namespaces).plan(ordered) if ordered else None


def selects(policy: JsonObject, namespace: str, labels: Mapping[str, str]) -> bool:
    """Say whether a policy applies to pods of a namespace with these labels."""
    if policy["metadata"]["namespace"] != namespace:
        return False
    return selector_from_object(policy["spec"].get("podSelector") or {}).matches(labels)


def types_of(spec: JsonObject) -> Sequence[str]:
    """Return a policy's types; without any it is about ingress, and about egress when it has such rules."""
    given = spec.get("policyTypes")
    return given or (("Ingress", "Egress") if spec.get("egress") else ("Ingress",))


class _Planner:
    def __init__(self, pods: Sequence[PolicyPod], namespaces: Mapping[str, Mapping[str, str]]) -> None:
        self._pods: dict[str, list[PolicyPod]] = {}
        for pod in pods:
            self._pods.setdefault(pod.namespace, []).append(pod)
        self._namespaces = namespaces
        self._rules = Ruleset()

    def plan(self, policies: Sequence[JsonObject]) -> Ruleset:
        rules = self._rules
        for number, _, kind, _ in _FAMILIES:
            for direction in ("in", "out"):
                rules.maps[f"{direction}{number}"] = f"type {kind} : verdict"
                rules.elements[f"{direction}{number}"] = {}
            self._add_set(f"self{number}", f"type {kind} . {kind}", {})
        self._plan_base()
        for direction, type_name, _, _ in _DIRECTIONS:
            selecting = [one for one in policies if type_name in types_of(one["spec"])]
            for policy in selecting:
                self._plan_policy(policy, direction)
            self._plan_pods(selecting, direction)
        return rules

    def _plan_base(self) -> None:
        known = ("ct state established,related accept", f"icmpv6 type {{ {_NEIGHBOURS} }} accept")
        own = tuple(f"{ip} saddr . {ip} daddr @self{number} accept" for number, ip, _, _ in _FAMILIES)
        egress = tuple(f"{ip} saddr vmap @out{number}" for number, ip, _, _ in _FAMILIES)
        ingress = tuple(f"{ip} daddr vmap @in{number}" for number, ip, _, _ in _FAMILIES)
        for name, hook, asked in (
            ("egress-input", "input priority filter", egress),
            ("egress-forward", "forward priority filter", (*own, *egress)),
            ("ingress-forward", "forward priority filter + 1", (*own, *ingress)),
        ):
            self._rules.chains[name] = Chain((*known, *asked), f"type filter hook {hook}; policy accept;")

    def _plan_pods(self, policies: Sequence[JsonObject], direction: str) -> None:
        """Lead the local pods that are selected to their policies."""
        by_namespace: dict[str, list[tuple[LabelSelector, JsonObject]]] = {}
        for policy in policies:
            selector = selector_from_object(policy["spec"].get("podSelector") or {})
            by_namespace.setdefault(policy["metadata"]["namespace"], []).append(
                (selector, policy["metadata"])
            )
        for namespace, selecting in by_namespace.items():
            for pod in self._pods.get(namespace, ()):
                if not pod.local:
                    continue
                names = [meta["name"] for selector, meta in selecting if selector.matches(pod.labels)]
                if names:
                    self._isolate(pod, names, direction)

    def _isolate(self, pod: PolicyPod, names: Sequence[str], direction: str) -> None:
        chain = f"pods-{direction}-{_hash(pod.namespace, *names)}"
        jumps = [
            f'jump {_chain_of(direction, pod.namespace, name)} comment "{pod.namespace}/{name}"'
            for name in names
        ]
        self._rules.chains[chain] = Chain((*jumps, "reject"))
        for address in pod.addresses:
            number = "6" if ":" in address else "4"
            self._rules.elements[f"{direction}{number}"][address] = f"goto {chain}"
            self._rules.elements[f"self{number}"][f"{address} . {address}"] = ""

    def _plan_policy(self, policy: JsonObject, direction: str) -> None:
        spec, metadata = policy["spec"], policy["metadata"]
        _, _, rules_field, peers_field = next(one for one in _DIRECTIONS if one[0] == direction)
        lines: dict[str, None] = {}  # in order, each once
        for rule in spec.get(rules_field) or ():
            peers, ports = rule.get(peers_field) or (), rule.get("ports") or ()
            for number, ip, _, only in _FAMILIES:
                address = f"{ip} {'saddr' if direction == 'in' else 'daddr'}"
                matched = self._plan_peers(peers, metadata["namespace"], number, address) if peers else [only]
                asked = self._plan_ports(ports, number, ip) if ports else [""]
                for peer in matched:
                    lines.update({" ".join(filter(None, (peer, port, "accept"))): None for port in asked})
        self._rules.chains[_chain_of(direction, metadata["namespace"], metadata["name"])] = Chain(
            tuple(lines)
        )

    def _plan_peers(
        self, peers: Sequence[JsonObject], namespace: str, number: str, address: str
    ) -> list[str]:
        """Return matches, any of which a packet has to fulfil."""
        found = []
        plain = []
        for peer in peers:
            block = peer.get("ipBlock")
            if block is None:
                found += self._plan_selector(peer, namespace, number, address)
            elif (network := _network(block["cidr"], number)) is not None:
                holes = [
                    hole for one in block.get("except") or () if (hole := _network(one, number)) is not None
                ]
                if holes:
                    found.append(f"{_within(network, address)} {address} != {list_networks(holes)}")
                elif network.prefixlen == 0:
                    found.append(_within(network, address))
                else:
                    plain.append(network)
        return [*found, f"{address} {list_networks(plain)}"] if plain else found

    def _plan_selector(self, peer: JsonObject, namespace: str, number: str, address: str) -> list[str]:
        """Return matches for the pods that a peer names: of their addresses, and of the ports of those that share the node's."""
        of_namespaces, of_pods = peer.get("namespaceSelector"), peer.get("podSelector")
        pods = selector_from_object(of_pods or {})
        if of_namespaces is None:
            digest = _hash("in", namespace, repr(pods))
            spaces: Iterable[str] = (namespace,)
        else:
            selector = selector_from_object(of_namespaces)
            digest = _hash("across", repr(selector), repr(pods))
            spaces = [name for name, labels in self._namespaces.items() if selector.matches(labels)]
        name, sockets = f"pods{number}-{digest}", f"sockets{number}-{digest}"
        if name not in self._rules.sets:
            found = [pod for space in spaces for pod in self._pods.get(space, ()) if pods.matches(pod.labels)]
            whole = [ip for pod in found if not pod.shares_node for ip in _addresses(pod, number)]
            self._add_set(name, f"type {_type_of(number)}", dict.fromkeys(whole, ""))
            if shared := [pod for pod in found if pod.shares_node]:
                self._add_set(sockets, _socket_type(number), _sockets(shared, number))
        matches = [f"{address} @{name}"]
        if sockets in self._rules.sets and address.endswith("daddr"):
            matches.append(f"{address} . meta l4proto . th dport @{sockets}")
        return matches

    def _plan_ports(self, ports: Sequence[JsonObject], number: str, ip: str) -> list[str]:
        """Return matches, any of which a packet has to fulfil."""
        ranges: dict[str, list[tuple[int, int]]] = {}
        found: dict[str, None] = {}
        for one in ports:
            protocol, port = one.get("protocol") or "TCP", one.get("port")
            if isinstance(port, str):
                name = self._plan_port_name(protocol, port, number)
                found[f"{ip} daddr . meta l4proto . th dport @{name}"] = None
            elif port is None:
                ranges.setdefault(protocol, []).append((0, _MOST_PORT))
            else:
                ranges.setdefault(protocol, []).append((port, one.get("endPort") or port))
        for protocol, spans in ranges.items():
            merged = _merge(spans)
            match = f"meta l4proto {protocol.lower()}"
            if merged != [(0, _MOST_PORT)]:
                texts = [str(low) if low == high else f"{low}-{high}" for low, high in merged]
                match += f" th dport {{ {', '.join(texts)} }}"
            found[match] = None
        return list(found)

    def _plan_port_name(self, protocol: str, port: str, number: str) -> str:
        """Return the name of the set that holds where pods have a port of this name."""
        name = f"ports{number}-{_hash(protocol, port)}"
        if name not in self._rules.sets:
            every = (pod for pods in self._pods.values() for pod in pods)
            self._add_set(name, _socket_type(number), _sockets(every, number, asked=(port, protocol)))
        return name

    def _add_set(self, name: str, declaration: str, elements: dict[str, str]) -> None:
        self._rules.sets[name] = declaration
        self._rules.elements[name] = elements


def _chain_of(direction: str, namespace: str, name: str) -> str:
    return f"policy-{direction}-{_hash(namespace, name)}"


def _addresses(pod: PolicyPod, number: str) -> list[str]:
    return [address for address in pod.addresses if (":" in address) == (number == "6")]


def _sockets(pods: Iterable[PolicyPod], number: str, asked: tuple[str, str] | None = None) -> dict[str, str]:
    """Return elements for the named ports of pods; `asked`: only those of a name and protocol."""
    return {
        f"{address} . {protocol.lower()} . {port}": ""
        for pod in pods
        for name, protocol, port in pod.ports
        if asked is None or asked == (name, protocol)
        for address in _addresses(pod, number)
    }


def _socket_type(number: str) -> str:
    return f"type {_type_of(number)} . inet_proto . inet_service"


def _type_of(number: str) -> str:
    return f"ipv{number}_addr"


_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _network(text: str, number: str) -> _Network | None:
    network = ipaddress.ip_network(text, strict=False)
    return network if str(network.version) == number else None


def _within(network: _Network, address: str) -> str:
    """Return a match for addresses of a network; all of a family are no network to nft."""
    return f"meta nfproto ipv{network.version}" if network.prefixlen == 0 else f"{address} {network}"


def _merge(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the same ports in disjoint ranges, in order."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(spans):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return merged


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
