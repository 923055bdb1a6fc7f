"""The node's part of the composition: containerd, kubelet, service proxy."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from k3py.api.resource import NODES
from k3py.client.events import EventRecorder
from k3py.client.local_informers import LocalInformerFactory
from k3py.kubelet.config import KubeletConfig
from k3py.kubelet.wiring import Kubelet
from k3py.network.cni import BridgeNetwork
from k3py.network.kernel_settings import apply_kernel_settings
from k3py.network.proxy.nftables import NftablesProxy
from k3py.network.proxy.service_watch import ServiceProxyController
from k3py.network.service_route import ensure_service_route
from k3py.runtime.containerd import Containerd
from k3py.runtime.containerd_config import ContainerdConfig
from k3py.runtime.cri import CriRuntime
from k3py.runtime.program import find_program, get_cni_dir, get_program
from k3py.server.steps import Step

if TYPE_CHECKING:
    from k3py.config.server import ServerConfig
    from k3py.server.control_plane import ControlPlane
    from k3py.server.identity import ServerIdentity
    from k3py.util.supervise import Component


def build_node(config: ServerConfig, identity: ServerIdentity, plane: ControlPlane) -> list[Component]:
    """Make the parts of a server's own node, in starting order.

    Raises:
        MissingProgram: a program that the node needs is missing; names it and the package.
    """
    client = plane.client(f"system:node:{config.node_name}", "system:nodes", user_agent="kubelet")
    informers = LocalInformerFactory(client)
    recorder = EventRecorder(client, component="kubelet", host=config.node_name)
    containerd = ContainerdConfig.for_data_dir(
        config.data_dir, pause_image=config.pause_image, snapshotter=config.snapshotter
    )
    socket = Path(config.container_runtime_endpoint.removeprefix("unix://") or containerd.socket)
    runtime = CriRuntime(socket)
    ip = None if config.disable_kube_proxy else get_program("ip")
    components: list[Component] = [Step("kernel-settings", partial(_set_up_network, config, ip))]
    if not config.container_runtime_endpoint:
        _check_programs(containerd)
        components.append(Containerd(containerd))
    kubelet = Kubelet(
        KubeletConfig(
            node_name=config.node_name,
            node_ip=config.node_ip,
            cni_conf_dir=containerd.cni_conf_dir,
            cluster_domain=config.cluster_domain,
            resolv_conf=Path(config.resolv_conf),
            cert_file=identity.paths.agent / "serving-kubelet.crt",
            key_file=identity.paths.agent / "serving-kubelet.key",
            client_ca_file=identity.paths.authority("client-ca"),
            port=config.kubelet_port,
            node_labels=config.node_labels,
            node_taints=config.node_taints,
            control_plane=True,
        ),
        client,
        informers,
        recorder,
        runtime,
        runtime,
        BridgeNetwork(),
    )
    components += [recorder, informers, kubelet, Step("node-role", partial(_set_role, config, plane))]
    if not config.disable_kube_proxy:
        components += _build_proxy(config, plane)
    return components


def _check_programs(containerd: ContainerdConfig) -> None:
    """Look for what the component would look for, so that a start without it fails at once instead of going on without containers."""
    for name in ("containerd", "containerd-shim-runc-v2", "runc"):
        get_program(name, containerd.bin_dir)
    get_cni_dir(containerd.bin_dir)


async def _set_up_network(config: ServerConfig, ip: Path | None) -> None:
    await asyncio.to_thread(apply_kernel_settings)
    if ip is not None:
        await ensure_service_route(ip=ip, service_cidr=config.service_cidr, node_ip=config.node_ip)


async def _set_role(config: ServerConfig, plane: ControlPlane) -> None:
    """Label the node as part of the control plane; a kubelet may not do that itself (NodeRestriction)."""
    supervisor = plane.client("system:k3py-supervisor", "system:masters", user_agent="k3py-supervisor")
    node = await supervisor.get(NODES, config.node_name)
    if (node["metadata"].get("labels") or {}).get(_ROLE) != "true":
        await supervisor.patch(NODES, config.node_name, {"metadata": {"labels": {_ROLE: "true"}}})


def _build_proxy(config: ServerConfig, plane: ControlPlane) -> list[Component]:
    client = plane.client("system:kube-proxy", user_agent="kube-proxy")
    proxy = NftablesProxy(
        nft=get_program("nft"),
        conntrack=find_program("conntrack"),
        cluster_cidrs=(config.cluster_cidr,),
    )
    informers = LocalInformerFactory(client)
    return [informers, ServiceProxyController(informers, proxy, node_name=config.node_name)]


_ROLE = "node-role.kubernetes.io/control-plane"
