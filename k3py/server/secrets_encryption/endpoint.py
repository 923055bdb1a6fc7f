"""GET /v1-k3py/encrypt/status and PUT /v1-k3py/encrypt/config, for those who hold the server's token (J-33)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson
from aiohttp import web

from k3py.errors import K3pyError
from k3py.server.secrets_encryption.key_ring import RotationRefused
from k3py.util.body import BodyTooLong, read_bounded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from k3py.server.secrets_encryption.rotation import SecretsEncryption

_MOST_BODY_BYTES: Final = 4096
_OWN: Final = (
    "encryption at rest goes by the file of --kube-apiserver-arg=encryption-provider-config; change that"
)


def encryption_paths(
    encryption: SecretsEncryption | None,
) -> dict[str, Callable[[web.BaseRequest], Awaitable[web.Response]]]:
    """Return the handlers by path below /v1-k3py/; None = the operator brought an own configuration."""

    async def status(request: web.BaseRequest) -> web.Response:
        if request.method != "GET":
            return _text(405, f"{request.method}: must be GET")
        if encryption is None:
            return _text(400, _OWN)
        return web.Response(body=orjson.dumps(encryption.status()), content_type="application/json")

    async def change(request: web.BaseRequest) -> web.Response:
        if request.method != "PUT":
            return _text(405, f"{request.method}: must be PUT")
        if encryption is None:
            return _text(400, _OWN)
        try:
            body = orjson.loads(await read_bounded(request.content, _MOST_BODY_BYTES))
        except BodyTooLong as error:
            return _text(413, str(error))
        except orjson.JSONDecodeError:
            body = None
        if not isinstance(body, dict):
            return _text(400, "body: must be a JSON object")
        try:
            await encryption.change(body)
        except RotationRefused as error:
            return _text(400, str(error))
        except OSError as error:
            return _text(500, f"the keys cannot be written: {error.strerror}; nothing has changed")
        except K3pyError as error:
            return _text(503, f"{error}; nothing has changed")
        return web.Response(body=orjson.dumps(encryption.status()), content_type="application/json")

    return {"encrypt/status": status, "encrypt/config": change}


def _text(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text + "\n")
