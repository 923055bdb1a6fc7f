"""A TCP proxy between k3py and a database that misbehaves on demand: refuses, cuts, stalls, swallows answers."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class TcpProxy:
    """Forwards connections to a port on loopback.

    deaf: bytes from the server are thrown away (the client waits for ever, as behind a half-open connection).
    stalled: nothing is forwarded in either direction.
    truncate_at: the next answer of the server is cut off behind so many bytes, with the connection.
    cut_after: when these bytes go to the server, they still get there, and then the client's connection is cut.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.refuses = False
        self.deaf = False
        self.delay_s = 0.0
        self.cut_after: bytes | None = None
        self.truncate_at: int | None = None
        self.cuts = 0
        self.connections = 0
        self._go = asyncio.Event()
        self._go.set()

    def stall(self) -> None:
        """Forward nothing until `resume`."""
        self._go.clear()

    def resume(self) -> None:
        """Forward again."""
        self._go.set()

    def cut(self) -> None:
        """Cut all connections now."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""
        if self.refuses:
            writer.transport.abort()
            return
        self.connections += 1
        try:
            upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, upstream}
        self._writers |= pair
        up = asyncio.create_task(self._pump(reader, upstream, writer, to_server=True))
        down = asyncio.create_task(self._pump(upstream_reader, writer, writer, to_server=False))
        self._tasks |= {up, down}
        try:
            await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
        finally:
            up.cancel()
            down.cancel()
            self._tasks -= {up, down}
            self._writers -= pair
            for one in pair:
                one.transport.abort()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        client: asyncio.StreamWriter,
        *,
        to_server: bool,
    ) -> None:
        try:
            while data := await reader.read(1 << 16):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                await self._go.wait()
                if self.deaf and not to_server:
                    continue
                if self.truncate_at is not None and not to_server:
                    at, self.truncate_at = self.truncate_at, None
                    self.cuts += 1
                    writer.write(data[:at])
                    await writer.drain()
                    writer.close()
                    return
                writer.write(data)
                await writer.drain()
                if to_server and self.cut_after is not None and self.cut_after in data:
                    self.cuts += 1
                    self.cut_after = None
                    # The server has it; its answer will not come.
                    client.transport.abort()
                    await asyncio.sleep(0.3)
                    return
        except (ConnectionError, OSError):
            return

    def close(self) -> None:
        """Cut everything."""
        self.cut()
        for task in self._tasks:
            task.cancel()


@asynccontextmanager
async def proxy_to(port: int) -> AsyncIterator[TcpProxy]:
    """Run a proxy in front of `port`."""
    proxy = TcpProxy(port)
    server = await asyncio.start_server(proxy.handle, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.close()
        await asyncio.sleep(0.01)
