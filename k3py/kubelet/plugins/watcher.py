"""Follows the folder of plugins' sockets: who appears is asked what it is, taken by the kind's handler, and told the outcome.

    <root>/plugins_registry/**/X.sock  ──GetInfo──►  type, name, endpoint  ──handler.register──►  NotifyRegistrationStatus

A socket that was replaced (the plugin began anew) is let go and asked again. A socket that does not answer is asked again after a
growing pause as long as it is there.

Source: pkg/kubelet/pluginmanager v1.35; staging/src/k8s.io/kubelet/pkg/apis/pluginregistration/v1/api.proto.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from k3py.errors import K3pyError
from k3py.kubelet.plugins.interface import PluginRefused
from k3py.runtime.errors import RuntimeFailure
from k3py.util.backoff import Backoff
from k3py.util.inotify import CREATE, DELETE, MOVED, Inotify
from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from k3py.jsontypes import JsonObject
    from k3py.kubelet.plugins.interface import PluginHandler

log = logging.getLogger(__name__)

_SERVICE: Final = "/pluginregistration.Registration/"
_CALL_S: Final = 10.0
_RETRY_S: Final = 0.5
_LONGEST_RETRY_S: Final = 60.0

Sockets = dict[Path, tuple[int, int]]


class PluginWatcher:
    """Keeps the plugins of a folder registered.

    Args:
        folder: where plugins put their sockets.
        handlers: one a kind.
    """

    def __init__(self, folder: Path, handlers: Sequence[PluginHandler]) -> None:
        self._folder = folder
        self._handlers: Mapping[str, PluginHandler] = {one.kind: one for one in handlers}
        self._known: Sockets = {}
        self._tasks: dict[Path, asyncio.Task[None]] = {}
        self._registered: dict[Path, tuple[PluginHandler, str]] = {}

    async def run(self) -> None:
        """Follow the folder until cancelled."""
        async with Inotify() as watch, TaskScope() as scope:
            while True:
                self._apply(await asyncio.to_thread(_scan, self._folder, watch), scope)
                await watch.changed()

    def _apply(self, found: Sockets, scope: TaskScope) -> None:
        for path in [one for one, identity in self._known.items() if found.get(one) != identity]:
            del self._known[path]
            if path not in found:
                self._follow(path, scope, is_there=False)
        for path, identity in found.items():
            if path not in self._known:
                self._known[path] = identity
                self._follow(path, scope, is_there=True)

    def _follow(self, path: Path, scope: TaskScope, *, is_there: bool) -> None:
        """Let go of what was at a path, then take what is there now; one after the other."""
        before = self._tasks.pop(path, None)
        if before is not None:
            before.cancel()
        task = scope.spawn(self._replace(path, before, is_there=is_there), name=f"plugin-{path.name}")
        self._tasks[path] = task

    async def _replace(self, path: Path, before: asyncio.Task[None] | None, *, is_there: bool) -> None:
        if before is not None:
            await asyncio.wait((before,))
        await self._let_go(path)
        if is_there:
            await self._take(path)
        elif self._tasks.get(path) is asyncio.current_task():
            del self._tasks[path]

    async def _let_go(self, path: Path) -> None:
        held = self._registered.pop(path, None)
        # Somebody else may have taken the name meanwhile: a plugin that moved to another socket.
        if held is not None and held not in self._registered.values():
            try:
                await held[0].deregister(held[1])
            except K3pyError as error:
                log.warning("plugin cannot be let go", extra={"plugin": held[1], "error": str(error)})

    async def _take(self, path: Path) -> None:
        backoff = Backoff(first_s=_RETRY_S, cap_s=_LONGEST_RETRY_S, jitter=0.2)
        told = ""
        while True:
            try:
                await self._handshake(path)
            except (PluginRefused, RuntimeFailure, OSError) as error:
                if str(error) != told:
                    log.warning(
                        "plugin cannot be registered", extra={"socket": str(path), "error": str(error)}
                    )
                    told = str(error)
            else:
                return
            await asyncio.sleep(backoff.next_s())

    async def _handshake(self, path: Path) -> None:
        from k3py.kubelet.plugins.channel import open_plugin  # noqa: PLC0415 - gRPC tables are for nodes that have plugins

        with open_plugin(path) as channel:
            info: JsonObject = await channel.call(_SERVICE + "GetInfo", {}, timeout_s=_CALL_S)
            try:
                await self._register(path, info)
            except PluginRefused as error:
                refusal = {"plugin_registered": False, "error": str(error)}
                await channel.call(_SERVICE + "NotifyRegistrationStatus", refusal, timeout_s=_CALL_S)
                raise
            await channel.call(
                _SERVICE + "NotifyRegistrationStatus", {"plugin_registered": True}, timeout_s=_CALL_S
            )
        log.info("plugin registered", extra={"kind": info["type"], "plugin": info["name"]})

    async def _register(self, path: Path, info: JsonObject) -> None:
        handler = self._handlers.get(info["type"])
        if handler is None:
            kinds = ", ".join(sorted(self._handlers))
            raise PluginRefused(
                f"no handler registered for plugin type: {info['type']} (known are {kinds}) at socket {path}"
            )
        await handler.register(info["name"], Path(info["endpoint"] or path), info["supported_versions"])
        self._registered[path] = (handler, info["name"])


def _scan(folder: Path, watch: Inotify) -> Sockets:
    """Return the sockets below a folder by what makes each unique, and watch every folder there. Blocking."""
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    found: Sockets = {}
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        try:
            # Watched before it is read: nothing that comes in between is missed.
            watch.add(place, CREATE | MOVED | DELETE)
            entries = list(os.scandir(place))
        except FileNotFoundError:
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                waiting.append(Path(entry.path))
                continue
            try:
                state = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISSOCK(state.st_mode):
                found[Path(entry.path)] = (state.st_ino, state.st_ctime_ns)
    return found
