"""Connections to plugins."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from k3py.runtime.grpc_channel import GrpcChannel
from k3py.wire.plugin_protobuf import load_plugin_messages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def open_plugin(socket: Path) -> Iterator[GrpcChannel]:
    """Connect to a plugin's socket for as long as the block lasts."""
    channel = GrpcChannel(socket, load_plugin_messages())
    try:
        yield channel
    finally:
        channel.close()
