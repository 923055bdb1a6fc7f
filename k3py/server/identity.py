"""Prepares who the server is: keys, certificates, the join token. Files only; run before anything listens."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3py.cluster.token import write_agent_token, write_server_token
from k3py.pki.layout import etcd_leaves, node_leaves, pki_paths, server_leaves
from k3py.pki.provision import ensure_authorities, ensure_leaves
from k3py.pki.service_account import ServiceAccountKeys
from k3py.server.etcd.choice import names_of_member
from k3py.util.netaddr import first_host, split_pair

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from k3py.config.server import ServerConfig
    from k3py.pki.authority import KeyPair
    from k3py.pki.layout import Leaf, PkiPaths


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerIdentity:
    """Where the files are, and what was read from them."""

    paths: PkiPaths
    root_ca: str
    token: str
    authorities: Mapping[str, KeyPair]
    leaves: tuple[Leaf, ...]
    service_account_keys: ServiceAccountKeys

    def __repr__(self) -> str:
        return "ServerIdentity(…)"


def make_leaves(config: ServerConfig, paths: PkiPaths, addresses: Sequence[str]) -> tuple[Leaf, ...]:
    """Return the leaves that a server needs; `addresses`: those under which this machine is reached, may hold doubles."""
    service_ip, *more_ips = (first_host(one) for one in split_pair(config.service_cidr))
    own = tuple(dict.fromkeys(one for one in addresses if one))
    names = (config.node_name, socket.gethostname(), *own, *more_ips, *config.tls_san)
    leaves = server_leaves(paths, names=names, service_ip=service_ip, cluster_domain=config.cluster_domain)
    if not config.disable_agent:
        leaves += node_leaves(paths, node_name=config.node_name, names=own)
    if config.runs_etcd:  # etcd itself reads them anew when they are renewed
        leaves += etcd_leaves(paths, names=names_of_member(config))
    return leaves


def prepare_identity(config: ServerConfig, password: str) -> ServerIdentity:
    """Make or renew what is missing or due. Blocking (keys are made, files synced): call it off the loop.

    password: of the token (k3py.server.shared_identity decides it).

    Raises:
        PkiError: a file is damaged or half a pair is missing.
    """
    paths = pki_paths(config.data_dir)
    authorities = ensure_authorities(paths)
    leaves = make_leaves(config, paths, (*config.node_ips, config.advertise_address))
    ensure_leaves(authorities, leaves)
    root_ca = authorities["server-ca"].certificate
    token = write_server_token(config.data_dir / "server", root_ca, password)
    write_agent_token(config.data_dir / "server", root_ca, config.agent_token)
    issuer, *formerly = config.kube_apiserver_arg.texts("service-account-issuer") or (
        f"https://kubernetes.default.svc.{config.cluster_domain}",
    )
    keys = ServiceAccountKeys(
        paths.service_account_key.read_bytes(),
        issuer=issuer,
        formerly=formerly,
        source=str(paths.service_account_key),
    )
    return ServerIdentity(
        paths=paths,
        root_ca=root_ca.decode(),
        token=token,
        authorities=authorities,
        leaves=leaves,
        service_account_keys=keys,
    )
