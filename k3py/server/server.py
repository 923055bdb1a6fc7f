"""The composition root of `k3py server`: makes the parts, joins them, starts and stops them in order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from k3py.datastore.factory import open_backend
from k3py.server.data_dir import hold_data_dir
from k3py.server.identity import prepare_identity

if TYPE_CHECKING:
    from k3py.config.server import ServerConfig


async def run_server(config: ServerConfig) -> int:
    """Run a server until it is told to stop; returns the exit code.

    Raises:
        K3pyError: what keeps it from starting, or ended it.
    """
    with hold_data_dir(config.data_dir):
        await asyncio.to_thread(prepare_identity, config)
        async with open_backend(config.datastore_endpoint, data_dir=config.data_dir / "server"):
            await asyncio.Event().wait()
    return 0
