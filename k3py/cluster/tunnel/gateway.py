"""The server's end of all tunnels: takes them in from nodes, and finds the one that leads to a node."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from aiohttp import web

from k3py.api.status import ApiError
from k3py.cluster.tunnel.session import TunnelSession
from k3py.wire.tunnel import LARGEST_FRAME_BYTES, TunnelError

if TYPE_CHECKING:
    from k3py.api.user import User

_LOG: Final = logging.getLogger(__name__)
NODE_PREFIX: Final = "system:node:"
NODE_GROUP: Final = "system:nodes"
MOST_OF_A_NODE: Final = 4
SILENCE_S: Final = 150.0  # agents send a ping a minute
_CLOSE_S: Final = 2.0


class TunnelGateway:
    """Holds the sessions by node."""

    def __init__(self) -> None:
        self._sessions: dict[str, list[TunnelSession]] = {}

    def count(self) -> int:
        """Return how many tunnels there are."""
        return sum(len(one) for one in self._sessions.values())

    def find(self, node_name: str) -> TunnelSession | None:
        """Return the newest tunnel to a node, None = there is none."""
        sessions = self._sessions.get(node_name)
        return sessions[-1] if sessions else None

    async def serve(self, request: web.BaseRequest, user: User) -> web.StreamResponse:
        """Turn a node's request into its tunnel and carry it until it ends.

        Raises:
            ApiError: 403 not a node, 400 not a WebSocket, 429 the node has too many.
        """
        node_name = user.name.removeprefix(NODE_PREFIX)
        if NODE_GROUP not in user.groups or node_name == user.name:
            raise ApiError(403, "Forbidden", "forbidden: only nodes may open tunnels")
        if request.headers.get("Upgrade", "").lower() != "websocket":
            raise ApiError(400, "BadRequest", "Upgrade request required")
        sessions = self._sessions.setdefault(node_name, [])
        if len(sessions) >= MOST_OF_A_NODE:
            raise ApiError(429, "TooManyRequests", "the node has too many tunnels", retry_after_s=5)
        websocket = web.WebSocketResponse(
            compress=False, max_msg_size=LARGEST_FRAME_BYTES, receive_timeout=SILENCE_S, timeout=_CLOSE_S
        )
        session = TunnelSession(websocket)
        try:
            await websocket.prepare(request)
            sessions.append(session)
            await session.run()
        except (TunnelError, TimeoutError) as error:
            _LOG.warning("a tunnel ended", extra={"node": node_name, "why": str(error) or "it was silent"})
        finally:
            if session in sessions:
                sessions.remove(session)
            if not sessions and self._sessions.get(node_name) is sessions:
                del self._sessions[node_name]
        return websocket
