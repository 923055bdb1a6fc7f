"""Flags of addresses, names and the pod network."""

from __future__ import annotations

from typing import Final

from k3py.config.option import BOTH, Option

OPTIONS: Final[tuple[Option, ...]] = (
    # C-27
    Option(
        name="cluster-cidr",
        theme="networking",
        value_type="cidrs",
        default="10.42.0.0/16",
        critical=True,
        help="range of pod addresses; with both families, comma between: dual stack, from the first start on",
    ),
    Option(
        name="service-cidr",
        theme="networking",
        value_type="cidrs",
        default="10.43.0.0/16",
        critical=True,
        help="range of service addresses, of the same families",
    ),
    Option(
        name="service-node-port-range",
        theme="networking",
        value_type="port-range",
        default="30000-32767",
        help="ports for services of type NodePort",
    ),
    Option(
        name="cluster-dns",
        theme="networking",
        value_type="ips",
        critical=True,
        help="address of the cluster's DNS service (default: the tenth of service-cidr)",
    ),
    Option(
        name="cluster-domain",
        theme="networking",
        default="cluster.local",
        critical=True,
        help="DNS domain of the cluster",
    ),
    # C-28
    Option(
        name="flannel-backend",
        theme="networking",
        default="vxlan",
        critical=True,
        help="how pods reach those of other nodes: vxlan, host-gw or none (another program does it)",
    ),
    Option(
        name="flannel-ipv6-masq",
        theme="networking",
        value_type="bool",
        critical=True,
        help="hide pods' IPv6 addresses from what lies outside of the cluster, as their IPv4 addresses are",
    ),
    # C-30
    Option(
        name="egress-selector-mode",
        theme="networking",
        default="agent",
        critical=True,
        help="what the API server reaches through agents' tunnels: agent (kubelets), pod (also pods, through their nodes), "
        "cluster (also pods and nodes by their ranges) or disabled (nothing)",
    ),
    Option(
        name="resolv-conf",
        theme="networking",
        value_type="path",
        env="K3PY_RESOLV_CONF",
        roles=BOTH,
        help="resolv.conf that pods with the node's DNS get (default: /etc/resolv.conf)",
    ),
)
