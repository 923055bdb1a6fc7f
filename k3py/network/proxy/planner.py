"""From service ports to nftables rules: pure.

The wanted content of table `inet k3py`: chains, sets and verdict maps.

How a packet goes (names of chains in the table)::

    prerouting, output (nat) → services: lookup (address, protocol, port) in map service-ips4/6, else (protocol, port) in nodeports4/6
      → ext4-X (from outside: masquerade, or only local endpoints) → svc4-X (pick one; affinity first) → ep4-Y (dnat)
    input, forward, output (filter) → no-endpoints: the same lookups for ports without endpoints → reject or drop
    postrouting (nat): masquerade what was marked

X is a hash of the service port, Y of it and the endpoint. The mark is bit 0x4000, as upstream uses it.
Source: behaviour of kube-proxy's nftables mode, from its documentation (KEP-3866) and observation.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.network.ruleset import Chain, Ruleset

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from k3py.network.interface import Endpoint, ServicePort

TABLE: Final = "inet k3py"
_MARK: Final = "0x4000"
_MARKED: Final = f"meta mark & {_MARK} == {_MARK}"
_UNMARK: Final = "meta mark set meta mark & 0xffffbfff"
_SET_MARK: Final = f"meta mark set meta mark | {_MARK}"


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


_FAMILIES: Final = (_Family("4", "ip", "ipv4_addr"), _Family("6", "ip6", "ipv6_addr"))


def plan_rules(ports: Iterable[ServicePort], *, cluster_cidrs: Sequence[str] = ()) -> Ruleset:
    """Return the rules that make `ports` work.

    Args:
        ports: All service ports; their endpoints are those to use (readiness is decided before).
        cluster_cidrs: Ranges of pods; what comes to a cluster address from elsewhere is masqueraded, so that answers come back here.
    """
    plan = Ruleset()
    _plan_base(plan)
    for port in sorted(ports, key=_identity):
        for family in _FAMILIES:
            _plan_port(plan, port, family, [cidr for cidr in cluster_cidrs if _is_of(cidr, family)])
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
        kept = {endpoint.address for endpoint in current.endpoints} if current else set()
        for endpoint in was.endpoints:
            if endpoint.address not in kept:
                flows.update(dict.fromkeys(_flows(was, endpoint.address)))
    for key, current in now.items():
        if current.endpoints and (key not in before or not before[key].endpoints):
            flows.update(dict.fromkeys(_flows(current, "")))
    return tuple(flows)


def _flows(port: ServicePort, endpoint: str) -> list[UdpFlow]:
    found = [UdpFlow(address, port.port, endpoint) for address in _addresses(port)]
    if port.node_port:
        found.append(UdpFlow("", port.node_port, endpoint))
    return found


def _addresses(port: ServicePort) -> tuple[str, ...]:
    return (*port.cluster_ips, *port.external_ips, *port.load_balancer_ips)


def _identity(port: ServicePort) -> tuple[str, str, str, str]:
    return (port.namespace, port.service, port.name, port.protocol)


def _plan_base(plan: Ruleset) -> None:
    lookups: list[str] = []
    missing: list[str] = []
    guards: list[str] = []
    for family in _FAMILIES:
        number, ip = family.number, family.ip
        key = f"{family.type} . inet_proto . inet_service"
        for name, kind in (
            (f"service-ips{number}", key),
            (f"nodeports{number}", "inet_proto . inet_service"),
            (f"no-endpoints{number}", key),
            (f"no-endpoint-nodeports{number}", "inet_proto . inet_service"),
            (f"cluster-ips{number}", family.type),
        ):
            plan.maps[name] = f"type {kind} : verdict"
            plan.elements[name] = {}
        destination = f"{ip} daddr . meta l4proto . th dport"
        loopback = "127.0.0.0/8" if number == "4" else "::1"
        local = f"{ip} daddr != {loopback} fib daddr type local meta l4proto . th dport"
        lookups += [f"{destination} vmap @service-ips{number}", f"{local} vmap @nodeports{number}"]
        missing += [
            f"{destination} vmap @no-endpoints{number}",
            f"{local} vmap @no-endpoint-nodeports{number}",
        ]
        guards.append(f"{ip} daddr vmap @cluster-ips{number}")
    plan.chains |= {
        "services": Chain(tuple(lookups)),
        "no-endpoints": Chain(tuple(missing)),
        "other-ports": Chain(tuple(guards)),
        "reject-it": Chain(("reject",)),
        "mark-it": Chain((_SET_MARK,)),
        "nat-prerouting": Chain(
            ("jump services",), "type nat hook prerouting priority dstnat; policy accept;"
        ),
        "nat-output": Chain(("jump services",), "type nat hook output priority -100; policy accept;"),
        "nat-postrouting": Chain(
            (f"{_MARKED} {_UNMARK} masquerade fully-random",),
            "type nat hook postrouting priority srcnat; policy accept;",
        ),
    }
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


def _plan_port(plan: Ruleset, port: ServicePort, family: _Family, cluster_cidrs: Sequence[str]) -> None:
    number = family.number
    cluster_ips = [ip for ip in port.cluster_ips if _is_of(ip, family)]
    outside_ips = [ip for ip in (*port.external_ips, *port.load_balancer_ips) if _is_of(ip, family)]
    endpoints = [endpoint for endpoint in port.endpoints if _is_of(endpoint.address, family)]
    if not cluster_ips and not endpoints:
        return
    protocol = port.protocol.lower()
    digest = _hash(*_identity(port))
    for ip in cluster_ips:
        plan.elements[f"cluster-ips{number}"][ip] = "goto reject-it"
    local = [endpoint for endpoint in endpoints if endpoint.local]
    inside = local if port.internal_local else endpoints
    outside = local if port.external_local else endpoints
    comment = f' comment "{port.namespace}/{port.service}:{port.name}"'
    names = _plan_endpoints(plan, port, family, endpoints, digest)

    def enter(kind: str, ips: Sequence[str], chain: str) -> None:
        for ip in ips:
            plan.elements[f"{kind}{number}"][f"{ip} . {protocol} . {port.port}"] = f"goto {chain}"

    def enter_node_port(kind: str, chain: str) -> None:
        if port.node_port:
            plan.elements[f"{kind}{number}"][f"{protocol} . {port.node_port}"] = f"goto {chain}"

    pick = f"svc{number}-{digest}"
    if inside:
        rules = (
            [f"{family.ip} saddr != {{ {', '.join(cluster_cidrs)} }} {_SET_MARK}"] if cluster_cidrs else []
        )
        rules = [f"{family.ip} daddr {{ {', '.join(cluster_ips)} }} {rule}" for rule in rules if cluster_ips]
        rules += _pick(port, family, inside, names, comment)
        plan.chains[pick] = Chain(tuple(rules))
        enter("service-ips", cluster_ips, pick)
    elif endpoints:
        # The policy Local without an endpoint here: dropped, as upstream does, so that clients try elsewhere.
        enter("no-endpoints", cluster_ips, _drop(plan))
    else:
        enter("no-endpoints", cluster_ips, "reject-it")
    if not outside_ips and not port.node_port:
        return
    if outside:
        external = f"ext{number}-{digest}"
        rules = [] if port.external_local else ["jump mark-it"]
        if port.external_local:
            # This node and its pods reach every endpoint even so.
            everywhere = f"all{number}-{digest}"
            plan.chains[everywhere] = Chain(tuple(_pick(port, family, endpoints, names, comment)))
            own = ["fib saddr type local jump mark-it", f"fib saddr type local goto {everywhere}"]
            own += (
                [f"{family.ip} saddr {{ {', '.join(cluster_cidrs)} }} goto {everywhere}"]
                if cluster_cidrs
                else []
            )
            rules += own
        rules += _pick(port, family, outside, names, comment)
        plan.chains[external] = Chain(tuple(rules))
        enter("service-ips", outside_ips, external)
        enter_node_port("nodeports", external)
    else:
        chain = _drop(plan) if endpoints else "reject-it"
        enter("no-endpoints", outside_ips, chain)
        enter_node_port("no-endpoint-nodeports", chain)


def _plan_endpoints(
    plan: Ruleset, port: ServicePort, family: _Family, endpoints: Sequence[Endpoint], digest: str
) -> dict[Endpoint, str]:
    """Make each endpoint's chain (and affinity set) and return their names."""
    names: dict[Endpoint, str] = {}
    protocol = port.protocol.lower()
    for endpoint in endpoints:
        suffix = _hash(digest, endpoint.address, str(endpoint.port))
        name = names[endpoint] = f"ep{family.number}-{suffix}"
        target = f"[{endpoint.address}]" if family.number == "6" else endpoint.address
        rules = [f"{family.ip} saddr {endpoint.address} jump mark-it"]  # itself: hairpin
        if port.session_affinity_s:
            affinity = f"aff{family.number}-{suffix}-{port.session_affinity_s}"
            plan.sets[affinity] = (
                f"type {family.type}; flags dynamic,timeout; timeout {port.session_affinity_s}s"
            )
            rules.append(f"update @{affinity} {{ {family.ip} saddr }}")
        rules.append(f"meta l4proto {protocol} dnat {family.ip} to {target}:{endpoint.port}")
        plan.chains[name] = Chain(tuple(rules))
    return names


def _pick(
    port: ServicePort,
    family: _Family,
    endpoints: Sequence[Endpoint],
    names: dict[Endpoint, str],
    comment: str,
) -> list[str]:
    """Rules that choose one of the endpoints: the client's last one if affine, else by lot."""
    rules = []
    if port.session_affinity_s:
        rules = [
            f"{family.ip} saddr @aff{names[endpoint][2:]}-{port.session_affinity_s} goto {names[endpoint]}"
            for endpoint in endpoints
        ]
    if len(endpoints) == 1:
        return [*rules, f"goto {names[endpoints[0]]}{comment}"]
    lots = ", ".join(f"{index} : goto {names[endpoint]}" for index, endpoint in enumerate(endpoints))
    return [*rules, f"numgen random mod {len(endpoints)} vmap {{ {lots} }}{comment}"]


def _drop(plan: Ruleset) -> str:
    plan.chains.setdefault("drop-it", Chain(("drop",)))
    return "drop-it"


def _is_of(address: str, family: _Family) -> bool:
    return (":" in address) == (family.number == "6")


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
