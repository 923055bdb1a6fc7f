"""Flags of joining."""

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
        name="server",
        short="s",
        theme="cluster",
        value_type="url",
        env="K3PY_URL",
        roles=BOTH,
        help="URL of a server to join, such as https://192.0.2.1:6443",
    ),
)
