"""The settings of `k3py server`, checked against each other."""

from __future__ import annotations

import ipaddress
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from k3py.api.names import find_subdomain_faults
from k3py.config.loader import load_values
from k3py.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from k3py.config.value import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """What a server runs with; every field is the flag of the same name (k3py.config.options), with defaults filled.

    token: "" = take the one in the data dir, or make one. node_ip: never "".
    """

    data_dir: Path
    bind_address: str
    https_listen_port: int
    advertise_address: str
    tls_san: tuple[str, ...]
    write_kubeconfig: Path
    write_kubeconfig_mode: int
    cluster_cidr: str
    service_cidr: str
    service_node_port_range: tuple[int, int]
    cluster_dns: str
    cluster_domain: str
    token: str
    datastore_endpoint: str
    disable_agent: bool
    disable_scheduler: bool
    disable_kube_proxy: bool
    node_name: str
    node_ip: str
    node_labels: tuple[str, ...]
    node_taints: tuple[str, ...]
    kubelet_port: int
    container_runtime_endpoint: str
    snapshotter: str
    pause_image: str
    resolv_conf: str
    debug: bool
    log: str
    etcd_disable_snapshots: bool
    etcd_snapshot_name: str
    etcd_snapshot_schedule_cron: str
    etcd_snapshot_retention: int
    etcd_snapshot_dir: Path
    etcd_snapshot_compress: bool
    cluster_reset: bool
    cluster_reset_restore_path: Path | None

    def __repr__(self) -> str:
        return f"ServerConfig(data_dir={str(self.data_dir)!r}, node_name={self.node_name!r})"


def load_server_config(arguments: Sequence[str], environ: Mapping[str, str] | None = None) -> ServerConfig:
    """Read flags, environment and files into a checked configuration.

    Raises:
        ConfigError: see `load_values`; also when values contradict each other.
    """
    values = load_values("server", arguments, os.environ if environ is None else environ)
    node_name = _text(values, "node_name") or socket.gethostname().lower()
    if faults := find_subdomain_faults(node_name):
        raise ConfigError(f"--node-name: {node_name!r} (from the host name): {'; '.join(faults)}")
    node_ip = _text(values, "node_ip") or _find_node_ip(_text(values, "bind_address"))
    if _text(values, "snapshotter") not in ("overlayfs", "native"):
        raise ConfigError(f"--snapshotter: {values['snapshotter']!r}: must be overlayfs or native")
    service_cidr, cluster_cidr = _text(values, "service_cidr"), _text(values, "cluster_cidr")
    _check_ranges(cluster_cidr, service_cidr)
    return ServerConfig(
        data_dir=_path(values, "data_dir").absolute(),
        bind_address=_text(values, "bind_address"),
        https_listen_port=cast("int", values["https_listen_port"]),
        advertise_address=_text(values, "advertise_address") or node_ip,
        tls_san=cast("tuple[str, ...]", values["tls_san"]),
        write_kubeconfig=_path(values, "write_kubeconfig"),
        write_kubeconfig_mode=cast("int", values["write_kubeconfig_mode"]),
        cluster_cidr=cluster_cidr,
        service_cidr=service_cidr,
        service_node_port_range=cast("tuple[int, int]", values["service_node_port_range"]),
        cluster_dns=_cluster_dns(_text(values, "cluster_dns"), service_cidr),
        cluster_domain=_text(values, "cluster_domain"),
        token=_load_token(values),
        datastore_endpoint=_text(values, "datastore_endpoint"),
        disable_agent=bool(values["disable_agent"]),
        disable_scheduler=bool(values["disable_scheduler"]),
        disable_kube_proxy=bool(values["disable_kube_proxy"]),
        node_name=node_name,
        node_ip=node_ip,
        node_labels=_labels(values),
        node_taints=_taints(values),
        kubelet_port=cast("int", values["kubelet_port"]),
        container_runtime_endpoint=str(values["container_runtime_endpoint"]),
        snapshotter=_text(values, "snapshotter"),
        pause_image=_text(values, "pause_image"),
        resolv_conf=str(values["resolv_conf"] or "/etc/resolv.conf"),
        debug=bool(values["debug"]),
        log=str(values["log"]),
        etcd_disable_snapshots=bool(values["etcd_disable_snapshots"]),
        etcd_snapshot_name=_text(values, "etcd_snapshot_name"),
        etcd_snapshot_schedule_cron=_text(values, "etcd_snapshot_schedule_cron"),
        etcd_snapshot_retention=cast("int", values["etcd_snapshot_retention"]),
        etcd_snapshot_dir=snapshot_dir(values),
        etcd_snapshot_compress=bool(values["etcd_snapshot_compress"]),
        cluster_reset=bool(values["cluster_reset"]),
        cluster_reset_restore_path=_restore_path(values),
    )


def snapshot_dir(values: Mapping[str, Value]) -> Path:
    """Return the folder of snapshots: --etcd-snapshot-dir, else one in the data dir."""
    given = values["etcd_snapshot_dir"]
    return (
        given if isinstance(given, Path) else _path(values, "data_dir") / "server/db/snapshots"
    ).absolute()


def _restore_path(values: Mapping[str, Value]) -> Path | None:
    given = values["cluster_reset_restore_path"]
    if isinstance(given, Path) and not values["cluster_reset"]:
        raise ConfigError(
            f"--cluster-reset-restore-path: '{given}': must be given together with --cluster-reset"
        )
    if not isinstance(given, Path) and values["cluster_reset"]:
        raise ConfigError(
            "--cluster-reset: must be given together with --cluster-reset-restore-path; k3py has no etcd members to reset"
        )
    return given if isinstance(given, Path) else None


def _text(values: Mapping[str, Value], name: str) -> str:
    return cast("str", values[name])


def _path(values: Mapping[str, Value], name: str) -> Path:
    value = values[name]
    if not isinstance(value, Path):
        raise ConfigError(f"--{name.replace('_', '-')}: '': must be a path")
    return value


def _check_ranges(cluster_cidr: str, service_cidr: str) -> None:
    cluster, service = ipaddress.ip_network(cluster_cidr), ipaddress.ip_network(service_cidr)
    if cluster.version == service.version and cluster.overlaps(service):
        raise ConfigError(
            f"--service-cidr: '{service_cidr}': must not overlap with --cluster-cidr {cluster_cidr}"
        )
    if cluster.num_addresses < 256:
        raise ConfigError(f"--cluster-cidr: '{cluster_cidr}': must hold at least one /24 for each node")
    if service.num_addresses < 16:
        raise ConfigError(f"--service-cidr: '{service_cidr}': must hold at least 16 addresses")


def _cluster_dns(given: str, service_cidr: str) -> str:
    network = ipaddress.ip_network(service_cidr)
    if not given:
        return str(network[10])
    if ipaddress.ip_address(given) not in network:
        raise ConfigError(f"--cluster-dns: '{given}': must be an address in --service-cidr {service_cidr}")
    return given


def _load_token(values: Mapping[str, Value]) -> str:
    token = _text(values, "token")
    file = values["token_file"]
    if not isinstance(file, Path):
        return token
    if token:
        raise ConfigError(f"--token-file: '{file}': must not be given together with --token")
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--token-file: '{file}': cannot be read: {error}") from error
    if not token:
        raise ConfigError(f"--token-file: '{file}': must hold a token")
    return token


def _labels(values: Mapping[str, Value]) -> tuple[str, ...]:
    labels = cast("tuple[str, ...]", values["node_label"])
    for label in labels:
        if "=" not in label:
            raise ConfigError(f"--node-label: {label!r}: must be key=value")
    return labels


def _taints(values: Mapping[str, Value]) -> tuple[str, ...]:
    taints = cast("tuple[str, ...]", values["node_taint"])
    for taint in taints:
        effect = taint.rpartition(":")[2]
        if effect not in ("NoSchedule", "PreferNoSchedule", "NoExecute") or taint.startswith((":", "=")):
            raise ConfigError(
                f"--node-taint: {taint!r}: must be key=value:effect with the effect NoSchedule, "
                "PreferNoSchedule or NoExecute"
            )
    return taints


def _find_node_ip(bind_address: str) -> str:
    """Return the address of the interface with the default route, else loopback; no packet is sent."""
    if not ipaddress.ip_address(bind_address).is_unspecified:
        return bind_address
    for family, target in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((target, 9))
            except OSError:
                continue
            return str(probe.getsockname()[0])
    return "127.0.0.1"
