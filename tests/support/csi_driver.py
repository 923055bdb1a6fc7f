"""A small CSI driver: a volume is a folder below the driver's own, staged and published by bind mounts (or, in unit tests, by links).

As a program it serves one node until it is ended:
    python -m tests.support.csi_driver --name d.example.com --node n1 --folder /var/lib/volumes --kubelet /var/lib/kubelet
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import subprocess
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.plugin_server import refusal, registration, serve_plugin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from k3py.jsontypes import JsonObject
    from k3py.kubelet.plugins.server import Answer

ALL = ("STAGE_UNSTAGE_VOLUME", "GET_VOLUME_STATS", "EXPAND_VOLUME")
NODE = "/csi.v1.Node/"


class CsiDriverServer:
    """The driver's node part; `calls` are (method, request) in order, `fail` the gRPC statuses that next calls of a method get."""

    def __init__(
        self,
        name: str,
        node_id: str,
        folder: Path,
        *,
        capabilities: Sequence[str] = ALL,
        topology: dict[str, str] | None = None,
        mounts: bool = True,
    ) -> None:
        self.name = name
        self.calls: list[tuple[str, JsonObject]] = []
        self.fail: dict[str, list[str]] = {}
        self.told: list[JsonObject] = []
        self._node_id = node_id
        self._folder = folder
        self._capabilities = capabilities
        self._topology = topology or {}
        self._mounts = mounts

    def of(self, method: str) -> list[JsonObject]:
        """Return the requests of a method."""
        return [request for one, request in self.calls if one == method]

    @asynccontextmanager
    async def running(self, kubelet: Path) -> AsyncIterator[None]:
        """Serve, and make itself known to the kubelet whose folder this is."""
        own = kubelet / "plugins" / self.name / "csi.sock"
        methods = ["NodeGetInfo", "NodeGetCapabilities", "NodeStageVolume", "NodeUnstageVolume", "NodePublishVolume"]
        methods += ["NodeUnpublishVolume", "NodeExpandVolume", "NodeGetVolumeStats"]
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(serve_plugin(own, {NODE + one: self._answer(one) for one in methods}))
            answers = registration("CSIPlugin", self.name, own, ["1.0.0"], self.told)
            await stack.enter_async_context(serve_plugin(kubelet / "plugins_registry" / f"{self.name}-reg.sock", answers))
            yield

    def _answer(self, method: str) -> Answer:
        async def answer(request: JsonObject) -> JsonObject:
            self.calls.append((method, request))
            if self.fail.get(method):
                raise refusal(self.fail[method].pop(0), f"{method} is told to fail")
            return getattr(self, f"_{method}")(request) or {}

        return answer

    def _NodeGetInfo(self, _: JsonObject) -> JsonObject:
        return {"node_id": self._node_id, "max_volumes_per_node": 7, "accessible_topology": {"segments": self._topology}}

    def _NodeGetCapabilities(self, _: JsonObject) -> JsonObject:
        return {"capabilities": [{"rpc": {"type": one}} for one in self._capabilities]}

    def _NodeStageVolume(self, request: JsonObject) -> None:
        content = self._folder / request["volume_id"]
        content.mkdir(parents=True, exist_ok=True)
        self._mount(content, Path(request["staging_target_path"]))

    def _NodePublishVolume(self, request: JsonObject) -> None:
        content = self._folder / request["volume_id"]
        content.mkdir(parents=True, exist_ok=True)
        target = Path(request["target_path"])
        if "block" in request["volume_capability"]:
            target.touch()
            return
        self._mount(Path(request["staging_target_path"] or content), target)

    def _NodeUnpublishVolume(self, request: JsonObject) -> None:
        self._unmount(Path(request["target_path"]))

    def _NodeUnstageVolume(self, request: JsonObject) -> None:
        self._unmount(Path(request["staging_target_path"]))

    def _NodeExpandVolume(self, request: JsonObject) -> JsonObject:
        return {"capacity_bytes": request["capacity_range"]["required_bytes"]}

    def _NodeGetVolumeStats(self, request: JsonObject) -> JsonObject:
        if not Path(request["volume_path"]).exists():
            raise refusal("NOT_FOUND", "no such volume")
        return {"usage": [{"unit": "BYTES", "total": 1000, "used": 400, "available": 600}, {"unit": "INODES", "total": 10, "used": 4, "available": 6}]}

    def _mount(self, content: Path, target: Path) -> None:
        if not self._mounts:
            target.mkdir(exist_ok=True)
            (target / "volume").write_text(str(content))
            return
        target.mkdir(exist_ok=True)
        if not _is_mount(target):
            subprocess.run(["mount", "--bind", content, target], check=True)

    def _unmount(self, target: Path) -> None:
        if not target.exists():
            return
        if not self._mounts:
            (target / "volume").unlink(missing_ok=True) if target.is_dir() else target.unlink()
            return
        if _is_mount(target):
            subprocess.run(["umount", target], check=True)
        target.rmdir()


def _is_mount(path: Path) -> bool:
    """Say whether something is mounted at a path, folders of the same file system too."""
    return any(line.split(" ", 2)[1] == str(path) for line in Path("/proc/self/mounts").read_text().splitlines())


async def _serve(arguments: argparse.Namespace) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    driver = CsiDriverServer(arguments.name, arguments.node, arguments.folder, topology={"example.com/node": arguments.node})
    async with driver.running(arguments.kubelet):
        await ended.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--node", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--kubelet", type=Path, default=Path("/var/lib/kubelet"))
    asyncio.run(_serve(parser.parse_args()))
