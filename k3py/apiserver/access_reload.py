"""Takes up changes of the AuthenticationConfiguration and the AuthorizationConfiguration while the server runs.

A file that cannot be used is told of, and what was read before stays in force. Node and RBAC go on with their indexes; webhooks and
issuers are made anew. Who is anonymous is read at the start only.

Source: kubernetes/pkg/kubeapiserver/{options/authentication.go,authorizer/reload.go} v1.35 (both files are looked at again when they change).
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from k3py.apiserver.access_settings import content_of, load_webhooks
from k3py.errors import K3pyError
from k3py.util import clock
from k3py.util.inotify import CLOSE_WRITE, CREATE, DELETE, MOVED, Inotify
from k3py.util.metrics import Counter, Gauge

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from k3py.apiserver.access_settings import AccessSettings
    from k3py.apiserver.authn.union import UnionAuthenticator
    from k3py.apiserver.authz.union import UnionAuthorizer
    from k3py.apiserver.interface import Authorizer
    from k3py.util.metrics import Registry

log = logging.getLogger(__name__)

QUIET_S: Final = 0.3
LONGEST_S: Final = 5.0
_CHANGES: Final = CLOSE_WRITE | CREATE | DELETE | MOVED


class AccessReload:
    """Follows the files that the settings name, if any; see the module.

    Args:
        access: what was read at the start.
        authenticators: those of JWTs, and those only.
        authorizers: those that are configured.
        built_in: "Node" and "RBAC".
        metrics: where reloads are counted.
    """

    def __init__(
        self,
        *,
        access: AccessSettings,
        authenticators: UnionAuthenticator,
        authorizers: UnionAuthorizer,
        built_in: Mapping[str, Authorizer],
        metrics: Registry,
    ) -> None:
        self._access = access
        self._authenticators = authenticators
        self._authorizers = authorizers
        self._built_in = built_in
        self._actions: dict[Path, tuple[str, Callable[[Path], Awaitable[None]]]] = {}
        if access.authentication_file is not None:
            self._actions[access.authentication_file] = ("authentication", self._reload_issuers)
        if access.authorization_file is not None:
            self._actions[access.authorization_file] = ("authorization", self._reload_authorizers)
        self._counters = {name: _figures(name) for name, _ in self._actions.values()}
        for figures in self._counters.values():
            metrics.add(*figures)

    async def run(self) -> None:
        """Follow the files until cancelled; returns at once if there are none."""
        if not self._actions:
            return
        folders = {folder for path in self._actions for folder in (path.parent, path.resolve().parent)}
        try:
            async with Inotify() as changes:
                for folder in folders:
                    changes.add(folder, _CHANGES)
                await self._follow(changes)
        except OSError as error:
            log.warning("changed configurations are read at the next start only", extra={"error": str(error)})

    async def _follow(self, changes: Inotify) -> None:
        known: dict[Path, bytes] = dict(self._access.contents)
        while True:
            now = await self._read()
            for path, (name, action) in self._actions.items():
                if now[path] != known[path]:
                    await self._take_up(path, name, action)
            known = now
            await changes.changed()
            await changes.settled(quiet_s=QUIET_S, longest_s=LONGEST_S)

    async def _read(self) -> dict[Path, bytes]:
        return await asyncio.to_thread(lambda: {path: content_of(path) for path in self._actions})

    async def _take_up(self, path: Path, name: str, action: Callable[[Path], Awaitable[None]]) -> None:
        try:
            await action(path)
        except K3pyError as error:
            log.warning(
                "cannot take up a changed configuration, the one before stays in force",
                extra={"file": str(path), "error": str(error)},
            )
            status = "failure"
        else:
            log.info("took up a changed configuration", extra={"file": str(path)})
            status = "success"
        total, last = self._counters[name]
        total.add(status)
        last.set(status, to=clock.wall_s())

    async def _reload_issuers(self, path: Path) -> None:
        from k3py.apiserver.authn.json_web_token.settings import load_authentication  # noqa: PLC0415 - has CEL

        read = await asyncio.to_thread(load_authentication, path)
        access = replace(self._access, issuers=read.issuers)
        self._authenticators.replace(access.make_issuers())
        self._access = access

    async def _reload_authorizers(self, path: Path) -> None:
        from k3py.apiserver.authz.configuration import load_authorization  # noqa: PLC0415 - has CEL

        entries = await asyncio.to_thread(load_authorization, path)
        webhooks = await asyncio.to_thread(load_webhooks, entries)
        access = replace(self._access, authorizers=entries, webhooks=webhooks)
        self._authorizers.replace(access.make_authorizers(self._built_in))
        self._access = access


def _figures(name: str) -> tuple[Counter, Gauge]:
    prefix = f"apiserver_{name}_config_controller_automatic_reload"
    return (
        Counter(f"{prefix}s_total", f"Reloads of the {name} configuration by their outcome.", ("status",)),
        Gauge(f"{prefix}_last_timestamp_seconds", "When one was last tried, by its outcome.", ("status",)),
    )
