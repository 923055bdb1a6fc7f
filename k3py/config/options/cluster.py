"""Flags of joining, and of the etcd that servers run together."""

from __future__ import annotations

from typing import Final

from k3py.config.option import BOTH, Option

OPTIONS: Final[tuple[Option, ...]] = (
    # C-31, C-32
    Option(
        name="token",
        short="t",
        theme="cluster",
        env="K3PY_TOKEN",
        secret=True,
        roles=BOTH,
        help="secret with which servers and agents join (default: a new random one)",
    ),
    Option(
        name="token-file",
        theme="cluster",
        value_type="path",
        env="K3PY_TOKEN_FILE",
        roles=BOTH,
        help="file that holds the token",
    ),
    Option(
        name="agent-token",
        theme="cluster",
        env="K3PY_AGENT_TOKEN",
        secret=True,
        critical=True,
        help="secret with which agents join, but no servers (default: the token)",
    ),
    Option(
        name="agent-token-file",
        theme="cluster",
        value_type="path",
        env="K3PY_AGENT_TOKEN_FILE",
        help="file that holds the agents' token",
    ),
    Option(
        name="server",
        short="s",
        theme="cluster",
        value_type="url",
        env="K3PY_URL",
        roles=BOTH,
        help="URL of a server to join, such as https://192.0.2.1:6443",
    ),
    # C-31, C-34
    Option(
        name="cluster-init",
        theme="cluster",
        value_type="bool",
        env="K3PY_CLUSTER_INIT",
        help="begin a cluster of several servers: keep the objects in an etcd that k3py runs, which further servers join (moves what is in SQLite)",
    ),
    Option(
        name="etcd-expose-metrics",
        theme="cluster",
        value_type="bool",
        help="serve etcd's metrics at node-ip:2381, plain HTTP, too (default: only on this machine)",
    ),
    Option(
        name="etcd-arg",
        theme="cluster",
        value_type="arguments",
        help="a flag of etcd, name=value (repeatable), such as quota-backend-bytes=4294967296",
    ),
)
