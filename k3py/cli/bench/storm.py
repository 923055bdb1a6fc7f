"""`bench storm`: many pods at once, and one after another; timed by a watch of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from k3py.api.resource import PODS
from k3py.cli.bench.figure import Figure
from k3py.cli.bench.namespace import find_image, wait_for_account
from k3py.errors import K3pyError
from k3py.util import clock
from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from k3py.cli.bench.namespace import Workspace
    from k3py.jsontypes import JsonObject

_LIMIT_S = 600.0


async def measure_storm(options: argparse.Namespace, space: Workspace) -> list[Figure]:
    """Create pods of an image that is on the nodes, and wait until all run."""
    image = options.image or await find_image(space.client)
    await wait_for_account(space)
    watcher = PodWatcher(space)
    async with TaskScope() as scope:
        _ = scope.spawn(watcher.run(), name="pods")
        try:
            await watcher.begun.wait()
            alone = [await _start(space, watcher, image, [f"one-{n}"]) for n in range(options.one_by_one)]
            together = await _start(space, watcher, image, [f"many-{n}" for n in range(options.pods)])
        except TimeoutError:
            missing = sorted(watcher.missing)
            raise K3pyError(f"pods did not run within {_LIMIT_S:.0f} s: {', '.join(missing[:5])}") from None
        finally:
            scope.cancel()
    figures = []
    if alone:
        ordered = sorted(alone)
        last = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
        figures.append(
            Figure(
                "pod start, one after another",
                ordered[len(ordered) // 2],
                "s",
                f"p50; p95 {last:.2f} s, n={len(alone)}, image {image}",
            )
        )
    return [
        *figures,
        Figure(f"{options.pods} pods at once, all running after", together, "s", f"image {image}"),
    ]


async def _start(space: Workspace, watcher: PodWatcher, image: str, names: Sequence[str]) -> float:
    """Create pods at once; return the seconds until all of them run."""
    began = clock.monotonic_s()
    watcher.missing |= set(names)
    async with asyncio.TaskGroup() as group:
        for name in names:
            _ = group.create_task(space.client.create(PODS, _pod(name, image), namespace=space.name))
    async with asyncio.timeout(_LIMIT_S):
        await watcher.wait(names)
    return max(watcher.running[name] for name in names) - began


def _pod(name: str, image: str) -> JsonObject:
    container = {
        "name": "c",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "resources": {"requests": {"cpu": "1m"}},
    }
    spec = {
        "containers": [container],
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
    }
    return {"metadata": {"name": name}, "spec": spec}


class PodWatcher:
    """Knows when each pod of the namespace was first seen running."""

    def __init__(self, space: Workspace) -> None:
        self._space = space
        self._changed = asyncio.Event()
        self.begun = asyncio.Event()
        self.running: dict[str, float] = {}
        self.missing: set[str] = set()

    async def run(self) -> None:
        """Follow the pods until cancelled."""
        version = (await self._space.client.list(PODS, namespace=self._space.name)).resource_version
        while True:
            async with self._space.client.watch(
                PODS, namespace=self._space.name, resource_version=version
            ) as events:
                self.begun.set()
                async for event in events:
                    version = event.object["metadata"]["resourceVersion"]
                    self._note(event.object)

    def _note(self, pod: JsonObject) -> None:
        name = pod["metadata"].get("name", "")
        states = [one.get("state") or {} for one in (pod.get("status") or {}).get("containerStatuses") or ()]
        if name not in self.running and any("running" in one for one in states):
            self.running[name] = clock.monotonic_s()
            self.missing.discard(name)
            self._changed.set()

    async def wait(self, names: Sequence[str]) -> None:
        """Return when all of them run."""
        while not self.running.keys() >= set(names):
            self._changed.clear()
            await self._changed.wait()
