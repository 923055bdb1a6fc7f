"""A lean HTTP/1.1 load generator: raw keep-alive connections, so that the client costs little beside the server."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

from k3py.errors import K3pyError
from k3py.util import clock

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

_LINE_BYTES: Final = 1 << 22


class LoadError(K3pyError):
    """An answer other than the expected one."""


@dataclass
class Figures:
    """Latencies of one run."""

    seconds: float
    latencies_ms: list[float] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        """Return the rate of answers."""
        return len(self.latencies_ms) / self.seconds

    def percentile_ms(self, percent: float) -> float:
        """Return the latency that so many percent stayed below."""
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]

    def __str__(self) -> str:
        return (
            f"{self.per_second:8.0f} req/s  p50 {self.percentile_ms(50):.2f} ms  "
            f"p99 {self.percentile_ms(99):.2f} ms  n={len(self.latencies_ms)}"
        )


class Connection:
    """One keep-alive connection."""

    def __init__(
        self,
        url: str,
        tls: ssl.SSLContext | None,
        headers: dict[str, str] | None = None,
        *,
        server_hostname: str = "",
    ) -> None:
        self._url = urlsplit(url)
        self._tls = tls
        self._server_hostname = server_hostname or None
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def open(self) -> None:
        """Connect. Raises OSError."""
        port = self._url.port or (443 if self._url.scheme == "https" else 80)
        self._reader, self._writer = await asyncio.open_connection(
            self._url.hostname,
            port,
            ssl=self._tls,
            server_hostname=self._server_hostname if self._tls else None,
            limit=_LINE_BYTES,
        )

    async def send(
        self, method: str, path: str, body: bytes = b"", content_type: str = "application/json"
    ) -> tuple[int, bytes]:
        """Send a request; return the answer's status and body."""
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

    async def stream(self, path: str) -> AsyncIterator[bytes]:
        """Send a GET with a chunked answer; yield its chunks."""
        self._writer.write(f"GET {path} HTTP/1.1\r\nHost: {self._url.netloc}\r\n{self._headers}\r\n".encode())
        await self._reader.readuntil(b"\r\n\r\n")
        while size := int(await self._reader.readline(), 16):
            yield await self._reader.readexactly(size)
            await self._reader.readexactly(2)

    def close(self) -> None:
        """End it."""
        self._writer.close()


class _Sender(Protocol):
    async def send(
        self, method: str, path: str, body: bytes = b"", content_type: str = "application/json"
    ) -> tuple[int, bytes]:
        """See `Connection`."""


async def run(
    connections: Sequence[_Sender],
    make_request: Callable[[int], tuple[str, str] | tuple[str, str, bytes]],
    total: int,
    expect: int,
) -> Figures:
    """Send `total` requests over all connections; `make_request(n)` gives (method, path, body).

    Raises:
        LoadError: an answer has another status than `expect`.
    """
    numbers = iter(range(total))
    figures = Figures(0)
    started = clock.monotonic_s()
    async with asyncio.TaskGroup() as group:
        for connection in connections:
            _ = group.create_task(_work(connection, numbers, make_request, expect, figures))
    figures.seconds = clock.monotonic_s() - started
    return figures


async def _work(
    connection: _Sender,
    numbers: Iterator[int],
    make_request: Callable[[int], tuple[str, str] | tuple[str, str, bytes]],
    expect: int,
    figures: Figures,
) -> None:
    for n in numbers:
        request = make_request(n)
        started = clock.monotonic_s()
        status, body = await connection.send(*request)
        figures.latencies_ms.append((clock.monotonic_s() - started) * 1000)
        if status != expect:
            raise LoadError(f"{request[0]} {request[1]}: {status}: {body[:300].decode(errors='replace')}")
