"""A server joins others: gets what they share from one of them, if its settings agree with theirs (J-75, C-60, C-61)."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, cast

import orjson
from aiohttp import web

from k3py.cluster.bootstrap_data.document import BadBootstrapData, decode, encode
from k3py.cluster.bootstrap_data.files import SharedFiles
from k3py.cluster.server_client import NotReachable, ServerAddress, fetch
from k3py.cluster.token import hash_ca, is_pinned_by, parse_token
from k3py.config.critical import critical_arguments, find_mismatch
from k3py.errors import ConfigError
from k3py.util.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from k3py.cluster.bootstrap_data.document import SharedFile
    from k3py.config.server import ServerConfig
    from k3py.jsontypes import JsonValue
    from k3py.server.shared_identity import SharedIdentity

log = logging.getLogger(__name__)

_NEEDED: Final = ("ServerCA", "ServerCAKey", "ClientCA", "ClientCAKey", "ServiceKey")
_FIRST_S: Final = 0.5
_CAP_S: Final = 10.0


async def join_servers(config: ServerConfig) -> None:
    """With --server: fetch the shared files, unless this data dir has them from an earlier start; waits for a server that does not answer.

    Raises:
        ConfigError: --token is another cluster's, or a critical argument differs; names it.
        BadBootstrapData: what the server sent cannot be used; nothing was written.
        K3pyError: the server refuses.
    """
    files = SharedFiles(config.data_dir / "server")
    if not config.server or "ServerCA" in await asyncio.to_thread(files.read):
        return
    if not parse_token(config.token).ca_hash:
        log.warning("--token: has no CA hash: whoever answers is believed", extra={"server": config.server})
    fetched = await _fetch_patiently(config)
    await asyncio.to_thread(files.write, fetched)
    log.info("joined a server", extra={"server": config.server})


async def _fetch_patiently(config: ServerConfig) -> dict[str, SharedFile]:
    pauses = Backoff(first_s=_FIRST_S, cap_s=_CAP_S)
    while True:
        try:
            return await asyncio.to_thread(fetch_shared, config)
        except NotReachable as error:
            pause_s = pauses.next_s()
            log.warning(
                "waiting for the server", extra={"error": str(error), "next_attempt_s": round(pause_s, 1)}
            )
        await asyncio.sleep(pause_s)


def fetch_shared(config: ServerConfig) -> dict[str, SharedFile]:
    """Ask the server for its settings and the shared files, and check both. Blocking. Raises as `join_servers`, and NotReachable."""
    address = ServerAddress(config.server, config.token)
    theirs = cast("JsonValue", orjson.loads(fetch(address, "GET", "/v1-k3py/critical-arguments")))
    if isinstance(theirs, dict) and (
        fault := find_mismatch(
            critical_arguments(config, parse_token(config.token).password), theirs, config.server
        )
    ):
        raise ConfigError(fault)
    files = decode(fetch(address, "GET", "/v1-k3py/server-bootstrap"))
    missing = [name for name in _NEEDED if name not in files or not files[name].content]
    if missing:
        raise BadBootstrapData(f"{config.server}: bootstrap data: {', '.join(missing)}: must be there")
    pinned, authority = parse_token(config.token).ca_hash, files["ServerCA"].content
    if pinned and not is_pinned_by(authority, pinned):
        raise BadBootstrapData(
            f"{config.server}: bootstrap data: ServerCA has the hash {hash_ca(authority)}, --token pins another"
        )
    return files


def bootstrap_paths(
    config: ServerConfig, shared: SharedIdentity
) -> Mapping[str, Callable[[web.BaseRequest], Awaitable[web.Response]]]:
    """Return what gives servers that join the shared files (J-32) and the arguments to agree on; for those only who hold the server's token."""

    async def give(request: web.BaseRequest) -> web.Response:
        if request.method != "GET":
            return web.Response(status=405, text=f"{request.method}: must be GET\n")
        if not config.shares_datastore:
            return web.Response(
                status=400, text="this server has a datastore of its own: no server can join it\n"
            )
        document = encode(await asyncio.to_thread(shared.files.read))
        return web.Response(body=document, content_type="application/json")

    arguments = orjson.dumps(critical_arguments(config, shared.password))

    async def tell_arguments(request: web.BaseRequest) -> web.Response:
        if request.method != "GET":
            return web.Response(status=405, text=f"{request.method}: must be GET\n")
        return web.Response(body=arguments, content_type="application/json")

    return {"server-bootstrap": give, "critical-arguments": tell_arguments}
