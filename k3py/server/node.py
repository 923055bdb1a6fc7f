"""The node inside a server: the parts of any node, with in-process clients."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from k3py.api.resource import NODES
from k3py.client.local_informers import LocalInformerFactory
from k3py.kubelet.assembly import NodeIdentity, NodeSettings
from k3py.kubelet.assembly import build_node as build_parts
from k3py.kubelet.settings import load_kubelet_settings
from k3py.kubelet.wiring import Kubelet
from k3py.util.step import Step

if TYPE_CHECKING:
    from k3py.client.local import LocalClient
    from k3py.config.server import ServerConfig
    from k3py.network.own_address import OwnAddress
    from k3py.server.control_plane import ControlPlane
    from k3py.server.identity import ServerIdentity
    from k3py.util.supervise import Component

_ROLE = "node-role.kubernetes.io/control-plane"


def build_node(
    config: ServerConfig, identity: ServerIdentity, plane: ControlPlane, own: OwnAddress
) -> list[Component]:
    """Make the parts of a server's own node, in starting order; `own` is its address.

    Raises:
        MissingProgram: a program that the node needs is missing; names it and the package.
    """
    settings = NodeSettings(
        data_dir=config.data_dir,
        node_name=config.node_name,
        address=own,
        kubelet_port=config.kubelet_port,
        kubelet=load_kubelet_settings(config.kubelet_arg),
        node_port_addresses=config.kube_proxy_arg.node_port_addresses,
        serving_certificate=identity.paths.agent / "serving-kubelet",
        client_ca=identity.paths.authority("client-ca"),
        cluster_cidr=config.cluster_cidr,
        service_cidr=config.service_cidr,
        cluster_domain=config.cluster_domain,
        cluster_dns=config.served_dns,
        overlay=config.flannel_backend,
        masquerades_ipv6=config.flannel_ipv6_masq,
        service_proxy=not config.disable_kube_proxy,
        network_policy=not config.disable_network_policy,
        node_labels=config.node_labels,
        node_taints=config.node_taints,
        container_runtime_endpoint=config.container_runtime_endpoint,
        snapshotter=config.snapshotter,
        pause_image=config.pause_image,
        resolv_conf=config.resolv_conf,
        default_runtime=config.default_runtime,
        private_registry=config.private_registry,
        disable_default_registry_endpoint=config.disable_default_registry_endpoint,
        control_plane=True,
    )
    kubelet = plane.client(f"system:node:{config.node_name}", "system:nodes", user_agent="kubelet")
    proxy = plane.client("system:kube-proxy", user_agent="kube-proxy")
    parts = build_parts(settings, kubelet=_identify(kubelet), proxy=_identify(proxy))
    plane.renewal_hooks += [part.reload_certificate for part in parts if isinstance(part, Kubelet)]
    return [*parts, Step("node-role", partial(_set_role, config, plane))]


def _identify(client: LocalClient) -> NodeIdentity:
    informers = LocalInformerFactory(client)
    return NodeIdentity(client, informers, (informers,))


async def _set_role(config: ServerConfig, plane: ControlPlane) -> None:
    """Label the node as part of the control plane; a kubelet may not do that itself (NodeRestriction)."""
    supervisor = plane.client("system:k3py-supervisor", "system:masters", user_agent="k3py-supervisor")
    node = await supervisor.get(NODES, config.node_name)
    if (node["metadata"].get("labels") or {}).get(_ROLE) != "true":
        await supervisor.patch(NODES, config.node_name, {"metadata": {"labels": {_ROLE: "true"}}})
