"""A small HTTPS server on loopback that answers as a test says: an OpenID issuer, a webhook."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from k3py.jsontypes import JsonObject, JsonValue


@dataclass
class Answers:
    """url: where it is. requests: (path, body, headers) in order. answer(path, body): status and document; may be replaced."""

    answer: Callable[[str, JsonValue], tuple[int, JsonValue]]
    url: str = ""
    requests: list[tuple[str, JsonValue, dict[str, str]]] = field(default_factory=list)


@asynccontextmanager
async def run_answers(
    folder: Path, answer: Callable[[str, JsonValue], tuple[int, JsonValue]]
) -> AsyncIterator[Answers]:
    """Serve with server.crt and server.key of `folder` (tests.support.throwaway_pki) until the block is left."""
    answers = Answers(answer)

    async def handle(request: web.BaseRequest) -> web.Response:
        raw = await request.read()
        body: JsonValue = orjson.loads(raw) if raw else None
        answers.requests.append((request.path, body, dict(request.headers)))
        status, document = answers.answer(request.path, body)
        return web.Response(
            status=status, body=orjson.dumps(document), headers={"Content-Type": "application/json"}
        )

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    server = web.Server(handle)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0, ssl=context)
    answers.url = f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield answers
    finally:
        listener.close()
        await server.shutdown(1)


def write_webhook_kubeconfig(folder: Path, url: str, **user: JsonObject | str) -> Path:
    """Write a kubeconfig of a webhook; return the file."""
    cluster = {"server": url, "certificate-authority": str(folder / "ca.crt")}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "w", "cluster": cluster}],
        "users": [{"name": "w", "user": user}],
        "contexts": [{"name": "w", "context": {"cluster": "w", "user": "w"}}],
        "current-context": "w",
    }
    file = folder / "webhook.kubeconfig"
    file.write_bytes(orjson.dumps(document))
    return file
