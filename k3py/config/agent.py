"""The settings of `k3py agent`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3py.config.loader import load_values
from k3py.config.node import read_node_fields
from k3py.config.reading import get_number, get_path, get_text, load_token
from k3py.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from k3py.config.kubelet_arguments import KubeletArguments
    from k3py.config.proxy_arguments import ProxyArguments


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    """What an agent runs with; every field is the flag of the same name. node_ip "" = find it by the way to the server."""

    data_dir: Path
    server: str
    lb_server_port: int
    token: str
    node_name: str
    with_node_id: bool
    node_ip: str
    node_ips: tuple[str, ...]
    node_labels: tuple[str, ...]
    node_taints: tuple[str, ...]
    kubelet_port: int
    kubelet_arg: KubeletArguments
    kube_proxy_arg: ProxyArguments
    container_runtime_endpoint: str
    snapshotter: str
    pause_image: str
    resolv_conf: str
    default_runtime: str
    private_registry: Path | None
    disable_default_registry_endpoint: bool
    debug: bool
    log: str

    def __repr__(self) -> str:
        return f"AgentConfig(server={self.server!r}, node_name={self.node_name!r})"


def load_agent_config(arguments: Sequence[str], environ: Mapping[str, str] | None = None) -> AgentConfig:
    """Read flags, environment and files into a checked configuration.

    Raises:
        ConfigError: see `load_values`; also when --server or the token is missing.
    """
    values = load_values("agent", arguments, os.environ if environ is None else environ)
    server = get_text(values, "server")
    if not server:
        raise ConfigError("--server: must be given: the URL of a server, such as https://192.0.2.1:6443")
    token = load_token(values)
    if not token:
        raise ConfigError(
            "--token: must be given (or --token-file): what the server has in its data dir, server/node-token"
        )
    return AgentConfig(
        data_dir=get_path(values, "data_dir").absolute(),
        server=server,
        lb_server_port=get_number(values, "lb_server_port"),
        token=token,
        with_node_id=bool(values["with_node_id"]),
        debug=bool(values["debug"]),
        log=str(values["log"]),
        **read_node_fields(values),
    )
