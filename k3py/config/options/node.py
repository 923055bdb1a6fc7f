"""Flags of the node and its container runtime."""

from __future__ import annotations

from typing import Final

from k3py.config.option import AGENT, BOTH, Option

OPTIONS: Final[tuple[Option, ...]] = (
    # C-53, C-55, C-56
    Option(
        name="node-name",
        theme="node",
        value_type="name",
        env="K3PY_NODE_NAME",
        roles=BOTH,
        help="name of this node (default: the host name in lower case)",
    ),
    Option(
        name="with-node-id",
        theme="node",
        value_type="bool",
        roles=AGENT,
        help="append a fixed random number to the node's name, so that equal host names can join",
    ),
    Option(
        name="node-ip",
        short="i",
        theme="node",
        value_type="ips",
        roles=BOTH,
        help="address of this node; one of each family with a comma between",
    ),
    Option(
        name="node-label",
        theme="node",
        value_type="list",
        roles=BOTH,
        help="label to register the node with, key=value (repeatable)",
    ),
    Option(
        name="node-taint",
        theme="node",
        value_type="list",
        roles=BOTH,
        help="taint to register the node with, key=value:effect (repeatable)",
    ),
    Option(
        name="lb-server-port",
        theme="node",
        value_type="port",
        default="6444",
        env="K3PY_LB_SERVER_PORT",
        roles=AGENT,
        help="port on loopback where this node finds whichever API server answers",
    ),
    Option(
        name="kubelet-arg",
        theme="node",
        value_type="arguments",
        roles=BOTH,
        help="a setting of the kubelet, name=value (repeatable): config=FILE and config-dir=FOLDER (KubeletConfiguration), max-pods, eviction-hard, image-gc-high-threshold and others",
    ),
    Option(
        name="kube-proxy-arg",
        theme="node",
        value_type="arguments",
        roles=BOTH,
        help="a setting of the service proxy, name=value: nodeport-addresses=NETWORKS or primary, where node ports answer (default: everywhere)",
    ),
    Option(
        name="kubelet-port",
        theme="node",
        value_type="port",
        default="10250",
        roles=BOTH,
        help="port of the kubelet on this node",
    ),
    Option(
        name="container-runtime-endpoint",
        theme="runtime",
        value_type="path",
        roles=BOTH,
        help="use this CRI socket instead of k3py's own containerd",
    ),
    Option(
        name="snapshotter",
        theme="runtime",
        default="overlayfs",
        roles=BOTH,
        help="containerd's snapshotter: overlayfs or native",
    ),
    Option(
        name="pause-image",
        theme="runtime",
        roles=BOTH,
        help="image of pod sandboxes (default: k3py's own, which needs no registry)",
    ),
    Option(
        name="default-runtime",
        theme="runtime",
        roles=BOTH,
        help="runtime of pods without a RuntimeClass: runc, or another one that is installed (crun, nvidia, …)",
    ),
    Option(
        name="private-registry",
        theme="runtime",
        value_type="path",
        roles=BOTH,
        help="file that describes registries: mirrors, credentials, TLS (default: /etc/k3py/registries.yaml)",
    ),
    Option(
        name="disable-default-registry-endpoint",
        theme="runtime",
        value_type="bool",
        roles=BOTH,
        help="never ask a registry itself for which that file has mirrors",
    ),
)
