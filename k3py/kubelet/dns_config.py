"""The resolv.conf of a pod, as CRI's DNSConfig. Pure.

Source: pkg/kubelet/network/dns/dns.go v1.35 (limits: 3 nameservers, 32 search paths, 2048 characters).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.kubelet.pod import is_host_network

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.jsontypes import JsonObject

MAX_NAMESERVERS: Final = 3
MAX_SEARCHES: Final = 32
MAX_SEARCH_CHARACTERS: Final = 2048


@dataclass(frozen=True, slots=True)
class ResolvConf:
    """nameserver, search and options lines."""

    servers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def parse_resolv_conf(text: str) -> ResolvConf:
    """Read a resolv.conf; the last search and options lines count."""
    servers: list[str] = []
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    for line in text.splitlines():
        match line.split():
            case ["nameserver", address, *_]:
                servers.append(address)
            case ["search", *names]:
                searches = tuple(name for name in names if name != ".")
            case ["options", *values]:
                options = tuple(values)
    return ResolvConf(tuple(servers), searches, options)


def pod_dns(
    pod: JsonObject, host: ResolvConf, *, cluster_dns: Iterable[str], cluster_domain: str
) -> JsonObject:
    """Return CRI's DNSConfig of a pod.

    Args:
        pod: the pod.
        host: the node's resolv.conf.
        cluster_dns: addresses of the cluster's DNS; none: ClusterFirst acts as Default.
        cluster_domain: "" = no search paths of the cluster.
    """
    policy = pod["spec"].get("dnsPolicy") or "ClusterFirst"
    cluster = tuple(cluster_dns)
    if (policy == "ClusterFirst" and is_host_network(pod)) or (
        policy.startswith("ClusterFirst") and not cluster
    ):
        policy = "Default"
    if policy == "None":
        base = ResolvConf()
    elif policy == "Default":
        base = host
    else:
        namespace = pod["metadata"]["namespace"]
        own = (
            (f"{namespace}.svc.{cluster_domain}", f"svc.{cluster_domain}", cluster_domain)
            if cluster_domain
            else ()
        )
        base = ResolvConf(cluster, (*own, *host.searches), ("ndots:5",))
    merged = _merge(base, pod["spec"].get("dnsConfig") or {})
    return {
        "servers": list(merged.servers[:MAX_NAMESERVERS]),
        "searches": _fitting(merged.searches),
        "options": list(merged.options),
    }


def _merge(base: ResolvConf, extra: JsonObject) -> ResolvConf:
    options = {one.partition(":")[0]: one for one in base.options}
    for one in extra.get("options") or ():
        value = one.get("value")
        options[one["name"]] = f"{one['name']}:{value}" if value is not None and value != "" else one["name"]
    return ResolvConf(
        tuple(dict.fromkeys((*base.servers, *(extra.get("nameservers") or ())))),
        tuple(dict.fromkeys((*base.searches, *(extra.get("searches") or ())))),
        tuple(options.values()),
    )


def _fitting(searches: tuple[str, ...]) -> list[str]:
    result: list[str] = []
    length = -1
    for name in searches[:MAX_SEARCHES]:
        length += len(name) + 1
        if length > MAX_SEARCH_CHARACTERS:
            break
        result.append(name)
    return result
