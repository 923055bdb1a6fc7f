"""The /etc/hosts that the kubelet writes for a pod. Pure.

Source: pkg/kubelet/kubelet_pods.go managedHostsFileContent v1.35 (tests compare the first line).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.kubelet.pod import host_domain_of, hostname_of, is_host_network

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.jsontypes import JsonObject

HEADER: Final = "# Kubernetes-managed hosts file.\n"
HOST_NETWORK_HEADER: Final = "# Kubernetes-managed hosts file (host network).\n"
_LOCAL: Final = (
    "127.0.0.1\tlocalhost\n"
    "::1\tlocalhost ip6-localhost ip6-loopback\n"
    "fe00::0\tip6-localnet\n"
    "fe00::0\tip6-mcastprefix\n"
    "fe00::1\tip6-allnodes\n"
    "fe00::2\tip6-allrouters\n"
)


def hosts_file(pod: JsonObject, *, pod_ips: Sequence[str], cluster_domain: str, node_hosts: str = "") -> str:
    """Return the content of /etc/hosts; `node_hosts` is the node's own file, used on the host network."""
    aliases = pod["spec"].get("hostAliases") or ()
    if is_host_network(pod):
        text = HOST_NETWORK_HEADER + node_hosts
    else:
        name = hostname_of(pod)
        domain = host_domain_of(pod, cluster_domain)
        names = f"{name}.{domain}\t{name}" if domain else name
        text = HEADER + _LOCAL + "".join(f"{ip}\t{names}\n" for ip in pod_ips)
    if aliases:
        text += "\n# Entries added by HostAliases.\n"
        text += "".join(f"{one['ip']}\t{chr(9).join(one.get('hostnames') or ())}\n" for one in aliases)
    return text


def mounts_hosts_file(container: JsonObject) -> bool:
    """Say whether a container brings its own /etc/hosts."""
    return any(one.get("mountPath") == "/etc/hosts" for one in container.get("volumeMounts") or ())
