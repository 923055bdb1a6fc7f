"""The way to the runtime's streaming server.

Source: k8s.io/kubelet/pkg/cri/streaming v0.35 (what the runtime serves), k8s.io/apimachinery/pkg/util/httpstream/spdy.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from k3py.kubelet.server.errors import RequestError
from k3py.util.upgrade import CHUNK_BYTES
from k3py.wire.remotecommand import SPDY_UPGRADE, STREAM_VERSION_HEADER

if TYPE_CHECKING:
    from collections.abc import Sequence

_ANSWER_S: Final = 30.0


@dataclass(slots=True)
class RuntimeConnection:
    """An upgraded connection to the runtime's streaming server; `protocol` is what it chose, `head` its answer as it came."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    protocol: str
    head: bytes


async def connect_runtime(url: str, protocols: Sequence[str]) -> RuntimeConnection:
    """Dial a URL that the runtime gave and upgrade to SPDY/3.1.

    Raises:
        RequestError: the runtime refused; its status and text.
    """
    parts = urlsplit(url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Connection: Upgrade",
        f"Upgrade: {SPDY_UPGRADE}",
    ]
    lines += [f"{STREAM_VERSION_HEADER}: {one}" for one in protocols]
    lines.append("Content-Length: 0")
    try:
        async with asyncio.timeout(_ANSWER_S):
            reader, writer = await asyncio.open_connection(
                parts.hostname, parts.port or 80, limit=CHUNK_BYTES
            )
            writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
            head = await reader.readuntil(b"\r\n\r\n")
    except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise RequestError(500, f"the runtime's streaming server does not answer: {error}") from error
    first, *fields = head.decode("latin-1").split("\r\n")
    status = int(first.split(" ", 2)[1])
    if status != 101:
        body = await reader.read(CHUNK_BYTES)
        writer.close()
        raise RequestError(
            500, body.decode("utf-8", "replace") or f"the runtime refused the upgrade: {first}"
        )
    name = f"{STREAM_VERSION_HEADER.lower()}:"
    protocol = next((one[len(name) :].strip() for one in fields if one.lower().startswith(name)), "")
    return RuntimeConnection(reader, writer, protocol, head)
