"""A small device plugin: `count` devices of one resource, each a file that is mounted; as a program it serves until it is ended.

    python -m tests.support.device_plugin --resource example.com/toy --count 2 --folder /opt/toys
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from k3py.kubelet.plugins.channel import open_plugin
from k3py.kubelet.plugins.server import serve_socket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from k3py.jsontypes import JsonObject

SERVICE = "/v1beta1.DevicePlugin/"


async def _serve(resource: str, count: int, folder: Path, kubelet: Path) -> None:
    async def list_and_watch(_: JsonObject) -> AsyncIterator[JsonObject]:
        yield {"devices": [{"ID": f"toy-{one}", "health": "Healthy"} for one in range(count)]}
        await asyncio.Event().wait()

    async def allocate(request: JsonObject) -> JsonObject:
        (one,) = request["container_requests"]
        names = one["devices_ids"]
        mounts = [{"container_path": f"/toys/{name}", "host_path": str(folder / name), "read_only": True} for name in names]
        devices = [{"container_path": "/dev/toy", "host_path": "/dev/null", "permissions": "rw"}]
        return {"container_responses": [{"envs": {"TOYS": ",".join(names)}, "mounts": mounts, "devices": devices}]}

    async def get_options(_: JsonObject) -> JsonObject:
        return {}

    folder.mkdir(parents=True, exist_ok=True)
    for one in range(count):
        (folder / f"toy-{one}").write_text(f"toy {one}\n")
    answers = {SERVICE + "Allocate": allocate, SERVICE + "GetDevicePluginOptions": get_options}
    async with serve_socket(kubelet / "toy.sock", answers, {SERVICE + "ListAndWatch": list_and_watch}):
        request = {"version": "v1beta1", "endpoint": "toy.sock", "resource_name": resource}
        with open_plugin(kubelet / "kubelet.sock") as channel:
            await channel.call("/v1beta1.Registration/Register", request, timeout_s=30)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--resource", required=True)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--kubelet", type=Path, default=Path("/var/lib/kubelet/device-plugins"))
    arguments = parser.parse_args()
    asyncio.run(_serve(arguments.resource, arguments.count, arguments.folder, arguments.kubelet))
