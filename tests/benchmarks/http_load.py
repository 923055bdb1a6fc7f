"""A lean HTTP/1.1 load generator: raw keep-alive connections, so that the client costs little beside the server."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import ssl


@dataclass
class Figures:
    """Latencies of one run."""

    seconds: float
    latencies_ms: list[float] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        return len(self.latencies_ms) / self.seconds

    def percentile_ms(self, percent: float) -> float:
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]

    def __str__(self) -> str:
        return (
            f"{self.per_second:8.0f} req/s  p50 {self.percentile_ms(50):.2f} ms  "
            f"p99 {self.percentile_ms(99):.2f} ms  n={len(self.latencies_ms)}"
        )


class Connection:
    """One keep-alive connection."""

    def __init__(self, url: str, tls: ssl.SSLContext | None, headers: dict[str, str] | None = None) -> None:
        self._url = urlsplit(url)
        self._tls = tls
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())

    async def open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(
            self._url.hostname, self._url.port, ssl=self._tls, limit=1 << 22
        )

    async def send(self, method: str, path: str, body: bytes = b"", content_type: str = "application/json") -> tuple[int, bytes]:
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._url.netloc}\r\n{self._headers}"
        if body:
            head += f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        self._writer.write(head.encode() + b"\r\n" + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        status = int(answer[9:12])
        lowered = answer.lower()
        if b"transfer-encoding: chunked" in lowered:
            parts = []
            while size := int(await self._reader.readline(), 16):
                parts.append(await self._reader.readexactly(size))
                await self._reader.readexactly(2)
            await self._reader.readexactly(2)
            return status, b"".join(parts)
        at = lowered.find(b"content-length:")
        if at < 0:
            return status, b""
        length = int(lowered[at + 15 : lowered.find(b"\r\n", at)])
        return status, await self._reader.readexactly(length)

    async def stream(self, path: str):
        """Send a GET with a chunked answer; yield its chunks."""
        self._writer.write(f"GET {path} HTTP/1.1\r\nHost: {self._url.netloc}\r\n{self._headers}\r\n".encode())
        await self._reader.readuntil(b"\r\n\r\n")
        while size := int(await self._reader.readline(), 16):
            yield await self._reader.readexactly(size)
            await self._reader.readexactly(2)

    def close(self) -> None:
        self._writer.close()


async def run(connections: list[Connection], make_request, total: int, expect: int) -> Figures:
    """Send `total` requests over all connections; `make_request(n)` gives (method, path, body)."""
    numbers = iter(range(total))
    figures = Figures(0)

    async def worker(connection: Connection) -> None:
        for n in numbers:
            request = make_request(n)
            started = time.perf_counter()
            status, body = await connection.send(*request)
            figures.latencies_ms.append((time.perf_counter() - started) * 1000)
            assert status == expect, (request[:2], status, body[:300])

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for connection in connections:
            group.create_task(worker(connection))
    figures.seconds = time.perf_counter() - started
    return figures
