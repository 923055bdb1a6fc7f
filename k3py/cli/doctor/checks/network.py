"""Names and the firewall."""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import TYPE_CHECKING, Final

import orjson

from k3py.api.names import find_subdomain_faults
from k3py.cli.doctor.finding import error, fine, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from k3py.cli.doctor.finding import Finding
    from k3py.cli.machine import Machine
    from k3py.jsontypes import JsonObject

_MOST_SERVERS: Final = 3  # the C library asks no more


def check_names(machine: Machine) -> Iterator[Finding]:
    """The host's name, localhost, and the name servers that pods and image pulls use."""
    problems = False
    name = str(
        machine.values.get("node_name")
        or machine.read("/proc/sys/kernel/hostname").lower()
        or socket.gethostname()
    )
    if faults := find_subdomain_faults(name):
        problems = True
        yield error(
            "dns",
            f"the host name {name!r} cannot be a node's: {'; '.join(faults)}",
            "k3py does not start",
            "hostnamectl set-hostname NAME, or --node-name=NAME",
        )
    elif name in ("localhost", "localhost.localdomain"):
        problems = True
        yield warning(
            "dns",
            f"the host name is {name}",
            "a second such machine cannot join: nodes need different names",
            "hostnamectl set-hostname NAME, or --node-name=NAME",
        )
    if not re.search(r"^\s*127\.0\.0\.1\s.*\blocalhost\b", machine.read("/etc/hosts"), re.MULTILINE):
        problems = True
        yield warning(
            "dns",
            "/etc/hosts does not say what localhost is",
            "programs that ask for localhost depend on a name server",
            "echo '127.0.0.1 localhost' >>/etc/hosts",
        )
    file = str(machine.values.get("resolv_conf") or "/etc/resolv.conf")
    servers = re.findall(r"^\s*nameserver\s+(\S+)", machine.read(file), re.MULTILINE)
    for finding in _server_problems(machine, file, servers):
        problems = True
        yield finding
    if not problems:
        yield fine("dns", f"{name}; name servers: {', '.join(servers)}")


def _server_problems(machine: Machine, file: str, servers: list[str]) -> Iterator[Finding]:
    if not servers:
        yield warning(
            "dns",
            f"{file} names no name server",
            "pods can only look up names of the cluster, and images of registries cannot be pulled",
            f"echo 'nameserver ADDRESS' >>{file}",
        )
    if len(servers) > _MOST_SERVERS:
        yield warning(
            "dns",
            f"{file} names {len(servers)} name servers",
            "the C library asks the first three only",
            f"take the rest out of {file}",
        )
    services = ipaddress.ip_network(str(machine.values.get("service_cidr") or "10.43.0.0/16").split(",")[0])
    for one in servers:
        try:
            inside = ipaddress.ip_address(one.partition("%")[0]) in services
        except ValueError:
            continue
        if inside:
            yield error(
                "dns",
                f"{file} names {one}, an address of the cluster's own Services",
                "the cluster's DNS asks itself in a circle",
                f"put the network's own name server into {file}",
            )


def check_firewall(machine: Machine) -> Iterator[Finding]:
    """Rules of others that drop what nodes and pods send."""
    ports = "6443/tcp 10250/tcp 8472/udp"
    pods = str(machine.values.get("cluster_cidr") or "10.42.0.0/16").partition(",")[0]
    services = str(machine.values.get("service_cidr") or "10.43.0.0/16").partition(",")[0]
    found = False
    if any(
        words[0].endswith("firewalld") or any(one.endswith("/firewalld") for one in words[1:2])
        for _, words in machine.processes()
    ):
        found = True
        opened = " ".join(f"--add-port={one}" for one in ports.split())
        yield warning(
            "firewall",
            "firewalld runs",
            "unless told otherwise, it drops what pods send and what other nodes ask",
            f"firewall-cmd --permanent {opened}; firewall-cmd --permanent --zone=trusted --add-source={pods} --add-source={services}; firewall-cmd --reload",
        )
    if re.search(r"^ENABLED=yes", machine.read("/etc/ufw/ufw.conf"), re.MULTILINE):
        found = True
        yield warning(
            "firewall",
            "ufw is on",
            "unless told otherwise, it drops what pods send and what other nodes ask",
            f"ufw allow 6443/tcp; ufw allow from {pods} to any; ufw allow from {services} to any; ufw allow 8472/udp; ufw allow 10250/tcp",
        )
    chains = _dropping_chains(machine.ask("nft", "-j", "list", "chains")) if not found else []
    for table, chain, hook in chains:
        found = True
        what, command = (
            ("what other nodes ask", "ip protocol tcp tcp dport { 6443, 10250 } accept")
            if hook == "input"
            else ("what pods send", f"ip saddr {pods} accept")
        )
        yield warning(
            "firewall",
            f"chain {chain} of nft table {table} drops by default (hook {hook})",
            f"unless a rule allows it, {what} is dropped",
            f"nft insert rule {table} {chain} {command}",
        )
    if not found:
        yield fine("firewall", "no firewall that drops by default")


def _dropping_chains(text: str) -> list[tuple[str, str, str]]:
    try:
        entries: list[JsonObject] = orjson.loads(text)["nftables"]
    except (orjson.JSONDecodeError, KeyError):
        return []
    chains = [one["chain"] for one in entries if "chain" in one]
    return [
        (f"{one['family']} {one['table']}", one["name"], one["hook"])
        for one in chains
        if one.get("policy") == "drop"
        and one.get("hook") in ("input", "forward")
        and not one["table"].startswith("k3py")
    ]
