"""Plain requests to kubelets, with the API server's credential, for parts of the server that have to ask a node."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from k3py.api.status import ApiError
from k3py.apiserver.handlers.forwarding import iter_body, read_head
from k3py.apiserver.registry.subresources.node_location import url_of_node

if TYPE_CHECKING:
    from k3py.apiserver.interface import KubeletConnector
    from k3py.jsontypes import JsonObject

_LONGEST_ANSWER: Final = 16 * 1024 * 1024


class KubeletRequests:
    """Sends one request a connection."""

    def __init__(self, connector: KubeletConnector) -> None:
        self._connector = connector

    async def send(self, node: JsonObject, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Return status and body of the answer of a Node's kubelet. Raises OSError, TimeoutError."""
        try:
            url = url_of_node(node)
        except ApiError as error:
            raise OSError(error.message) from error
        reader, writer = await self._connector.connect(url)
        try:
            head = f"{method} {path} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nConnection: close\r\n"
            if body:
                head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            writer.write(f"{head}\r\n".encode() + body)
            await writer.drain()
            answer = await read_head(reader)
            found = bytearray()
            async for part in iter_body(answer, reader):
                found += part
                if len(found) > _LONGEST_ANSWER:
                    raise OSError(f"the answer is longer than {_LONGEST_ANSWER} bytes")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
            raise OSError(f"not an HTTP answer: {error}") from error
        finally:
            writer.close()
        return answer.status, bytes(found)
