"""Reads bodies of requests and answers, up to a limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from k3py.errors import K3pyError

if TYPE_CHECKING:

    class Body(Protocol):
        """A body that comes in pieces; an empty one is the end."""

        async def readany(self) -> bytes:
            """Return what has come."""


class BodyTooLong(K3pyError):
    """The body is longer than anybody needs."""


async def read_bounded(body: Body, most_bytes: int) -> bytes:
    """Return the whole body. Raises BodyTooLong."""
    pieces: list[bytes] = []
    size = 0
    while piece := await body.readany():
        size += len(piece)
        if size > most_bytes:
            raise BodyTooLong(f"the body is longer than {most_bytes} bytes")
        pieces.append(piece)
    return b"".join(pieces)
