"""From service ports to nftables rules: pure.

Nearly all of table `inet k3py` is elements of maps, and few chains are shared by all services: ten thousand services are loaded in
a second, and a change costs milliseconds, where chains of their own would cost the kernel half a minute.

How a packet goes (names of chains in the table)::

    prerouting, output (before nat) → firewall: (address, protocol, port) in map firewall-ips4/6 → fw4-X: source ranges
    prerouting, output (nat) → services: lookup (address, protocol, port) in map service-ips4/6, else (protocol, port) in nodeports4/6
      → pick4-N (N endpoints: number 0…N-1 by lot, the rest in map endpoints4/6), masq4-N (the same, masqueraded: from outside),
        node4-N (of a node port); there are some of each
      → svc4-X, out4-X (more endpoints, or affinity: the client's last endpoint first) → ep4-Y (dnat)
      → ext4-X (from outside, the policy Local)
    input, forward, output (filter) → no-endpoints: the same lookups for ports without endpoints → reject or drop
    postrouting (nat): masquerade what was marked, and what an endpoint sends to itself

X is a hash of the service port, Y of it and the endpoint. The mark is bit 0x4000, as upstream uses it.
Source: behaviour of kube-proxy's nftables mode, from its documentation (KEP-3866) and observation.
"""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.network.ruleset import Chain, Ruleset, list_networks

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from k3py.network.interface import Endpoint, ServicePort

TABLE: Final = "inet k3py"
_MARK: Final = "0x4000"
_MARKED: Final = f"meta mark & {_MARK} == {_MARK}"
_UNMARK: Final = "meta mark set meta mark & 0xffffbfff"
_SET_MARK: Final = f"meta mark set meta mark | {_MARK}"
_PROTOCOLS: Final = "meta l4proto { tcp, udp, sctp }"
# nft 1.0.6 refuses rules that look up such a map when the map is there already: these rules come with it.
_MOST_SHARED: Final = 16


@dataclass(frozen=True, slots=True)
class UdpFlow:
    """Remembered UDP connections to forget: to `address`:`port`, those that lead to `endpoint` (all when "").

    address "" stands for a node port.
    """

    address: str
    port: int
    endpoint: str


@dataclass(frozen=True, slots=True)
class _Family:
    number: str  # suffix of names
    ip: str  # nft's word for the header
    type: str  # nft's type of an address
    loopback: str

    @property
    def destination(self) -> str:
        """Return the key of maps of services."""
        return f"{self.ip} daddr . meta l4proto . th dport"

    def has(self, address: str) -> bool:
        """Say whether an address or range is of this family."""
        return (":" in address) == (self.number == "6")


_FAMILIES: Final = (
    _Family("4", "ip", "ipv4_addr", "127.0.0.0/8"),
    _Family("6", "ip6", "ipv6_addr", "::1"),
)


def plan_base(cluster_cidrs: Sequence[str] = (), node_port_addresses: Sequence[str] = ()) -> Ruleset:
    """Return the table without any service.

    Args:
        cluster_cidrs: Ranges of pods; what comes to a cluster address from elsewhere is masqueraded, so that answers come back here.
        node_port_addresses: Ranges of this node's addresses where node ports answer; () = all but loopback.
    """
    plan = Ruleset()
    lookups: list[str] = []
    missing: list[str] = []
    guards: list[str] = []
    walls: list[str] = []
    hairpins: list[str] = []
    for family in _FAMILIES:
        number, ip = family.number, family.ip
        _declare_maps(plan, family)
        place = f"{ip} daddr != {family.loopback}"
        if node_port_addresses:
            given = [ipaddress.ip_network(one) for one in node_port_addresses if family.has(one)]
            place = f"{ip} daddr {list_networks(given)}" if given else ""
        local = f"{place} fib daddr type local meta l4proto . th dport"
        if ranges := [cidr for cidr in cluster_cidrs if family.has(cidr)]:
            outside = f"{ip} saddr != {{ {', '.join(ranges)} }}"
            lookups.append(f"{ip} daddr @cluster-ips{number} {outside} {_SET_MARK}")
        lookups.append(f"{family.destination} vmap @service-ips{number}")
        missing.append(f"{family.destination} vmap @no-endpoints{number}")
        if place:
            lookups.append(f"{local} vmap @nodeports{number}")
            missing.append(f"{local} vmap @no-endpoint-nodeports{number}")
        guards.append(f"{ip} daddr @cluster-ips{number} reject")
        walls.append(f"ct state new {family.destination} vmap @firewall-ips{number}")
        hairpins.append(f"ct status dnat {ip} saddr . {ip} daddr @hairpin{number} masquerade fully-random")
    plan.chains |= {
        "services": Chain(tuple(lookups)),
        "no-endpoints": Chain(tuple(missing)),
        "other-ports": Chain(tuple(guards)),
        "firewall": Chain(tuple(walls)),
        "reject-it": Chain(("reject",)),
        "drop-it": Chain(("drop",)),
        "mark-it": Chain((_SET_MARK,)),
    }
    for family in _FAMILIES:
        _share_chains(plan, family)
    for name, hook, jump in (
        ("firewall-prerouting", "filter hook prerouting priority dstnat - 10", "firewall"),
        ("firewall-output", "filter hook output priority -110", "firewall"),
        ("nat-prerouting", "nat hook prerouting priority dstnat", "services"),
        ("nat-output", "nat hook output priority -100", "services"),
    ):
        plan.chains[name] = Chain((f"jump {jump}",), f"type {hook}; policy accept;")
    plan.chains["nat-postrouting"] = Chain(
        (f"{_MARKED} {_UNMARK} masquerade fully-random", *hairpins),
        "type nat hook postrouting priority srcnat; policy accept;",
    )
    for hook, jumps in (
        ("input", ("no-endpoints",)),
        ("forward", ("no-endpoints", "other-ports")),
        ("output", ("no-endpoints", "other-ports")),
    ):
        # Behind destination NAT, so only what no service took still has a service's address.
        plan.chains[f"filter-{hook}"] = Chain(
            tuple(f"ct state new jump {chain}" for chain in jumps),
            f"type filter hook {hook} priority filter - 10; policy accept;",
        )
    return plan


def plan_service(ports: Iterable[ServicePort], *, cluster_cidrs: Sequence[str] = ()) -> Ruleset:
    """Return what a service's ports add to the table: chains, sets, elements of the maps of `plan_base`.

    Args:
        ports: all of one service; their endpoints are those to use (readiness is decided before).
        cluster_cidrs: Ranges of pods.
    """
    plan = Ruleset()
    for port in ports:
        for family in _FAMILIES:
            _PortPlanner(plan, port, family, [cidr for cidr in cluster_cidrs if family.has(cidr)]).plan()
    return plan


def find_stale_udp(old: Iterable[ServicePort], new: Iterable[ServicePort]) -> tuple[UdpFlow, ...]:
    """Return the UDP flows that the kernel must forget: it would go on sending them where they went before.

    These are flows to an endpoint that left, and, when a port got its first endpoint, all flows to the port (they were tracked
    without one).
    """
    flows: dict[UdpFlow, None] = {}
    now = {_identity(port): port for port in new if port.protocol == "UDP"}
    before = {_identity(port): port for port in old if port.protocol == "UDP"}
    for key, was in before.items():
        current = now.get(key)
        kept = _targets(current) if current else {}
        for address in _targets(was):
            if address not in kept:
                flows.update(dict.fromkeys(_flows(was, address)))
    for key, current in now.items():
        if _targets(current) and (key not in before or not _targets(before[key])):
            flows.update(dict.fromkeys(_flows(current, "")))
    return tuple(flows)


def _targets(port: ServicePort) -> dict[str, None]:
    return dict.fromkeys(endpoint.address for endpoint in (*port.endpoints, *(port.local_endpoints or ())))


def _flows(port: ServicePort, endpoint: str) -> list[UdpFlow]:
    addresses = (*port.cluster_ips, *port.external_ips, *port.load_balancer_ips)
    found = [UdpFlow(address, port.port, endpoint) for address in addresses]
    if port.node_port:
        found.append(UdpFlow("", port.node_port, endpoint))
    return found


def _identity(port: ServicePort) -> tuple[str, str, str, str]:
    return (port.namespace, port.service, port.name, port.protocol)


def _declare_maps(plan: Ruleset, family: _Family) -> None:
    number, by_lot = family.number, "numgen random mod 2"
    key, target = f"{family.type} . inet_proto . inet_service", f"{family.ip} daddr . th dport"
    for name, kind in (
        ("service-ips", f"type {key} : verdict"),
        ("nodeports", "type inet_proto . inet_service : verdict"),
        ("no-endpoints", f"type {key} : verdict"),
        ("no-endpoint-nodeports", "type inet_proto . inet_service : verdict"),
        ("firewall-ips", f"type {key} : verdict"),
        ("endpoints", f"typeof {family.destination} . {by_lot} : {target}"),
        ("node-endpoints", f"typeof meta l4proto . th dport . {by_lot} : {target}"),
    ):
        plan.maps[f"{name}{number}"] = kind
        plan.elements[f"{name}{number}"] = {}
    plan.sets[f"cluster-ips{number}"] = f"type {family.type}"
    plan.sets[f"hairpin{number}"] = f"type {family.type} . {family.type}"
    plan.elements |= {f"cluster-ips{number}": {}, f"hairpin{number}": {}}


def _share_chains(plan: Ruleset, family: _Family) -> None:
    """Make the chains that choose among 1, 2, … endpoints."""
    number = family.number
    for kind, key, table in (
        ("pick", family.destination, "endpoints"),
        ("masq", family.destination, "endpoints"),
        ("node", "meta l4proto . th dport", "node-endpoints"),
    ):
        for count in range(1, _MOST_SHARED + 1):
            target = f"{key} . numgen random mod {count} map @{table}{number}"
            rule = f"{_PROTOCOLS} dnat {family.ip} addr . port to {target}"
            chain = Chain((rule,) if kind == "pick" else ("jump mark-it", rule))
            plan.chains[f"{kind}{number}-{count}"] = chain


class _PortPlanner:
    """One port in one family."""

    def __init__(
        self, plan: Ruleset, port: ServicePort, family: _Family, cluster_cidrs: Sequence[str]
    ) -> None:
        self._plan = plan
        self._port = port
        self._family = family
        self._cluster_cidrs = cluster_cidrs
        self._protocol = port.protocol.lower()
        self._digest = _hash(*_identity(port))
        self._comment = f' comment "{port.namespace}/{port.service}:{port.name}"'
        self._endpoints = [one for one in port.endpoints if family.has(one.address)]
        self._own = [one for one in port.own_endpoints if family.has(one.address)]
        self._has_any = bool(self._endpoints or self._own)

    def plan(self) -> None:
        port, family = self._port, self._family
        cluster_ips = [ip for ip in port.cluster_ips if family.has(ip)]
        balancer_ips = [ip for ip in port.load_balancer_ips if family.has(ip)]
        outside_ips = [*(ip for ip in port.external_ips if family.has(ip)), *balancer_ips]
        if not cluster_ips and not self._has_any:
            return
        for ip in cluster_ips:
            self._add("cluster-ips", ip, "")
        for endpoint in {one.address: None for one in (*self._endpoints, *self._own)}:
            self._add("hairpin", f"{endpoint} . {endpoint}", "")
        self._lead(cluster_ips, self._own if port.internal_local else self._endpoints, "pick")
        if port.external_local:
            self._lead_local(outside_ips)
        else:
            self._lead(outside_ips, self._endpoints, "masq")
            if port.node_port:
                self._lead_node_port()
        self._wall_off(balancer_ips)

    def _add(self, name: str, key: str, value: str) -> None:
        self._plan.elements.setdefault(f"{name}{self._family.number}", {})[key] = value

    def _key(self, ip: str) -> str:
        return f"{ip} . {self._protocol} . {self._port.port}"

    def _nobody(self) -> str:
        # The policy Local without an endpoint here: dropped, as upstream does, so that clients try elsewhere.
        return "goto drop-it" if self._has_any else "goto reject-it"

    def _lead(self, ips: Sequence[str], endpoints: Sequence[Endpoint], kind: str) -> None:
        """Lead addresses to endpoints; `kind` "masq": as somebody from outside."""
        if not ips:
            return
        if not endpoints:
            for ip in ips:
                self._add("no-endpoints", self._key(ip), self._nobody())
            return
        shared = self._shared_chain(kind, endpoints)
        chain = shared or self._choice(endpoints, kind)
        for ip in ips:
            self._add("service-ips", self._key(ip), f"goto {chain}")
            if shared:
                self._add_endpoints("endpoints", self._key(ip), endpoints)

    def _lead_node_port(self) -> None:
        key = f"{self._protocol} . {self._port.node_port}"
        if not self._endpoints:
            self._add("no-endpoint-nodeports", key, self._nobody())
            return
        shared = self._shared_chain("node", self._endpoints)
        self._add("nodeports", key, f"goto {shared or self._choice(self._endpoints, 'masq')}")
        if shared:
            self._add_endpoints("node-endpoints", key, self._endpoints)

    def _add_endpoints(self, name: str, key: str, endpoints: Sequence[Endpoint]) -> None:
        for index, endpoint in enumerate(endpoints):
            self._add(name, f"{key} . {index}", f"{endpoint.address} . {endpoint.port}")

    def _shared_chain(self, kind: str, endpoints: Sequence[Endpoint]) -> str:
        """Return the chain for all ports with this number of endpoints, "" when the port needs one of its own."""
        if self._port.session_affinity_s or len(endpoints) > _MOST_SHARED:
            return ""
        return f"{kind}{self._family.number}-{len(endpoints)}"

    def _lead_local(self, ips: Sequence[str]) -> None:
        """From outside only to this node's endpoints; this node and its pods reach every endpoint even so."""
        node_port = self._port.node_port
        if not ips and not node_port:
            return
        everybody = self._endpoints or self._own
        if everybody:
            ip = self._family.ip
            everywhere = self._choice(everybody, "pick", name="all")
            rules = ["fib saddr type local jump mark-it", f"fib saddr type local goto {everywhere}"]
            if self._cluster_cidrs:
                rules.append(f"{ip} saddr {{ {', '.join(self._cluster_cidrs)} }} goto {everywhere}")
            if self._own:
                rules.append(f"goto {self._choice(self._own, 'pick', name='own')}")
            chain = f"ext{self._family.number}-{self._digest}"
            self._plan.chains[chain] = Chain(tuple(rules))
            for address in ips:
                self._add("service-ips", self._key(address), f"goto {chain}")
            if node_port:
                self._add("nodeports", f"{self._protocol} . {node_port}", f"goto {chain}")
        if not self._own:
            for address in ips:
                self._add("no-endpoints", self._key(address), self._nobody())
            if node_port:
                self._add("no-endpoint-nodeports", f"{self._protocol} . {node_port}", self._nobody())

    def _choice(self, endpoints: Sequence[Endpoint], kind: str, name: str = "") -> str:
        """Make a chain of this port's own that chooses an endpoint, the client's last one if affine, and return its name."""
        family, port = self._family, self._port
        chain = f"{name or ('svc' if kind == 'pick' else 'out')}{family.number}-{self._digest}"
        rules = ["jump mark-it"] if kind == "masq" else []
        if port.session_affinity_s:
            names = [self._plan_endpoint(endpoint) for endpoint in endpoints]
            rules += [
                f"{family.ip} saddr @aff{one[2:]}-{port.session_affinity_s} goto {one}" for one in names
            ]
            lots = ", ".join(f"{index} : goto {one}" for index, one in enumerate(names))
            rules.append(f"numgen random mod {len(names)} vmap {{ {lots} }}{self._comment}")
        else:
            targets = ", ".join(
                f"{index} : {endpoint.address} . {endpoint.port}" for index, endpoint in enumerate(endpoints)
            )
            choice = f"numgen random mod {len(endpoints)} map {{ {targets} }}"
            rules.append(
                f"meta l4proto {self._protocol} dnat {family.ip} addr . port to {choice}{self._comment}"
            )
        self._plan.chains[chain] = Chain(tuple(rules))
        return chain

    def _plan_endpoint(self, endpoint: Endpoint) -> str:
        """Make the chain of an endpoint that remembers its clients, and return its name."""
        family, timeout_s = self._family, self._port.session_affinity_s
        suffix = _hash(self._digest, endpoint.address, str(endpoint.port))
        name, affinity = f"ep{family.number}-{suffix}", f"aff{family.number}-{suffix}-{timeout_s}"
        target = f"[{endpoint.address}]" if family.number == "6" else endpoint.address
        self._plan.sets[affinity] = f"type {family.type}; flags dynamic,timeout; timeout {timeout_s}s"
        self._plan.chains[name] = Chain(
            (
                f"update @{affinity} {{ {family.ip} saddr }}",
                f"meta l4proto {self._protocol} dnat {family.ip} to {target}:{endpoint.port}",
            )
        )
        return name

    def _wall_off(self, ips: Sequence[str]) -> None:
        """Let only the allowed ranges to a load balancer's addresses."""
        family = self._family
        given = [one for one in self._port.load_balancer_ranges if family.has(one)]
        ranges = [ipaddress.ip_network(one.strip(), strict=False) for one in given]
        if not ips or not ranges or any(one.prefixlen == 0 for one in ranges):
            return
        chain = f"fw{family.number}-{self._digest}"
        self._plan.chains[chain] = Chain(
            (f"{family.ip} saddr != {list_networks(ranges)} drop{self._comment}",)
        )
        for ip in ips:
            self._add("firewall-ips", self._key(ip), f"goto {chain}")


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
