"""Where keys and certificates lie below the data dir, and who they are for (spec/k3s.md §3.2, §3.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.pki.authority import LeafRequest, names_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

AUTHORITIES: Final = {
    "server-ca": "k3py-server",
    "client-ca": "k3py-client",
    "request-header-ca": "k3py-request-header",
    "etcd/server-ca": "etcd-server",
    "etcd/peer-ca": "etcd-peer",
}
"""Name, which is also the file below server/tls, and what its common name begins with (L-20, L-27)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One leaf: file name without suffix, the authority that signs it, what it says."""

    path: Path
    authority: str
    request: LeafRequest

    @property
    def certificate(self) -> Path:
        """Return the path of the certificate (leaf and CA, PEM)."""
        return self.path.with_name(self.path.name + ".crt")

    @property
    def key(self) -> Path:
        """Return the path of the private key."""
        return self.path.with_name(self.path.name + ".key")


@dataclass(frozen=True, slots=True, kw_only=True)
class PkiPaths:
    """Folders of a server: `server_tls` is <data-dir>/server/tls, `agent` is <data-dir>/agent."""

    server_tls: Path
    agent: Path

    @property
    def service_account_key(self) -> Path:
        """Return the file of the service-account keys: the first signs, all verify (L-21)."""
        return self.server_tls / "service.key"

    def authority(self, name: str) -> Path:
        """Return the certificate of an authority ("server-ca", …)."""
        return self.server_tls / f"{name}.crt"


def pki_paths(data_dir: Path) -> PkiPaths:
    """Return the folders for a data dir."""
    return PkiPaths(server_tls=data_dir / "server" / "tls", agent=data_dir / "agent")


def server_leaves(
    paths: PkiPaths,
    *,
    names: Sequence[str],
    service_ip: str,
    cluster_domain: str,
) -> tuple[Leaf, ...]:
    """Return the leaves of a server (L-22, L-23); `names`: host names and addresses under which it is reached."""
    tls = paths.server_tls
    masters = ("system:masters",)
    serving = names_of(
        (
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            f"kubernetes.default.svc.{cluster_domain}",
            "localhost",
            "127.0.0.1",
            "::1",
            service_ip,
        ),
        names,
    )
    clients = {
        "client-admin": LeafRequest(common_name="system:admin", organizations=masters),
        "client-supervisor": LeafRequest(common_name="system:k3py-supervisor", organizations=masters),
        "client-controller": LeafRequest(common_name="system:kube-controller-manager"),
        "client-scheduler": LeafRequest(common_name="system:kube-scheduler"),
        "client-kube-apiserver": LeafRequest(common_name="system:apiserver", organizations=masters),
        "client-kube-proxy": LeafRequest(common_name="system:kube-proxy"),
        "client-k3py-controller": LeafRequest(common_name="system:k3py-controller"),
    }
    return (
        Leaf(
            path=tls / "serving-kube-apiserver",
            authority="server-ca",
            request=LeafRequest(common_name="kube-apiserver", names=serving, usage="server"),
        ),
        Leaf(
            path=tls / "client-auth-proxy",
            authority="request-header-ca",
            request=LeafRequest(common_name="system:auth-proxy"),
        ),
        *(Leaf(path=tls / name, authority="client-ca", request=request) for name, request in clients.items()),
    )


def etcd_leaves(paths: PkiPaths, *, names: Sequence[str]) -> tuple[Leaf, ...]:
    """Return the leaves of a member of the managed etcd (L-25); `names`: host names and addresses of this server.

    The client's has no names: an etcd takes a certificate with names only from one of these addresses.
    """
    folder = paths.server_tls / "etcd"
    own = names_of(("localhost", "127.0.0.1", "::1"), names)
    return (
        Leaf(
            path=folder / "client", authority="etcd/server-ca", request=LeafRequest(common_name="etcd-client")
        ),
        Leaf(
            path=folder / "server-client",
            authority="etcd/server-ca",
            request=LeafRequest(common_name="etcd-server", names=own, usage="both"),
        ),
        Leaf(
            path=folder / "peer-server-client",
            authority="etcd/peer-ca",
            request=LeafRequest(common_name="etcd-peer", names=own, usage="both"),
        ),
    )


def node_leaves(paths: PkiPaths, *, node_name: str, names: Sequence[str]) -> tuple[Leaf, ...]:
    """Return the leaves of the node inside a server (L-31, J-23, J-24)."""
    return (
        Leaf(
            path=paths.agent / "serving-kubelet",
            authority="server-ca",
            request=LeafRequest(
                common_name=node_name,
                names=names_of((node_name, "localhost", "127.0.0.1"), names),
                usage="server",
            ),
        ),
        Leaf(
            path=paths.agent / "client-kubelet",
            authority="client-ca",
            request=LeafRequest(common_name=f"system:node:{node_name}", organizations=("system:nodes",)),
        ),
    )
