"""The composition root of `k3py agent`: joins, then runs a node against the server's API."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from k3py.agent.errors import ServerUnreachable
from k3py.agent.join import Joiner, find_joined
from k3py.agent.server_watch import ServerWatch
from k3py.api.resource import NODES, PODS
from k3py.client.kubeconfig import Kubeconfig
from k3py.client.last_known import LastKnown
from k3py.client.reflector import HttpInformerFactory
from k3py.cluster.load_balancer import HOST, LoadBalancer
from k3py.cluster.machine import ensure_id, ensure_password
from k3py.cluster.server_list import ServerList
from k3py.cluster.tunnel.agent import AgentTunnels
from k3py.cluster.tunnel.dial_policy import DialPolicy
from k3py.config.reading import find_own_address
from k3py.errors import ConfigError
from k3py.kubelet.assembly import NodeIdentity, NodeSettings, build_node
from k3py.util.backoff import Backoff
from k3py.util.data_dir import hold_data_dir
from k3py.util.garbage import spare_started
from k3py.util.supervisor import Supervisor
from k3py.version import GIT_VERSION

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from k3py.agent.join import Joined
    from k3py.config.agent import AgentConfig

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
        node_ip = config.node_ip or find_own_address(urlsplit(config.server).hostname or "", "192.0.2.1")
        log.info("starting", extra={"version": GIT_VERSION, "node": name, "server": config.server})
        servers = await asyncio.to_thread(
            ServerList, config.data_dir / "agent" / "etc" / "servers.json", config.server
        )
        balancer = LoadBalancer(servers, port=config.lb_server_port)
        async with balancer.listening(), AsyncExitStack() as stack:
            joined = await _join(config, servers, balancer, name, node_ip)
            kubelet, proxy = [
                await _identify(stack, balancer.url, joined, leaf, agent)
                for leaf, agent in (("client-kubelet", "kubelet"), ("client-kube-proxy", "kube-proxy"))
            ]
            settings = _settings(config, joined, name, node_ip)
            components = [
                *build_node(settings, kubelet=kubelet, proxy=proxy),
                ServerWatch(servers, proxy.informers),
                _tunnels(settings, joined, servers, balancer, kubelet, proxy),
            ]
            await Supervisor(components).run(ready=spare_started, signals=(signal.SIGTERM, signal.SIGINT))
    log.info("stopped")
    return 0


async def _join(
    config: AgentConfig, servers: ServerList, balancer: LoadBalancer, name: str, node_ip: str
) -> Joined:
    """Join, waiting for the server as long as it takes; one that has joined before goes on with what it has."""
    folder = config.data_dir / "agent"
    joiner = Joiner(
        server=config.server,
        balancer=balancer,
        token=config.token,
        folder=folder,
        node_name=name,
        node_ip=node_ip,
        node_password=await asyncio.to_thread(ensure_password),
    )
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


async def _identify(
    stack: AsyncExitStack, server: str, joined: Joined, leaf: str, user_agent: str
) -> NodeIdentity:
    folder = joined.folder
    config = _kubeconfig(server, folder, leaf)
    client = await stack.enter_async_context(config.make_client(user_agent=user_agent))
    last_known = LastKnown(folder / "last-known" / user_agent, begins_offline=joined.is_remembered)
    informers = HttpInformerFactory(client, last_known)
    return NodeIdentity(client, informers, (last_known, informers), last_known)


def _kubeconfig(server: str, folder: Path, leaf: str) -> Kubeconfig:
    """Blocking: a small file."""
    return Kubeconfig(
        server=server,
        ca=(folder / "server-ca.crt").read_bytes(),
        certificate_file=folder / f"{leaf}.crt",
        key_file=folder / f"{leaf}.key",
        ignores_dates=True,
    )


def _tunnels(
    settings: NodeSettings,
    joined: Joined,
    servers: ServerList,
    balancer: LoadBalancer,
    kubelet: NodeIdentity,
    proxy: NodeIdentity,
) -> AgentTunnels:
    tls = _kubeconfig(balancer.url, joined.folder, "client-kubelet").make_tls()
    pods = kubelet.informers.informer(PODS, field_selector=f"spec.nodeName={settings.node_name}")
    nodes = proxy.informers.informer(NODES)
    return AgentTunnels(
        servers,
        balancer,
        tls=cast("ssl.SSLContext", tls),
        server_hostname=HOST,
        dial_policy=DialPolicy(
            mode=joined.settings.get("egressSelectorMode", "agent"),
            kubelet_port=settings.kubelet_port,
            pods=pods.lister.list,
            nodes=nodes.lister.list,
            cluster_cidrs=(settings.cluster_cidr,),
        ),
    )


def _settings(config: AgentConfig, joined: Joined, name: str, node_ip: str) -> NodeSettings:
    cluster = joined.settings
    return NodeSettings(
        data_dir=config.data_dir,
        node_name=name,
        node_ip=node_ip,
        kubelet_port=config.kubelet_port,
        serving_certificate=joined.folder / "serving-kubelet",
        client_ca=joined.folder / "client-ca.crt",
        cluster_cidr=cluster["clusterCIDR"],
        service_cidr=cluster["serviceCIDR"],
        cluster_domain=cluster["clusterDomain"],
        cluster_dns=cluster["clusterDNS"],
        overlay=cluster["flannelBackend"],
        service_proxy=not cluster["disableKubeProxy"],
        network_policy=not cluster.get("disableNetworkPolicy", True),  # an older server has no role for it
        node_labels=config.node_labels,
        node_taints=config.node_taints,
        container_runtime_endpoint=config.container_runtime_endpoint,
        snapshotter=config.snapshotter,
        pause_image=config.pause_image,
        resolv_conf=config.resolv_conf,
        private_registry=config.private_registry,
        disable_default_registry_endpoint=config.disable_default_registry_endpoint,
        control_plane=False,
    )
