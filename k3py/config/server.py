"""The settings of `k3py server`, checked against each other."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, cast, get_args

from k3py.api.names import find_subdomain_faults
from k3py.config.api_server_arguments import ApiServerArguments, parse_api_server_arguments
from k3py.config.loader import load_values
from k3py.config.node import EgressMode, OverlayKind, read_node_fields
from k3py.config.reading import find_own_address, find_own_addresses, get_list, get_path, get_text, load_token
from k3py.config.scheduler_arguments import SchedulerArguments, parse_scheduler_arguments
from k3py.errors import ConfigError
from k3py.util.netaddr import is_ipv6, split_pair

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from k3py.config.kubelet_arguments import KubeletArguments
    from k3py.config.proxy_arguments import ProxyArguments
    from k3py.config.value import Value


Durability = Literal["durable", "balanced", "flash"]

# And names of files in the manifests folder.
COMPONENTS: Final = (
    "coredns",
    "dashboard",
    "metrics-server",
    "local-storage",
    "runtimes",
    "servicelb",
    "traefik",
)
ENCRYPTION_PROVIDERS: Final = ("aescbc", "secretbox", "aesgcm")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """What a server runs with; every field is the flag of the same name (k3py.config.options), with defaults filled.

    token: "" = take the one in the data dir, or make one. agent_token: "" = agents join with the token. node_ip: never "".
    finds_address: node_ip was found, not given, and is followed when it changes.
    advertises_node_ip: no address to advertise was given.
    """

    data_dir: Path
    bind_address: str
    https_listen_port: int
    advertise_address: str
    finds_address: bool
    advertises_node_ip: bool
    tls_san: tuple[str, ...]
    write_kubeconfig: Path
    write_kubeconfig_mode: int
    cluster_cidr: str
    service_cidr: str
    service_node_port_range: tuple[int, int]
    cluster_dns: str
    cluster_domain: str
    token: str
    agent_token: str
    server: str
    datastore_endpoint: str
    datastore_cafile: Path | None
    datastore_certfile: Path | None
    datastore_keyfile: Path | None
    datastore_durability: Durability
    kube_apiserver_arg: ApiServerArguments
    kube_scheduler_arg: SchedulerArguments
    secrets_encryption: bool
    secrets_encryption_provider: str
    disable: tuple[str, ...]
    default_local_storage_path: Path
    disable_helm_controller: bool
    disable_agent: bool
    disable_scheduler: bool
    disable_kube_proxy: bool
    disable_network_policy: bool
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
    flannel_backend: OverlayKind
    flannel_ipv6_masq: bool
    egress_selector_mode: EgressMode
    debug: bool
    log: str
    etcd_disable_snapshots: bool
    etcd_snapshot_name: str
    etcd_snapshot_schedule_cron: str
    etcd_snapshot_retention: int
    etcd_snapshot_dir: Path
    etcd_snapshot_compress: bool
    etcd_s3: Mapping[str, Value]
    """The values of all flags that begin so, by field name; `k3py.server.snapshot_bucket` reads them."""

    cluster_init: bool
    etcd_expose_metrics: bool
    etcd_arg: tuple[str, ...]
    runs_etcd: bool = False
    """The datastore is a member of the managed etcd; set at the start (`k3py.server.etcd.choice`)."""

    cluster_reset: bool
    cluster_reset_restore_path: Path | None

    @property
    def shares_datastore(self) -> bool:
        """Say whether other servers can have the same datastore: then leaders are elected, and servers look out for each other."""
        return is_shared(self.datastore_endpoint)

    @property
    def served_dns(self) -> str:
        """Return the address of the cluster's DNS, "" when k3py is not to serve it."""
        return "" if "coredns" in self.disable else self.cluster_dns

    def __repr__(self) -> str:
        return f"ServerConfig(data_dir={str(self.data_dir)!r}, node_name={self.node_name!r})"


def load_server_config(arguments: Sequence[str], environ: Mapping[str, str] | None = None) -> ServerConfig:
    """Read flags, environment and files into a checked configuration.

    Raises:
        ConfigError: see `load_values`; also when values contradict each other.
    """
    values = load_values("server", arguments, os.environ if environ is None else environ)
    node = read_node_fields(values)
    finds_address = (
        not node["node_ip"] and ipaddress.ip_address(get_text(values, "bind_address")).is_unspecified
    )
    service_cidr, cluster_cidr = get_text(values, "service_cidr"), get_text(values, "cluster_cidr")
    _check_ranges(cluster_cidr, service_cidr)
    if not node["node_ips"]:
        node["node_ips"] = find_node_ips(get_text(values, "bind_address"), cluster_cidr)
        node["node_ip"] = node["node_ips"][0]
    return ServerConfig(
        data_dir=get_path(values, "data_dir").absolute(),
        bind_address=_bind_address(values, cluster_cidr),
        https_listen_port=cast("int", values["https_listen_port"]),
        advertise_address=get_text(values, "advertise_address") or node["node_ip"],
        finds_address=finds_address,
        advertises_node_ip=not get_text(values, "advertise_address"),
        tls_san=cast("tuple[str, ...]", values["tls_san"]),
        write_kubeconfig=get_path(values, "write_kubeconfig"),
        write_kubeconfig_mode=cast("int", values["write_kubeconfig_mode"]),
        cluster_cidr=cluster_cidr,
        service_cidr=service_cidr,
        service_node_port_range=cast("tuple[int, int]", values["service_node_port_range"]),
        cluster_dns=_cluster_dns(get_text(values, "cluster_dns"), service_cidr),
        cluster_domain=get_text(values, "cluster_domain"),
        token=load_token(values),
        agent_token=load_token(values, "agent-token"),
        server=_joined_server(values),
        datastore_endpoint=get_text(values, "datastore_endpoint"),
        datastore_cafile=_optional_path(values, "datastore_cafile"),
        datastore_certfile=_optional_path(values, "datastore_certfile"),
        datastore_keyfile=_optional_path(values, "datastore_keyfile"),
        datastore_durability=_durability(values),
        kube_apiserver_arg=parse_api_server_arguments(get_list(values, "kube_apiserver_arg")),
        kube_scheduler_arg=parse_scheduler_arguments(get_list(values, "kube_scheduler_arg")),
        secrets_encryption=bool(values["secrets_encryption"]),
        secrets_encryption_provider=_encryption_provider(values),
        disable=_disabled(values),
        default_local_storage_path=_optional_path(values, "default_local_storage_path")
        or get_path(values, "data_dir").absolute() / "storage",
        disable_helm_controller=bool(values["disable_helm_controller"]),
        disable_agent=bool(values["disable_agent"]),
        disable_scheduler=bool(values["disable_scheduler"]),
        disable_kube_proxy=bool(values["disable_kube_proxy"]),
        disable_network_policy=bool(values["disable_network_policy"]),
        debug=bool(values["debug"]),
        log=str(values["log"]),
        etcd_disable_snapshots=bool(values["etcd_disable_snapshots"]),
        etcd_snapshot_name=get_text(values, "etcd_snapshot_name"),
        etcd_snapshot_schedule_cron=get_text(values, "etcd_snapshot_schedule_cron"),
        etcd_snapshot_retention=cast("int", values["etcd_snapshot_retention"]),
        etcd_snapshot_dir=snapshot_dir(values),
        etcd_snapshot_compress=bool(values["etcd_snapshot_compress"]),
        etcd_s3={name: value for name, value in values.items() if name.startswith("etcd_s3")},
        cluster_init=bool(values["cluster_init"]),
        etcd_expose_metrics=bool(values["etcd_expose_metrics"]),
        etcd_arg=get_list(values, "etcd_arg"),
        cluster_reset=bool(values["cluster_reset"]),
        cluster_reset_restore_path=_restore_path(values),
        flannel_backend=_overlay(values),
        flannel_ipv6_masq=bool(values["flannel_ipv6_masq"]),
        egress_selector_mode=_egress_mode(values),
        **node,
    )


def snapshot_dir(values: Mapping[str, Value]) -> Path:
    """Return the folder of snapshots: --etcd-snapshot-dir, else one in the data dir."""
    given = values["etcd_snapshot_dir"]
    return (
        given if isinstance(given, Path) else get_path(values, "data_dir") / "server/db/snapshots"
    ).absolute()


def _optional_path(values: Mapping[str, Value], name: str) -> Path | None:
    given = values[name]
    return given.absolute() if isinstance(given, Path) else None


def _restore_path(values: Mapping[str, Value]) -> Path | None:
    given = values["cluster_reset_restore_path"]
    if isinstance(given, Path) and not values["cluster_reset"]:
        raise ConfigError(
            f"--cluster-reset-restore-path: '{given}': must be given together with --cluster-reset"
        )
    return given if isinstance(given, Path) else None


def _joined_server(values: Mapping[str, Value]) -> str:
    url, endpoint = get_text(values, "server"), get_text(values, "datastore_endpoint")
    if not url:
        return ""
    if not values["token"] and not values["token_file"]:
        raise ConfigError(f"--server: '{url}': must be given together with --token or --token-file")
    if endpoint and not is_shared(endpoint):
        raise ConfigError(
            f"--server: '{url}': must be given without --datastore-endpoint, or with one that servers can share"
        )
    return url


def is_shared(datastore_endpoint: str) -> bool:
    """Say whether several servers can have this datastore."""
    return datastore_endpoint.partition("://")[0] not in ("", "sqlite", "memory")


def _check_ranges(cluster_cidr: str, service_cidr: str) -> None:
    clusters = [ipaddress.ip_network(one) for one in split_pair(cluster_cidr)]
    services = [ipaddress.ip_network(one) for one in split_pair(service_cidr)]
    if [one.version for one in clusters] != [one.version for one in services]:
        raise ConfigError(
            f"--service-cidr: '{service_cidr}': must have the families of --cluster-cidr {cluster_cidr}, in the same order"
        )
    for cluster, service in zip(clusters, services, strict=True):
        if cluster.overlaps(service):
            raise ConfigError(f"--service-cidr: '{service}': must not overlap with --cluster-cidr {cluster}")
        smallest, largest = (24, 12) if cluster.version == 4 else (64, 108)
        if cluster.prefixlen > smallest:
            raise ConfigError(
                f"--cluster-cidr: '{cluster}': must hold at least one /{smallest} for each node"
            )
        if service.num_addresses < 16:
            raise ConfigError(f"--service-cidr: '{service}': must hold at least 16 addresses")
        if service.prefixlen < largest:
            raise ConfigError(f"--service-cidr: '{service}': must not be larger than a /{largest}")


def _cluster_dns(given: str, service_cidr: str) -> str:
    networks = [ipaddress.ip_network(one) for one in split_pair(service_cidr)]
    if not given:
        return ",".join(str(network[10]) for network in networks)
    for one in split_pair(given):
        if not any(ipaddress.ip_address(one) in network for network in networks):
            raise ConfigError(f"--cluster-dns: '{one}': must be an address in --service-cidr {service_cidr}")
    return given


def _bind_address(values: Mapping[str, Value], cluster_cidr: str) -> str:
    """Return where to listen: where pods have IPv6 addresses, "all" means those of both families."""
    given = get_text(values, "bind_address")
    return "::" if is_ipv6(cluster_cidr) and given == "0.0.0.0" else given  # noqa: S104 - compared, not bound


def find_node_ips(bind_address: str, cluster_cidr: str) -> tuple[str, ...]:
    """Return the address that is bound, or that of the interface with the default route, of the first family of pods; and the other's."""
    first = _find_first(bind_address, cluster_cidr)
    return find_own_addresses(first, cluster_cidr)


def _find_first(bind_address: str, cluster_cidr: str) -> str:
    if not ipaddress.ip_address(bind_address).is_unspecified:
        return bind_address
    targets = ("192.0.2.1", "2001:db8::1")
    return find_own_address(*(targets[::-1] if is_ipv6(cluster_cidr.partition(",")[0]) else targets))


def _disabled(values: Mapping[str, Value]) -> tuple[str, ...]:
    names = get_list(values, "disable")
    for name in names:
        if find_subdomain_faults(name):
            raise ConfigError(
                f"--disable: {name!r}: must be one of {', '.join(COMPONENTS)}, or the name of a file or folder "
                "in DATA_DIR/server/manifests"
            )
    return names


def _durability(values: Mapping[str, Value]) -> Durability:
    mode = get_text(values, "datastore_durability")
    if mode not in ("durable", "balanced", "flash"):
        raise ConfigError(f"--datastore-durability: {mode!r}: must be durable, balanced or flash")
    return cast("Durability", mode)


def _encryption_provider(values: Mapping[str, Value]) -> str:
    name = get_text(values, "secrets_encryption_provider")
    if name not in ENCRYPTION_PROVIDERS:
        raise ConfigError(
            f"--secrets-encryption-provider: {name!r}: must be one of {', '.join(ENCRYPTION_PROVIDERS)}"
        )
    return name


def _egress_mode(values: Mapping[str, Value]) -> EgressMode:
    mode = get_text(values, "egress_selector_mode")
    if mode not in get_args(EgressMode):
        raise ConfigError(f"--egress-selector-mode: {mode!r}: must be agent, pod, cluster or disabled")
    return cast("EgressMode", mode)


def _overlay(values: Mapping[str, Value]) -> OverlayKind:
    kind = get_text(values, "flannel_backend")
    if kind == "wireguard-native":
        raise ConfigError(
            "--flannel-backend: 'wireguard-native': k3py has no WireGuard yet; must be vxlan, host-gw or none"
        )
    if kind not in ("vxlan", "host-gw", "none"):
        raise ConfigError(f"--flannel-backend: {kind!r}: must be vxlan, host-gw or none")
    return cast("OverlayKind", kind)
