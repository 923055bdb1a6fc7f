"""Puts a node together: containerd, kubelet, service proxy, overlay. One call for the node inside a server and for an agent."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from k3py.client.events import EventRecorder
from k3py.config.proxy_arguments import PRIMARY
from k3py.kubelet.config import KubeletConfig
from k3py.kubelet.name_servers import NameServers
from k3py.kubelet.wiring import Kubelet
from k3py.network.cni import BridgeNetwork
from k3py.network.dns.records import ClusterRecords
from k3py.network.dns.server import DnsServer
from k3py.network.dns.upstream import Upstream
from k3py.network.interface import node_ranges
from k3py.network.kernel_settings import apply_kernel_settings, load_bridge_module
from k3py.network.masquerade import Masquerade
from k3py.network.nftables import NftTable
from k3py.network.overlay.controller import OverlayController
from k3py.network.overlay.host_gw import HostGwOverlay
from k3py.network.overlay.vxlan import OVERHEAD_BYTES, VxlanOverlay
from k3py.network.own_address import AddressWatch
from k3py.network.policy.controller import NetworkPolicyController
from k3py.network.policy.planner import TABLE as POLICY_TABLE
from k3py.network.proxy.nftables import NftablesProxy
from k3py.network.proxy.service_watch import ServiceProxyController
from k3py.network.service_route import ensure_service_route
from k3py.runtime.containerd import Containerd
from k3py.runtime.containerd_config import ContainerdConfig
from k3py.runtime.cri import CriRuntime
from k3py.runtime.extra_runtimes import check_default_runtime
from k3py.runtime.program import find_program, get_cni_dir, get_program
from k3py.runtime.registries.images import RegistryImages
from k3py.runtime.registries.settings import DEFAULT_FILE, load_registries
from k3py.util.netaddr import first_host, is_ipv6, split_pair
from k3py.util.step import Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.client.interface import Client, InformerFactory
    from k3py.client.last_known import LastKnown
    from k3py.config.node import OverlayKind
    from k3py.jsontypes import JsonObject
    from k3py.kubelet.settings import KubeletSettings
    from k3py.network.interface import Overlay
    from k3py.network.own_address import OwnAddress
    from k3py.util.supervise import Component

_LINK_MTU: Final = 1500


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """What a node is made with.

    serving_certificate: path without suffix of the kubelet's certificate and key; client_ca: who may call the kubelet.
    node_ip, cluster_cidr, service_cidr, cluster_dns: of one family, or of both with a comma between, primary first.
    cluster_dns: address of the cluster's DNS service, "" = the node serves none and pods use the node's name servers.
    node_port_addresses: ranges where node ports answer, ("primary",) = the node's addresses, () = all.
    container_runtime_endpoint: socket of a foreign runtime, "" = k3py's own containerd.
    """

    data_dir: Path
    node_name: str
    address: OwnAddress
    kubelet_port: int
    kubelet: KubeletSettings
    serving_certificate: Path
    client_ca: Path
    cluster_cidr: str
    service_cidr: str
    cluster_domain: str
    overlay: OverlayKind
    masquerades_ipv6: bool
    cluster_dns: str
    service_proxy: bool
    node_port_addresses: tuple[str, ...]
    network_policy: bool
    node_labels: tuple[str, ...]
    node_taints: tuple[str, ...]
    container_runtime_endpoint: str
    snapshotter: str
    pause_image: str
    resolv_conf: str
    default_runtime: str
    private_registry: Path | None
    disable_default_registry_endpoint: bool
    control_plane: bool


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """How a part of the node reaches the API: a client and informers that act as one user; `parts` run them.

    last_known: what the informers begin with when the server is away; one of `parts`. None = they wait for the server.
    """

    client: Client
    informers: InformerFactory
    parts: tuple[Component, ...]
    last_known: LastKnown | None = None


def build_node(settings: NodeSettings, *, kubelet: NodeIdentity, proxy: NodeIdentity) -> list[Component]:
    """Make the parts of a node, in starting order.

    kubelet, proxy: identities of the kubelet (system:node:<name>) and of what follows services and nodes (system:kube-proxy).

    Raises:
        ConfigError: registries.yaml cannot be used, or the default runtime is not installed.
        MissingProgram: a program that the node needs is missing; names it and the package.
    """
    registries = load_registries(
        settings.private_registry or DEFAULT_FILE,
        explicit=settings.private_registry is not None,
        default_endpoints=not settings.disable_default_registry_endpoint,
    )
    containerd = ContainerdConfig.for_data_dir(
        settings.data_dir,
        pause_image=settings.pause_image,
        snapshotter=settings.snapshotter,
        default_runtime=settings.default_runtime,
        registries=registries,
    )
    socket = Path(settings.container_runtime_endpoint.removeprefix("unix://") or containerd.socket)
    components: list[Component] = [Step("kernel-settings", partial(_set_up_network, settings))]
    plugins: Path | None = None
    own: Containerd | None = None
    if not settings.container_runtime_endpoint:
        plugins = _check_programs(containerd)
        own = Containerd(containerd)
        components.append(own)
    recorder = EventRecorder(kubelet.client, component="kubelet", host=settings.node_name)
    runtime = CriRuntime(socket)
    images = RegistryImages(runtime, registries) if registries.mirrors or registries.hosts else runtime
    network = BridgeNetwork(
        mtu=_LINK_MTU - OVERHEAD_BYTES if settings.overlay == "vxlan" else 0,
        with_bandwidth=plugins is not None and (plugins / "bandwidth").exists(),
    )
    policies = _make_policies(settings, proxy) if settings.network_policy else None
    agent = Kubelet(
        _kubelet_config(settings, containerd),
        kubelet.client,
        kubelet.informers,
        recorder,
        runtime,
        images,
        network,
        policy_enforcer=policies,
        last_known=kubelet.last_known,
    )
    if own is not None:
        own.images_changed = agent.images_changed
    parts = _build_network(settings, proxy)
    if policies is not None:
        parts.append(policies)
    else:
        table = NftTable(nft=get_program("nft"), table=POLICY_TABLE)
        parts.append(Step("no-network-policy", partial(table.apply, None)))
    return [*components, recorder, *kubelet.parts, agent, *parts]


def _make_policies(settings: NodeSettings, identity: NodeIdentity) -> NetworkPolicyController:
    def dns_addresses(node: JsonObject) -> Sequence[str]:
        return [first_host(one) for one in node_ranges(node)] if settings.cluster_dns else []

    table = NftTable(nft=get_program("nft"), table=POLICY_TABLE)
    return NetworkPolicyController(
        identity.informers, table, node_name=settings.node_name, dns_addresses=dns_addresses
    )


def _kubelet_config(settings: NodeSettings, containerd: ContainerdConfig) -> KubeletConfig:
    serving = settings.serving_certificate
    return KubeletConfig(
        node_name=settings.node_name,
        node_ip=settings.address.text,
        own_address=settings.address,
        # All interfaces; "" means those of both families.
        address="" if is_ipv6(settings.address.text) else "0.0.0.0",  # noqa: S104
        cni_conf_dir=containerd.cni_conf_dir,
        cluster_dns=settings.cluster_dns,
        cluster_domain=settings.cluster_domain,
        resolv_conf=Path(settings.resolv_conf),
        cert_file=serving.with_name(serving.name + ".crt"),
        key_file=serving.with_name(serving.name + ".key"),
        client_ca_file=settings.client_ca,
        port=settings.kubelet_port,
        settings=settings.kubelet,
        image_dir=None if settings.container_runtime_endpoint else containerd.root,
        node_labels=settings.node_labels,
        node_taints=settings.node_taints,
        control_plane=settings.control_plane,
        static_pods_dir=settings.data_dir / "agent" / "pod-manifests",
    )


def _check_programs(containerd: ContainerdConfig) -> Path:
    """Look for what the component would look for, so that a start without it fails at once instead of going on without containers.

    Returns:
        The folder of CNI plugins.
    """
    for name in ("containerd", "containerd-shim-runc-v2", "runc"):
        get_program(name, containerd.bin_dir)
    check_default_runtime(containerd.default_runtime, containerd.bin_dir)
    return get_cni_dir(containerd.bin_dir)


async def _set_up_network(settings: NodeSettings) -> None:
    _ = await load_bridge_module()
    await asyncio.to_thread(apply_kernel_settings)
    await _ensure_route(settings)


async def _ensure_route(settings: NodeSettings) -> None:
    if settings.service_proxy:
        for cidr in split_pair(settings.service_cidr):
            own = [one for one in settings.address.all if is_ipv6(one) == is_ipv6(cidr)]
            if own:
                await ensure_service_route(ip=get_program("ip"), service_cidr=cidr, node_ip=own[0])


def _build_network(settings: NodeSettings, proxy: NodeIdentity) -> list[Component]:
    nft = get_program("nft")
    parts: list[Component] = [*proxy.parts]
    if settings.service_proxy:
        rules = NftablesProxy(
            nft=nft,
            conntrack=find_program("conntrack"),
            cluster_cidrs=split_pair(settings.cluster_cidr),
            node_port_addresses=_node_port_addresses(settings),
        )
        parts.append(ServiceProxyController(proxy.informers, rules, node_name=settings.node_name))
    if settings.cluster_dns:
        records = ClusterRecords(proxy.informers, domain=settings.cluster_domain)
        upstream = Upstream(NameServers(Path(settings.resolv_conf)))
        parts.append(DnsServer(proxy.informers, records, upstream, node_name=settings.node_name))
    masquerade = Masquerade(nft=nft, cluster_cidr=settings.cluster_cidr, with_ipv6=settings.masquerades_ipv6)
    overlay = _make_overlay(settings)
    controller = OverlayController(
        proxy.informers,
        overlay,
        masquerade,
        node_name=settings.node_name,
        before=partial(_ensure_route, settings),
    )
    settings.address.on_change(controller.address_changed)
    parts.append(controller)
    if settings.address.follows:
        parts.append(AddressWatch(settings.address))
    return parts


def _node_port_addresses(settings: NodeSettings) -> tuple[str, ...]:
    given = settings.node_port_addresses
    return settings.address.all if given == (PRIMARY,) else given


def _make_overlay(settings: NodeSettings) -> Overlay | None:
    ip = get_program("ip")
    match settings.overlay:
        case "vxlan":
            return VxlanOverlay(ip=ip, bridge=get_program("bridge"), own=settings.address)
        case "host-gw":
            return HostGwOverlay(ip=ip)
        case "none":
            return None
