"""Reads what the runtime has of one pod, and remembers what cannot change any more."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from k3py.kubelet.labels import POD_UID
from k3py.kubelet.runtime_state import (
    ContainerRecord,
    PodRecord,
    SandboxRecord,
    record_container,
    record_pod,
    record_sandbox,
)
from k3py.kubelet.termination import read_message
from k3py.runtime.errors import RuntimeFailure, RuntimeNotFound

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject
    from k3py.runtime.interface import RuntimeService


class PodReader:
    """Reads one pod; an ended container and a ready sandbox's addresses are asked for once.

    Attributes:
        messages: termination messages by container id.
    """

    def __init__(self, runtime: RuntimeService, uid: str) -> None:
        self._runtime = runtime
        self._labels = {POD_UID: uid}
        self._ended: dict[str, ContainerRecord] = {}
        self._sandboxes: dict[str, SandboxRecord] = {}
        self.messages: dict[str, str] = {}

    async def read(self) -> PodRecord:
        """Return what the runtime has now. Raises the runtime's conditions."""
        try:
            return await self._read()
        except BaseExceptionGroup as failures:
            # Several calls failed side by side: for the same reason, or the first says enough.
            first = failures.exceptions[0]
            if isinstance(first, RuntimeFailure):
                raise first from failures
            raise

    async def _read(self) -> PodRecord:
        async with asyncio.TaskGroup() as group:
            listing = group.create_task(self._runtime.list_pod_sandboxes(labels=self._labels))
            containers = group.create_task(self._runtime.list_containers(labels=self._labels))
        async with asyncio.TaskGroup() as group:
            sandboxes = [group.create_task(self._sandbox(one)) for one in listing.result()]
            found = [group.create_task(self._container(one)) for one in containers.result()]
        records = [record for task in found if (record := task.result()) is not None]
        self._forget({one.id for one in records}, {one.result().id for one in sandboxes})
        return record_pod((task.result() for task in sandboxes), records)

    async def _sandbox(self, listed: JsonObject) -> SandboxRecord:
        record = record_sandbox(listed)
        known = self._sandboxes.get(record.id)
        if known is not None and known.ready == record.ready:
            return known
        try:
            record = record_sandbox(await self._runtime.pod_sandbox_status(record.id))
        except RuntimeNotFound:
            return record_sandbox(listed | {"state": "SANDBOX_NOTREADY"})
        self._sandboxes[record.id] = record
        return record

    async def _container(self, listed: JsonObject) -> ContainerRecord | None:
        identity = listed["id"]
        known = self._ended.get(identity)
        if known is not None:
            return known
        try:
            record = record_container(listed, await self._runtime.container_status(identity))
        except RuntimeNotFound:
            return None
        if record.state == "exited":
            self._ended[identity] = record
            if message := await asyncio.to_thread(read_message, record):
                self.messages[identity] = message
        return record

    def _forget(self, containers: set[str], sandboxes: set[str]) -> None:
        self._ended = {key: one for key, one in self._ended.items() if key in containers}
        self.messages = {key: one for key, one in self.messages.items() if key in containers}
        self._sandboxes = {key: one for key, one in self._sandboxes.items() if key in sandboxes}
