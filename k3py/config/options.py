"""The one table of flags: name, environment variable, configuration key, default, type (spec/k3s.md §1.2, §1.3).

A row here is all that a new flag needs besides the code that uses it. Flags that K3s has and that are not here yet are refused by
name as unknown, never accepted and ignored.
"""

from __future__ import annotations

from typing import Final

from k3py.config.option import Option

_BOTH: Final = ("server", "agent")
_AGENT: Final = ("agent",)

OPTIONS: Final[tuple[Option, ...]] = (
    # C-20, C-21
    Option(
        name="config",
        short="c",
        theme="config",
        value_type="path",
        default="/etc/k3py/config.yaml",
        env="K3PY_CONFIG_FILE",
        roles=_BOTH,
        help="load configuration from FILE, then from FILE.d/*.yaml",
    ),
    Option(name="debug", theme="logging", value_type="bool", env="K3PY_DEBUG", roles=_BOTH, help="log more"),
    Option(
        name="log",
        short="l",
        theme="logging",
        value_type="path",
        roles=_BOTH,
        help="log to this file instead of standard error",
    ),
    # C-22, C-23
    Option(
        name="bind-address",
        theme="listener",
        value_type="ip",
        default="0.0.0.0",  # noqa: S104 - K3s' default: the API is there for other machines
        help="address to listen on",
    ),
    Option(
        name="https-listen-port",
        theme="listener",
        value_type="port",
        default="6443",
        help="port of the Kubernetes API",
    ),
    Option(
        name="advertise-address",
        theme="listener",
        value_type="ip",
        help="address of the API server that pods and agents are told (default: node-ip)",
    ),
    Option(
        name="tls-san",
        theme="listener",
        value_type="list",
        help="add a host name or address to the serving certificate (repeatable)",
    ),
    # C-25, C-26
    Option(
        name="data-dir",
        short="d",
        theme="data",
        value_type="path",
        default="/var/lib/k3py",
        env="K3PY_DATA_DIR",
        roles=_BOTH,
        help="folder for the node's state",
    ),
    Option(
        name="write-kubeconfig",
        short="o",
        theme="client",
        value_type="path",
        default="/etc/k3py/k3py.yaml",
        env="K3PY_KUBECONFIG_OUTPUT",
        help="write the administrator's kubeconfig to this file",
    ),
    Option(
        name="write-kubeconfig-mode",
        theme="client",
        value_type="mode",
        default="0600",
        env="K3PY_KUBECONFIG_MODE",
        help="mode of that file, octal",
    ),
    # C-27
    Option(
        name="cluster-cidr",
        theme="networking",
        value_type="cidr",
        default="10.42.0.0/16",
        critical=True,
        help="range of pod addresses",
    ),
    Option(
        name="service-cidr",
        theme="networking",
        value_type="cidr",
        default="10.43.0.0/16",
        critical=True,
        help="range of service addresses",
    ),
    Option(
        name="service-node-port-range",
        theme="networking",
        value_type="port-range",
        default="30000-32767",
        help="ports for services of type NodePort",
    ),
    Option(
        name="cluster-dns",
        theme="networking",
        value_type="ip",
        critical=True,
        help="address of the cluster's DNS service (default: the tenth of service-cidr)",
    ),
    Option(
        name="cluster-domain",
        theme="networking",
        default="cluster.local",
        critical=True,
        help="DNS domain of the cluster",
    ),
    # C-28
    Option(
        name="flannel-backend",
        theme="networking",
        default="vxlan",
        critical=True,
        help="how pods reach those of other nodes: vxlan, host-gw or none (another program does it)",
    ),
    # C-31, C-32
    Option(
        name="token",
        short="t",
        theme="cluster",
        env="K3PY_TOKEN",
        secret=True,
        roles=_BOTH,
        help="secret with which servers and agents join (default: a new random one)",
    ),
    Option(
        name="token-file",
        theme="cluster",
        value_type="path",
        env="K3PY_TOKEN_FILE",
        roles=_BOTH,
        help="file that holds the token",
    ),
    Option(
        name="server",
        short="s",
        theme="cluster",
        value_type="url",
        env="K3PY_URL",
        roles=_AGENT,
        help="URL of the server to join, such as https://192.0.2.1:6443",
    ),
    # C-33
    Option(
        name="datastore-endpoint",
        theme="datastore",
        env="K3PY_DATASTORE_ENDPOINT",
        secret=True,
        help="where objects are stored: sqlite:///FILE, postgres://USER:PASSWORD@HOST/DATABASE, mysql://USER:PASSWORD@tcp(HOST:3306)/DATABASE, https://HOST:2379 of an etcd, or memory:// (default: SQLite in the data dir)",
    ),
    # C-34
    Option(
        name="datastore-cafile",
        theme="datastore",
        value_type="path",
        env="K3PY_DATASTORE_CAFILE",
        help="certificate of the authority that signed the datastore's certificate",
    ),
    Option(
        name="datastore-certfile",
        theme="datastore",
        value_type="path",
        env="K3PY_DATASTORE_CERTFILE",
        help="certificate to log in to the datastore with",
    ),
    Option(
        name="datastore-keyfile",
        theme="datastore",
        value_type="path",
        env="K3PY_DATASTORE_KEYFILE",
        help="key of --datastore-certfile",
    ),
    Option(
        name="datastore-durability",
        theme="datastore",
        default="durable",
        env="K3PY_DATASTORE_DURABILITY",
        help="when an acknowledged write is on the disk, SQLite only: durable (at once), balanced (within 0.2 s) or flash (within 5 s, sparing the flash memory)",
    ),
    Option(
        name="etcd-disable-snapshots",
        theme="snapshots",
        value_type="bool",
        help="make no scheduled snapshots of the datastore",
    ),
    Option(
        name="etcd-snapshot-name",
        theme="snapshots",
        default="etcd-snapshot",
        help="what the names of scheduled snapshots begin with",
    ),
    Option(
        name="etcd-snapshot-schedule-cron",
        theme="snapshots",
        value_type="cron",
        help="when to make snapshots, local time (default: 0 */12 * * * for SQLite, never for other datastores)",
    ),
    Option(
        name="etcd-snapshot-retention",
        theme="snapshots",
        value_type="int",
        default="5",
        help="how many scheduled snapshots to keep; 0 = all",
    ),
    Option(
        name="etcd-snapshot-dir",
        theme="snapshots",
        value_type="path",
        help="folder of snapshots (default: DATA_DIR/server/db/snapshots)",
    ),
    Option(
        name="etcd-snapshot-compress",
        theme="snapshots",
        value_type="bool",
        default="true",
        help="compress snapshots with gzip",
    ),
    # C-35
    Option(
        name="etcd-s3",
        theme="snapshots",
        value_type="bool",
        help="also copy snapshots to S3; with --cluster-reset-restore-path: fetch the snapshot from there",
    ),
    Option(
        name="etcd-s3-endpoint",
        theme="snapshots",
        default="s3.amazonaws.com",
        help="host and port of S3",
    ),
    Option(
        name="etcd-s3-endpoint-ca",
        theme="snapshots",
        value_type="path",
        help="authority of its certificate, a PEM file",
    ),
    Option(
        name="etcd-s3-skip-ssl-verify",
        theme="snapshots",
        value_type="bool",
        help="take any certificate",
    ),
    Option(
        name="etcd-s3-access-key",
        theme="snapshots",
        env="AWS_ACCESS_KEY_ID",
        help="who we are in S3",
    ),
    Option(
        name="etcd-s3-secret-key",
        theme="snapshots",
        env="AWS_SECRET_ACCESS_KEY",
        secret=True,
        help="its secret; better in the environment than on the command line",
    ),
    Option(
        name="etcd-s3-session-token",
        theme="snapshots",
        env="AWS_SESSION_TOKEN",
        secret=True,
        help="of temporary credentials",
    ),
    Option(
        name="etcd-s3-bucket",
        theme="snapshots",
        help="bucket for snapshots",
    ),
    Option(
        name="etcd-s3-bucket-lookup-type",
        theme="snapshots",
        default="auto",
        help="where the bucket's name goes: dns (host), path, or auto (host at Amazon)",
    ),
    Option(
        name="etcd-s3-region",
        theme="snapshots",
        default="us-east-1",
        help="region of the bucket",
    ),
    Option(
        name="etcd-s3-folder",
        theme="snapshots",
        help="folder in the bucket",
    ),
    Option(
        name="etcd-s3-retention",
        theme="snapshots",
        value_type="int",
        default="5",
        help="how many scheduled snapshots to keep in S3; 0 = all",
    ),
    Option(
        name="etcd-s3-proxy",
        theme="snapshots",
        secret=True,
        help="URL of a proxy to S3",
    ),
    Option(
        name="etcd-s3-insecure",
        theme="snapshots",
        value_type="bool",
        help="plain HTTP instead of HTTPS",
    ),
    Option(
        name="etcd-s3-timeout",
        theme="snapshots",
        default="5m0s",
        help="how long a request to S3 may take",
    ),
    Option(
        name="cluster-reset",
        theme="snapshots",
        value_type="bool",
        env="K3PY_CLUSTER_RESET",
        help="with --cluster-reset-restore-path: restore the datastore from a snapshot, then exit",
    ),
    Option(
        name="cluster-reset-restore-path",
        theme="snapshots",
        value_type="path",
        help="snapshot to restore",
    ),
    # C-41
    Option(
        name="secrets-encryption",
        theme="security",
        value_type="bool",
        critical=True,
        help="encrypt Secrets in the datastore (see `k3py secrets-encrypt`)",
    ),
    Option(
        name="secrets-encryption-provider",
        theme="security",
        default="aescbc",
        critical=True,
        help="how new keys encrypt: aescbc, secretbox or aesgcm",
    ),
    # C-42
    Option(
        name="kube-apiserver-arg",
        theme="security",
        value_type="arguments",
        help="a flag of kube-apiserver, name=value (repeatable): authentication, authorization, audit log, own encryption keys",
    ),
    Option(
        name="kube-scheduler-arg",
        theme="components",
        value_type="arguments",
        help="a flag of kube-scheduler, name=value: config=FILE, a KubeSchedulerConfiguration",
    ),
    # C-36
    Option(
        name="disable",
        theme="components",
        value_type="list",
        help="leave a component out: coredns (the cluster's DNS), metrics-server (the metrics API)",
    ),
    # C-37, C-38
    Option(
        name="disable-agent",
        theme="components",
        value_type="bool",
        help="run the control plane without a node of its own",
    ),
    Option(
        name="disable-scheduler",
        theme="components",
        value_type="bool",
        help="leave scheduling to a foreign scheduler",
    ),
    Option(
        name="disable-kube-proxy",
        theme="components",
        value_type="bool",
        help="leave service addresses to a foreign proxy",
    ),
    # C-53, C-55, C-56
    Option(
        name="node-name",
        theme="node",
        value_type="name",
        env="K3PY_NODE_NAME",
        roles=_BOTH,
        help="name of this node (default: the host name in lower case)",
    ),
    Option(
        name="with-node-id",
        theme="node",
        value_type="bool",
        roles=_AGENT,
        help="append a fixed random number to the node's name, so that equal host names can join",
    ),
    Option(
        name="node-ip", short="i", theme="node", value_type="ip", roles=_BOTH, help="address of this node"
    ),
    Option(
        name="node-label",
        theme="node",
        value_type="list",
        roles=_BOTH,
        help="label to register the node with, key=value (repeatable)",
    ),
    Option(
        name="node-taint",
        theme="node",
        value_type="list",
        roles=_BOTH,
        help="taint to register the node with, key=value:effect (repeatable)",
    ),
    Option(
        name="kubelet-port",
        theme="node",
        value_type="port",
        default="10250",
        roles=_BOTH,
        help="port of the kubelet on this node",
    ),
    Option(
        name="container-runtime-endpoint",
        theme="runtime",
        value_type="path",
        roles=_BOTH,
        help="use this CRI socket instead of k3py's own containerd",
    ),
    Option(
        name="snapshotter",
        theme="runtime",
        default="overlayfs",
        roles=_BOTH,
        help="containerd's snapshotter: overlayfs or native",
    ),
    Option(
        name="pause-image",
        theme="runtime",
        roles=_BOTH,
        help="image of pod sandboxes (default: k3py's own, which needs no registry)",
    ),
    Option(
        name="resolv-conf",
        theme="networking",
        value_type="path",
        env="K3PY_RESOLV_CONF",
        roles=_BOTH,
        help="resolv.conf that pods with the node's DNS get (default: /etc/resolv.conf)",
    ),
)

NOT_YET: Final[dict[str, str]] = {
    "etcd-s3-config-secret": "is not available yet: use the other --etcd-s3 flags",
    "etcd-snapshot-reconcile-interval": "is not available yet: snapshots are listed from the folder itself",
}
"""Flags of K3s, or beginnings of them, that are refused with a reason."""


def why_not(name: str) -> str:
    """Return why a flag of K3s is refused, "" for any other name."""
    return next(
        (why for prefix, why in NOT_YET.items() if name == prefix or name.startswith(f"{prefix}-")), ""
    )


def options_of(role: str) -> tuple[Option, ...]:
    """Return the flags of "server" or "agent"."""
    return tuple(one for one in OPTIONS if role in one.roles)
