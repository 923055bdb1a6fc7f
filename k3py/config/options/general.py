"""Flags of configuration, log, listener, data dir and the administrator's kubeconfig."""

from __future__ import annotations

from typing import Final

from k3py.config.option import BOTH, Option

OPTIONS: Final[tuple[Option, ...]] = (
    # C-20, C-21
    Option(
        name="config",
        short="c",
        theme="config",
        value_type="path",
        default="/etc/k3py/config.yaml",
        env="K3PY_CONFIG_FILE",
        roles=BOTH,
        help="load configuration from FILE, then from FILE.d/*.yaml",
    ),
    Option(name="debug", theme="logging", value_type="bool", env="K3PY_DEBUG", roles=BOTH, help="log more"),
    Option(
        name="log",
        short="l",
        theme="logging",
        value_type="path",
        roles=BOTH,
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
        roles=BOTH,
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
)
