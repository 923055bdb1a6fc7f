"""What the API server said last, on this machine's disk: what a node that boots without its server begins with.

One file for each list that somebody follows, replaced as a whole. It is read only when the server cannot be reached, and written only
when what matters has changed: neither revisions nor heartbeats do. How often is bounded by the size of what is written, so that a busy
cluster does not wear a node's flash.

    server answers ──► note ──► pause ──► same bytes on disk? ──no──► write
    server does not answer, nothing is known yet ──► recall
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import orjson

from k3py.util import clock
from k3py.util.files import write_atomically
from k3py.util.supervise import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from k3py.api.resource import Resource
    from k3py.jsontypes import JsonObject

log = logging.getLogger(__name__)

FIRST_PAUSE_S: Final = 1.0
_BYTES_PER_S: Final = 4096  # written in the long run, at most
_LARGEST_BYTES: Final = 32 * 1024 * 1024
_FORMAT: Final = 1
_NODE_STATUS: Final = ("addresses", "capacity", "allocatable", "nodeInfo")


class LastKnown:
    """The last known state, a Component that writes; reading works whether it runs or not.

    Args:
        folder: where the files are, made with mode 0700.
        begins_offline: the server was found away a moment ago: what is known is used at once, the server asked behind that.
    """

    def __init__(self, folder: Path, *, begins_offline: bool = False) -> None:
        self._folder = folder
        self.begins_offline = begins_offline
        self._changed: dict[str, Callable[[], Sequence[JsonObject]]] = {}
        self._recalled: set[str] = set()
        self._not_before_s: dict[str, float] = {}
        self._wake = asyncio.Event()

    @property
    def name(self) -> str:
        """Component's name."""
        return "last-known-state"

    @property
    def policy(self) -> Policy:
        """A disk that is full may have room again."""
        return Policy.RESTART

    @property
    def offline(self) -> bool:
        """Say whether something that is in use comes from here, because the server was not reached since the start."""
        return bool(self._recalled)

    async def recall(self, name: str) -> Sequence[JsonObject] | None:
        """Return the last known list, None when there is none; until `note`, this node is offline."""
        items = await self.read(name)
        if items is not None:
            log.warning("the server is not there, going on with what was known", extra={"list": name})
            self._recalled.add(name)
        return items

    async def read(self, name: str) -> Sequence[JsonObject] | None:
        """Return what a file holds, None when there is none that can be read."""
        return await asyncio.to_thread(self._read, name)

    def note(self, name: str, snapshot: Callable[[], Sequence[JsonObject]]) -> None:
        """Take in that the server told something: `snapshot` returns the list when it is written."""
        self._recalled.discard(name)
        self._changed[name] = snapshot
        self._wake.set()

    async def run(self, started: Callable[[], None]) -> None:
        """Write what changes until cancelled; what is still to be written then is written."""
        started()
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await asyncio.sleep(FIRST_PAUSE_S)
                now_s = clock.monotonic_s()
                due = [one for one in self._changed if self._not_before_s.get(one, 0.0) <= now_s]
                await self._write(due)
                if self._changed:
                    next_s = min(self._not_before_s.get(one, 0.0) for one in self._changed)
                    await self._sleep(next_s - clock.monotonic_s())
        finally:
            await self._write(tuple(self._changed))

    async def _sleep(self, seconds: float) -> None:
        """Wait for the next file that may be written, or for a change of another one."""
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._wake.wait()
        except TimeoutError:
            self._wake.set()

    async def _write(self, names: Iterable[str]) -> None:
        for name in names:
            snapshot = self._changed.pop(name)
            try:
                written = await asyncio.to_thread(self._write_one, name, snapshot())
            except OSError as error:
                log.warning("last known state cannot be kept", extra={"list": name, "error": str(error)})
                self._changed.setdefault(name, snapshot)
                written = 60 * _BYTES_PER_S
            self._not_before_s[name] = clock.monotonic_s() + written / _BYTES_PER_S

    def _write_one(self, name: str, items: Sequence[JsonObject]) -> int:
        """Write a list if it differs from what is there; return the number of bytes."""
        data = orjson.dumps({"format": _FORMAT, "items": sorted((essence(one) for one in items), key=_order)})
        file = self._file(name)
        if len(data) > _LARGEST_BYTES:
            # Half a list would say of the rest that it is gone.
            log.warning("too large to be kept for a start without the server", extra={"list": name})
            file.unlink(missing_ok=True)
            return 0
        if file.exists() and file.read_bytes() == data:
            return 0
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(file, data, mode=0o600)
        return len(data)

    def _read(self, name: str) -> Sequence[JsonObject] | None:
        file = self._file(name)
        try:
            document = orjson.loads(file.read_bytes())
            items: list[JsonObject] = document["items"]
            if document["format"] != _FORMAT:
                return None
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("last known state cannot be read", extra={"file": str(file), "error": str(error)})
            return None
        return items

    def _file(self, name: str) -> Path:
        return self._folder / f"{quote(name, safe='=')}.json"


def list_name(resource: Resource, namespace: str, field_selector: str) -> str:
    """Return the name of what one informer follows."""
    return "_".join(one for one in (resource.plural, resource.group, namespace, field_selector) if one)


def essence(obj: JsonObject) -> JsonObject:
    """Return a copy of an object without what changes all the time and is of no use to a node without its server."""
    metadata = obj.get("metadata")
    if metadata is None:
        return obj
    kept = {key: one for key, one in metadata.items() if key not in ("resourceVersion", "managedFields")}
    copy = {**obj, "metadata": kept}
    if obj.get("kind") == "Node":
        status = obj.get("status") or {}
        copy["status"] = {key: status[key] for key in _NODE_STATUS if key in status}
    return copy


def _order(obj: JsonObject) -> tuple[str, str, str]:
    metadata = obj.get("metadata") or obj
    return metadata.get("namespace", ""), metadata.get("name", ""), obj.get("resource", "")
