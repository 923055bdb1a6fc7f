"""What a kubelet is told when it is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from k3py.kubelet.settings import KubeletSettings

if TYPE_CHECKING:
    from k3py.network.own_address import OwnAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeletConfig:
    """Settings of one node's kubelet.

    Attributes:
        node_name: Name of the Node object.
        node_ip: Address that the node reports as InternalIP (first of `node_ips`).
        own_address: The same, where it can change while the kubelet runs; None = it cannot.
        root_dir: Where pods' files live (<root_dir>/pods/<uid>/…); has to be a shared mount for mount propagation.
        pod_logs_dir: Where container logs are written.
        container_logs_dir: Where links to them by pod and container name are made; None = nowhere.
        cni_conf_dir: Where the pod network writes its configuration.
        cluster_dns: Address of the cluster's DNS, "" = none.
        cluster_domain: Domain of services.
        resolv_conf: The node's resolv.conf.
        cgroup_root: Cgroup below which kubepods lies, "" = the root.
        settings: What KubeletConfiguration says.
        image_dir: A folder on the file system of images, None = the same as root_dir's.
        cert_file: Serving certificate (PEM), None = the HTTPS server is off.
        key_file: Its key.
        client_ca_file: CA of client certificates, None = only tokens.
        address: Address to listen on.
        port: Port to listen on; 0 = any free one (tests).
        provider_id: spec.providerID.
        node_labels: "key=value", added to the Node.
        node_taints: "key=value:effect", added at registration.
        static_pods_dir: Folder with files of static pods, None = there are none.
    """

    node_name: str
    node_ip: str
    own_address: OwnAddress | None = None
    root_dir: Path = Path("/var/lib/kubelet")
    pod_logs_dir: Path = Path("/var/log/pods")
    container_logs_dir: Path | None = Path("/var/log/containers")
    cni_conf_dir: Path = Path("/etc/cni/net.d")
    cluster_dns: str = ""
    cluster_domain: str = "cluster.local"
    resolv_conf: Path = Path("/etc/resolv.conf")
    cgroup_root: str = ""
    cgroups_enabled: bool = True
    settings: KubeletSettings = field(default_factory=KubeletSettings)
    image_dir: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    client_ca_file: Path | None = None
    address: str = "0.0.0.0"  # noqa: S104 - the API server reaches a node at any of its addresses
    port: int = 10250
    provider_id: str = ""
    node_labels: tuple[str, ...] = ()
    node_taints: tuple[str, ...] = ()
    control_plane: bool = False
    static_pods_dir: Path | None = None

    @property
    def node_ips(self) -> tuple[str, ...]:
        """Return the node's addresses; `node_ip` may hold two, comma-separated."""
        if self.own_address is not None:
            return self.own_address.all
        return tuple(one for one in self.node_ip.split(",") if one)

    def pod_dir(self, uid: str) -> Path:
        """Return the folder of a pod's files."""
        return self.root_dir / "pods" / uid
