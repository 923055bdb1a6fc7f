"""PUT /v1-k3py/token: another token for the servers and agents of the cluster, for who holds the present one (J-09, J-35).

What servers share is sealed by the new password in one step of the datastore. The new token lies in `server/token.next` before that, so that a server that is
killed in between finds out at its next start which of the two counts.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import TYPE_CHECKING, Final

import orjson
from aiohttp import web

from k3py.cluster.bootstrap_data.sealing import key_for
from k3py.cluster.bootstrap_data.sharing import find_keys
from k3py.cluster.token import parse_token, read_password, write_server_token
from k3py.errors import ConfigError, K3pyError
from k3py.util.body import BodyTooLong, read_bounded
from k3py.util.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from k3py.cluster.supervisor import Supervisor
    from k3py.datastore.interface import Backend
    from k3py.server.identity import ServerIdentity
    from k3py.server.shared_identity import SharedIdentity

log = logging.getLogger(__name__)

_NEXT: Final = "token.next"
_MOST_BODY_BYTES: Final = 4096
_SHORTEST: Final = 8


class TokenRotation:
    """Rotates the token of this server; `supervisor` is told of it once it is there.

    Args:
        folder: <data-dir>/server.
        identity: has the authority that tokens pin.
        shared: what is sealed by the token.
    """

    def __init__(self, folder: Path, identity: ServerIdentity, shared: SharedIdentity) -> None:
        self._folder = folder
        self._identity = identity
        self._shared = shared
        self._changing = asyncio.Lock()
        self.supervisor: Supervisor | None = None

    def paths(self) -> Mapping[str, Callable[[web.BaseRequest], Awaitable[web.Response]]]:
        """Return the handler by its path below /v1-k3py/."""
        return {"token": self._handle}

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        if request.method != "PUT":
            return _text(405, f"{request.method}: must be PUT")
        try:
            body = orjson.loads(await read_bounded(request.content, _MOST_BODY_BYTES))
            password = parse_token(body["newToken"]).password if body.get("newToken") else ""
        except BodyTooLong as error:
            return _text(413, str(error))
        except ConfigError as error:
            return _text(400, f"newToken: {str(error).partition(': ')[2]}")
        except (orjson.JSONDecodeError, AttributeError, TypeError):
            return _text(400, "body: must be a JSON object with newToken, a text")
        if password and len(password) < _SHORTEST:
            return _text(400, f"newToken: must have at least {_SHORTEST} characters")
        try:
            token = await self.rotate(password or secrets.token_hex(16))
        except K3pyError as error:
            return _text(503, f"{error}; the token is what it was")
        except OSError as error:
            return _text(500, f"{error.filename}: {error.strerror}; the token is what it was")
        return web.Response(body=orjson.dumps({"token": token}), content_type="application/json")

    async def rotate(self, password: str) -> str:
        """Make `password` that of the token; return the token.

        Raises:
            K3pyError, OSError: nothing has changed, but that a file may lie about that says what was meant.
        """
        async with self._changing:
            if secrets.compare_digest(password.encode(), self._shared.password.encode()):
                raise K3pyError("newToken: must differ from the present one")
            await asyncio.to_thread(
                write_atomically, self._folder / _NEXT, f"server:{password}".encode(), mode=0o600
            )
            await self._shared.move(password)
            token = await asyncio.to_thread(
                write_server_token, self._folder, self._identity.root_ca.encode(), password
            )
            (self._folder / _NEXT).unlink(missing_ok=True)
            if self.supervisor is not None:
                self.supervisor.use_token(token)
        log.info("the token was rotated: restart other servers and agents with the new one")
        return token


async def finish_rotation(backend: Backend, folder: Path, ca_pem: Callable[[], bytes]) -> None:
    """After a kill: take the new token if what servers share is sealed by it, else forget it.

    Raises:
        K3pyError: a file cannot be read or written.
        Unavailable: the datastore does not answer.
    """
    file = folder / _NEXT
    if not file.exists():
        return
    password = file.read_text(encoding="utf-8").partition(":")[2]
    keys = await find_keys(backend)
    if password and key_for(password) in keys and await asyncio.to_thread(read_password, folder) != password:
        await asyncio.to_thread(write_server_token, folder, await asyncio.to_thread(ca_pem), password)
        log.info("finished a rotation of the token that was cut short")
    file.unlink(missing_ok=True)


def _text(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text + "\n")
