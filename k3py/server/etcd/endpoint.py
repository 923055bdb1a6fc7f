"""`/db/info`: the members of the managed etcd (J-36); a POST also says that its sender is about to join."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aiohttp import web

from k3py.datastore.errors import DatastoreError
from k3py.server.etcd.layout import INFO_PATH, EtcdLayout

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from k3py.config.server import ServerConfig

_LIMIT_S: Final = 2.0


def member_paths(
    config: ServerConfig,
) -> Mapping[str, Callable[[web.BaseRequest], Awaitable[web.Response]]]:
    """Return what lists the members, and makes ready for one more; for those only who hold the server's token."""
    layout = EtcdLayout(data_dir=config.data_dir)

    async def give(request: web.BaseRequest) -> web.Response:
        if request.method not in ("GET", "POST"):
            return web.Response(status=405, text=f"{request.method}: must be GET or POST\n")
        if not config.runs_etcd:
            text = "this server has no managed etcd: start its cluster with --cluster-init, or give the joining server its --datastore-endpoint\n"
            return web.Response(status=400, text=text)
        from k3py.server.etcd.membership import open_membership  # noqa: PLC0415 - only for who has an etcd
        from k3py.server.etcd.process import expect_others  # noqa: PLC0415 - the same

        if request.method == "POST" and await asyncio.to_thread(expect_others, layout):
            return web.Response(status=503, text="the etcd is made ready for further members: ask again\n")
        try:
            async with asyncio.timeout(_LIMIT_S), open_membership(layout) as membership:
                members = await membership.members()
        except (DatastoreError, TimeoutError):
            return web.Response(status=503, text="most members of the etcd do not answer\n")
        return web.json_response({"members": [one.document() for one in members]})

    return {INFO_PATH: give}
