"""Requests of this server's own to extension API servers: checks, discovery, documents, and what controllers ask for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson

from k3py.apiserver.aggregation.dialer import remote_headers
from k3py.apiserver.handlers.forwarding import iter_body, read_head

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.api.user import User
    from k3py.apiserver.aggregation.api_services import Registration
    from k3py.apiserver.aggregation.dialer import ExtensionDialer
    from k3py.jsontypes import JsonValue

_LONGEST_ANSWER: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtensionAnswer:
    """An answer; `document` is None where the body is not JSON. etag: as the server sent it, "" = none."""

    url: str
    status: int
    document: JsonValue
    body: bytes
    etag: str = ""


class ExtensionClient:
    """Sends requests as a user, each over a connection of its own: they are few."""

    def __init__(self, dialer: ExtensionDialer) -> None:
        self._dialer = dialer

    async def get(
        self,
        registration: Registration,
        path: str,
        *,
        user: User,
        accept: str = "application/json",
        etag: str = "",
    ) -> ExtensionAnswer:
        """Send a GET; `etag`: what is known already, answered by 304. See `send`."""
        headers = [("Accept", accept), *((("If-None-Match", etag),) if etag else ())]
        return await self.send(registration, "GET", path, user=user, headers=headers)

    async def send(
        self,
        registration: Registration,
        method: str,
        path: str,
        *,
        user: User,
        headers: Iterable[tuple[str, str]],
        body: bytes = b"",
    ) -> ExtensionAnswer:
        """Send a request and read its answer; `path` with query, percent-encoded.

        Raises:
            Unavailable: the Service leads nowhere.
            OSError: the server cannot be reached, or what it answers is not HTTP.
            TimeoutError: it does not take the connection.
        """
        reader, writer, where = await self._dialer.connect(registration)
        try:
            lines = [f"{method} {path} HTTP/1.1", f"Host: {where}", "Connection: close"]
            lines += [f"{name}: {value}" for name, value in (*remote_headers(user), *headers)]
            if body or method != "GET":
                lines.append(f"Content-Length: {len(body)}")
            writer.write("\r\n".join((*lines, "\r\n")).encode() + body)
            await writer.drain()
            head = await read_head(reader)
            parts: list[bytes] = []
            size = 0
            async for part in iter_body(head, reader):
                parts.append(part)
                size += len(part)
                if size > _LONGEST_ANSWER:
                    raise OSError(f"the answer is longer than {_LONGEST_ANSWER} bytes")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
            raise OSError(f"not an HTTP answer: {error}") from error
        finally:
            writer.close()
        text = b"".join(parts)
        return ExtensionAnswer(
            url=f"https://{where}{path}",
            status=head.status,
            document=_parse(text),
            body=text,
            etag=head.get("etag"),
        )


def _parse(text: bytes) -> JsonValue:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
