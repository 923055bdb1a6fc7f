"""The composition root of `k3py agent`: joins, then runs a node against the server's API."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

from k3py.agent.certificates import AgentCertificates
from k3py.agent.errors import ServerUnreachable
from k3py.agent.join import Joiner, find_joined
from k3py.agent.server_watch import ServerWatch
from k3py.api.resource import NODES, PODS
from k3py.client.http import HttpClient
from k3py.client.last_known import LastKnown
from k3py.client.reflector import HttpInformerFactory
from k3py.cluster.load_balancer import HOST, LoadBalancer
from k3py.cluster.machine import ensure_id, ensure_password
from k3py.cluster.node_tls import NodeTls
from k3py.cluster.server_list import ServerList, split_address
from k3py.cluster.tunnel.agent import AgentTunnels
from k3py.cluster.tunnel.dial_policy import DialPolicy
from k3py.config.reading import find_own_address, find_own_addresses
from k3py.errors import ConfigError
from k3py.kubelet.assembly import NodeIdentity, NodeSettings, build_node
from k3py.kubelet.settings import load_kubelet_settings
from k3py.kubelet.wiring import Kubelet
from k3py.network.own_address import OwnAddress
from k3py.network.policy.pods import reduce_pod
from k3py.runtime.bundle import tree_cleaning
from k3py.util.backoff import Backoff
from k3py.util.data_dir import hold_data_dir
from k3py.util.garbage import spare_started
from k3py.util.netaddr import split_pair
from k3py.util.supervisor import Supervisor
from k3py.version import GIT_VERSION

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from k3py.agent.join import Joined
    from k3py.config.agent import AgentConfig
    from k3py.util.supervise import Component

log = logging.getLogger(__name__)

_FIRST_RETRY_S, _LONGEST_RETRY_S = 1.0, 30.0


async def run_agent(config: AgentConfig) -> int:
    """Run an agent until it is told to stop; returns the exit code.

    Raises:
        K3pyError: what keeps it from starting, or ended it.
    """
    if os.geteuid() != 0:
        raise ConfigError("k3py agent: must run as root")
    with hold_data_dir(config.data_dir):
        name = config.node_name
        if config.with_node_id:
            name = f"{name}-{await asyncio.to_thread(ensure_id)}"
        log.info("starting", extra={"version": GIT_VERSION, "node": name, "server": config.server})
        servers = await asyncio.to_thread(
            ServerList, config.data_dir / "agent" / "etc" / "servers.json", config.server
        )
        own = await asyncio.to_thread(_find_address, config, servers)
        balancer = LoadBalancer(servers, port=config.lb_server_port)
        async with balancer.listening(), AsyncExitStack() as stack:
            joiner = await asyncio.to_thread(_make_joiner, config, balancer, name, own)
            joined = await _join(joiner, servers, config.data_dir / "agent")
            components = await _build(stack, config, joiner, joined, servers, balancer, name, own)
            components += tree_cleaning(config.data_dir)
            await Supervisor(components).run(ready=spare_started, signals=(signal.SIGTERM, signal.SIGINT))
    log.info("stopped")
    return 0


def _find_address(config: AgentConfig, servers: ServerList) -> OwnAddress:
    """Find the address from which the servers are reached. Blocking: names are looked up."""
    if config.node_ip:
        return OwnAddress(",".join(config.node_ips))

    def find() -> str:
        hosts = [split_address(one)[0] for one in servers.addresses]
        return find_own_address(*hosts, "192.0.2.1", "2001:db8::1")

    return OwnAddress(find(), find)


def _make_joiner(config: AgentConfig, balancer: LoadBalancer, name: str, own: OwnAddress) -> Joiner:
    """Blocking: the machine's password is read, or made."""
    return Joiner(
        server=config.server,
        balancer=balancer,
        token=config.token,
        folder=config.data_dir / "agent",
        node_name=name,
        node_ip=own.all[0],
        node_password=ensure_password(),
    )


async def _join(joiner: Joiner, servers: ServerList, folder: Path) -> Joined:
    """Join, waiting for the server as long as it takes; one that has joined before goes on with what it has."""
    backoff = Backoff(first_s=_FIRST_RETRY_S, cap_s=_LONGEST_RETRY_S, jitter=0.5)
    while True:
        try:
            joined = await joiner.join()
        except ServerUnreachable as error:
            known = await asyncio.to_thread(find_joined, folder)
            if known is not None:
                log.warning(
                    "the server does not answer, starting with what is known", extra={"why": str(error)}
                )
                return known
            log.warning("the server does not answer, trying again", extra={"why": str(error)})
            await asyncio.sleep(backoff.next_s())
        else:
            await servers.learn(joined.servers)
            return joined


async def _build(
    stack: AsyncExitStack,
    config: AgentConfig,
    joiner: Joiner,
    joined: Joined,
    servers: ServerList,
    balancer: LoadBalancer,
    name: str,
    own: OwnAddress,
) -> list[Component]:
    tls = [
        await asyncio.to_thread(NodeTls, joined.folder / "server-ca.crt", joined.folder / leaf)
        for leaf in ("client-kubelet", "client-kube-proxy")
    ]
    kubelet, proxy = [
        await _identify(stack, balancer.url, joined, one.context, agent)
        for one, agent in zip(tls, ("kubelet", "kube-proxy"), strict=True)
    ]
    if own.follows:
        own.complete(partial(find_own_addresses, cluster_cidr=joined.settings["clusterCIDR"]))
    settings = _settings(config, joined, name, own)
    node = build_node(settings, kubelet=kubelet, proxy=proxy)
    tunnels = _tunnels(settings, joined, servers, balancer, kubelet, proxy, tls[0].context)
    own.on_change(balancer.close_all)
    own.on_change(tunnels.reconnect)
    certificates = AgentCertificates(
        joiner,
        joined.folder,
        servers,
        own,
        at_once=joined.is_remembered,
        hooks=[
            *(one.reload for one in tls),
            *(one.reload_certificate for one in node if isinstance(one, Kubelet)),
        ],
    )
    return [*node, ServerWatch(servers, proxy.informers), tunnels, certificates]


async def _identify(
    stack: AsyncExitStack, server: str, joined: Joined, tls: ssl.SSLContext, user_agent: str
) -> NodeIdentity:
    client = await stack.enter_async_context(HttpClient(server, tls=tls, user_agent=user_agent))
    last_known = LastKnown(joined.folder / "last-known" / user_agent, begins_offline=joined.is_remembered)
    # Only network policies follow the pods of other nodes.
    informers = HttpInformerFactory(client, last_known, reduced={PODS: reduce_pod})
    return NodeIdentity(client, informers, (last_known, informers), last_known)


def _tunnels(
    settings: NodeSettings,
    joined: Joined,
    servers: ServerList,
    balancer: LoadBalancer,
    kubelet: NodeIdentity,
    proxy: NodeIdentity,
    tls: ssl.SSLContext,
) -> AgentTunnels:
    pods = kubelet.informers.informer(PODS, field_selector=f"spec.nodeName={settings.node_name}")
    nodes = proxy.informers.informer(NODES)
    return AgentTunnels(
        servers,
        balancer,
        tls=tls,
        server_hostname=HOST,
        dial_policy=DialPolicy(
            mode=joined.settings.get("egressSelectorMode", "agent"),
            kubelet_port=settings.kubelet_port,
            pods=pods.lister.list,
            nodes=nodes.lister.list,
            cluster_cidrs=split_pair(settings.cluster_cidr),
        ),
    )


def _settings(config: AgentConfig, joined: Joined, name: str, own: OwnAddress) -> NodeSettings:
    cluster = joined.settings
    return NodeSettings(
        data_dir=config.data_dir,
        node_name=name,
        address=own,
        kubelet_port=config.kubelet_port,
        kubelet=load_kubelet_settings(config.kubelet_arg),
        node_port_addresses=config.kube_proxy_arg.node_port_addresses,
        serving_certificate=joined.folder / "serving-kubelet",
        client_ca=joined.folder / "client-ca.crt",
        cluster_cidr=cluster["clusterCIDR"],
        service_cidr=cluster["serviceCIDR"],
        cluster_domain=cluster["clusterDomain"],
        cluster_dns=cluster["clusterDNS"],
        overlay=cluster["flannelBackend"],
        masquerades_ipv6=bool(cluster.get("flannelIPv6Masq")),
        service_proxy=not cluster["disableKubeProxy"],
        network_policy=not cluster.get("disableNetworkPolicy", True),  # an older server has no role for it
        node_labels=config.node_labels,
        node_taints=config.node_taints,
        container_runtime_endpoint=config.container_runtime_endpoint,
        snapshotter=config.snapshotter,
        pause_image=config.pause_image,
        resolv_conf=config.resolv_conf,
        default_runtime=config.default_runtime,
        private_registry=config.private_registry,
        disable_default_registry_endpoint=config.disable_default_registry_endpoint,
        control_plane=False,
    )
