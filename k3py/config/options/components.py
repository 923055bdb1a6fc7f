"""Flags of security and of the parts that a server runs."""

from __future__ import annotations

from typing import Final

from k3py.config.option import Option

OPTIONS: Final[tuple[Option, ...]] = (
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
        help="leave a component out: coredns (the cluster's DNS), dashboard (the page at /ui), metrics-server (the metrics API), local-storage (volumes in folders of nodes), runtimes (RuntimeClasses of K3s), servicelb (addresses for Services of type LoadBalancer), traefik (the ingress controller, off without its image); or a file of DATA_DIR/server/manifests: it and what it made are deleted",
    ),
    # C-40
    Option(
        name="default-local-storage-path",
        theme="components",
        value_type="path",
        help="folder on each node for volumes of the class local-path (default: DATA_DIR/storage)",
    ),
    # C-37, C-38
    Option(
        name="disable-helm-controller",
        theme="components",
        value_type="bool",
        critical=True,
        help="do not install HelmCharts",
    ),
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
    Option(
        name="disable-network-policy",
        theme="components",
        value_type="bool",
        critical=True,
        help="enforce no NetworkPolicy (or leave that to a foreign program)",
    ),
)
