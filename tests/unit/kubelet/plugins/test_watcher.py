"""Plugins are found by their sockets, asked what they are, and told how it went."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from k3py.kubelet.plugins.interface import PluginRefused
from k3py.kubelet.plugins.watcher import PluginWatcher
from k3py.util.supervise import TaskScope
from tests.support.plugin_server import registration, serve_plugin


class Handler:
    kind = "Toy"

    def __init__(self):
        self.known = []
        self.refuse = ""

    async def register(self, name, endpoint, versions):
        if self.refuse:
            raise PluginRefused(self.refuse)
        self.known.append(name)

    async def deregister(self, name):
        self.known.remove(name)


@asynccontextmanager
async def watching(folder, handler):
    async with TaskScope() as scope:
        _ = scope.spawn(PluginWatcher(folder, (handler,)).run(), name="watcher")
        yield
        scope.cancel()


def toy(folder, told, name="t", kind="Toy"):
    socket = folder / f"{name}.sock"
    return serve_plugin(socket, registration(kind, name, socket, ["1"], told))


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_plugin_that_is_there_already_one_that_comes_and_one_in_a_folder(short_path):
    handler, told = Handler(), []
    async with toy(short_path, told, "a"), watching(short_path, handler):
        await until(lambda: handler.known == ["a"])
        (short_path / "below").mkdir()
        async with toy(short_path, told, "b"), toy(short_path / "below", told, "c"):
            await until(lambda: sorted(handler.known) == ["a", "b", "c"])
            await until(lambda: told == [{"plugin_registered": True, "error": ""}] * 3)
        await until(lambda: handler.known == ["a"])


async def test_a_plugin_that_begins_again_is_taken_again(short_path):
    handler, told = Handler(), []
    async with watching(short_path, handler):
        for turn in (1, 2):
            async with toy(short_path, told):
                await until(lambda turn=turn: handler.known == ["t"] and len(told) == turn)


async def test_a_kind_that_nobody_handles_is_refused(short_path):
    handler, told = Handler(), []
    async with watching(short_path, handler), toy(short_path, told, kind="Ball"):
        await until(lambda: told)
        assert not told[0]["plugin_registered"]
        assert "no handler registered for plugin type: Ball" in told[0]["error"]


async def test_a_refused_plugin_hears_why_and_is_asked_again(short_path):
    handler, told = Handler(), []
    handler.refuse = "not today"
    async with watching(short_path, handler), toy(short_path, told):
        await until(lambda: told)
        assert told[0] == {"plugin_registered": False, "error": "not today"}
        handler.refuse = ""
        await until(lambda: handler.known == ["t"])
