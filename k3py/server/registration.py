"""Joins the registration endpoint and the Kubernetes API behind one port."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from k3py.api.resource import ENDPOINT_SLICES
from k3py.api.user import ANONYMOUS
from k3py.apiserver.filters.authn import Authentication
from k3py.cluster.server_list import KUBERNETES_SLICES, server_addresses
from k3py.cluster.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from aiohttp import web

    from k3py.addons.dashboard.site import DashboardSite
    from k3py.api.user import User
    from k3py.apiserver.interface import Authenticator
    from k3py.client.interface import Client
    from k3py.cluster.node_password import NodePasswords
    from k3py.cluster.tunnel.gateway import TunnelGateway
    from k3py.config.server import ServerConfig
    from k3py.jsontypes import JsonObject
    from k3py.server.identity import ServerIdentity


def build_supervisor(
    config: ServerConfig,
    identity: ServerIdentity,
    authenticator: Authenticator,
    passwords: NodePasswords,
    masters: Client,
    tunnels: TunnelGateway,
    server_paths: Mapping[str, Callable[[web.BaseRequest], Awaitable[web.Response]]],
) -> Supervisor:
    """Make the registration endpoint; `masters` may list EndpointSlices, `server_paths`: see Supervisor."""
    authentication = Authentication(authenticator)

    async def authenticate(request: web.BaseRequest) -> User | None:
        user = await authentication.authenticate(request)
        return None if user is ANONYMOUS else user

    return Supervisor(
        authorities=identity.authorities,
        token=identity.token,
        agent_token=config.agent_token,
        authenticate=authenticate,
        passwords=passwords,
        settings=describe_cluster(config),
        server_paths=server_paths,
        list_servers=partial(list_servers, masters),
        tunnels=tunnels,
    )


async def list_servers(client: Client) -> Sequence[str]:
    """Return the addresses of all API servers, as the Service `kubernetes` has them (J-29)."""
    found = await client.list(ENDPOINT_SLICES, namespace="default", label_selector=KUBERNETES_SLICES)
    return server_addresses(found.items)


def describe_cluster(config: ServerConfig) -> JsonObject:
    """Return what agents have to know of the cluster (J-28): nothing that is secret."""
    return {
        "clusterCIDR": config.cluster_cidr,
        "serviceCIDR": config.service_cidr,
        "clusterDNS": config.served_dns,
        "clusterDomain": config.cluster_domain,
        "flannelBackend": config.flannel_backend,
        "flannelIPv6Masq": config.flannel_ipv6_masq,
        "disableKubeProxy": config.disable_kube_proxy,
        "disableNetworkPolicy": config.disable_network_policy,
        "httpsPort": config.https_listen_port,
        "egressSelectorMode": config.egress_selector_mode,
    }


def share_port(
    supervisor: Supervisor,
    api: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
    site: DashboardSite | None,
) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    """Return a handler that gives each request to the one that owns its path."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if supervisor.owns(request.raw_path):
            return await supervisor.handle(request)
        if site is not None and site.owns(request.raw_path):
            return await site.handle(request)
        return await api(request)

    return handle
