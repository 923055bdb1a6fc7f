"""The settings that a server's node and an agent have in common."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict

from k3py.api.names import find_subdomain_faults
from k3py.config.kubelet_arguments import KubeletArguments, parse_kubelet_arguments
from k3py.config.proxy_arguments import ProxyArguments, parse_proxy_arguments
from k3py.config.reading import get_list, get_number, get_text
from k3py.errors import ConfigError
from k3py.util.netaddr import split_pair

if TYPE_CHECKING:
    from collections.abc import Mapping

    from k3py.config.value import Value


OverlayKind = Literal["vxlan", "host-gw", "none"]
EgressMode = Literal["agent", "cluster", "pod", "disabled"]


class NodeFields(TypedDict):
    """Fields by the name of their flag; node_ip "" = not given, node_ips: it and that of the other family."""

    node_name: str
    node_ip: str
    node_ips: tuple[str, ...]
    node_labels: tuple[str, ...]
    node_taints: tuple[str, ...]
    kubelet_port: int
    kubelet_arg: KubeletArguments
    kube_proxy_arg: ProxyArguments
    container_runtime_endpoint: str
    snapshotter: str
    pause_image: str
    resolv_conf: str
    default_runtime: str
    private_registry: Path | None
    disable_default_registry_endpoint: bool


def read_node_fields(values: Mapping[str, Value]) -> NodeFields:
    """Read and check them. Raises ConfigError."""
    name = get_text(values, "node_name") or socket.gethostname().lower()
    if faults := find_subdomain_faults(name):
        raise ConfigError(f"--node-name: {name!r} (from the host name): {'; '.join(faults)}")
    if get_text(values, "snapshotter") not in ("overlayfs", "native"):
        raise ConfigError(f"--snapshotter: {values['snapshotter']!r}: must be overlayfs or native")
    addresses = split_pair(get_text(values, "node_ip"))
    registry_file = values["private_registry"]
    return NodeFields(
        node_name=name,
        node_ip=addresses[0] if addresses else "",
        node_ips=addresses,
        node_labels=_labels(values),
        node_taints=_taints(values),
        kubelet_port=get_number(values, "kubelet_port"),
        kubelet_arg=parse_kubelet_arguments(get_list(values, "kubelet_arg")),
        kube_proxy_arg=parse_proxy_arguments(get_list(values, "kube_proxy_arg")),
        container_runtime_endpoint=str(values["container_runtime_endpoint"]),
        snapshotter=get_text(values, "snapshotter"),
        pause_image=get_text(values, "pause_image"),
        resolv_conf=str(values["resolv_conf"] or "/etc/resolv.conf"),
        default_runtime=get_text(values, "default_runtime"),
        private_registry=registry_file.absolute() if isinstance(registry_file, Path) else None,
        disable_default_registry_endpoint=bool(values["disable_default_registry_endpoint"]),
    )


def _labels(values: Mapping[str, Value]) -> tuple[str, ...]:
    labels = get_list(values, "node_label")
    for label in labels:
        if "=" not in label:
            raise ConfigError(f"--node-label: {label!r}: must be key=value")
    return labels


def _taints(values: Mapping[str, Value]) -> tuple[str, ...]:
    taints = get_list(values, "node_taint")
    for taint in taints:
        effect = taint.rpartition(":")[2]
        if effect not in ("NoSchedule", "PreferNoSchedule", "NoExecute") or taint.startswith((":", "=")):
            raise ConfigError(
                f"--node-taint: {taint!r}: must be key=value:effect with the effect NoSchedule, "
                "PreferNoSchedule or NoExecute"
            )
    return taints
