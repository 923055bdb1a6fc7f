"""Keeps the cluster as the files of the manifests folder say (P-01 to P-08).

A file becomes an Addon and the objects in it are applied: all at each start, later those of a file that has changed. What a file no longer
names is deleted; when the file itself goes, its objects stay. `<file>.skip` takes a file out; a disabled name takes the file and its
objects away. Changes are told by inotify and taken up when the folder has been quiet for a moment, so that nobody applies half a file.

Each server applies its own folder, as K3s' servers do: applying is idempotent, and nothing is done again without a change.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from typing import TYPE_CHECKING, Final

from k3py.addons.definitions import ensure_definition, wait_served
from k3py.addons.manifests.addon import (
    ADDONS,
    GVKS,
    NAMESPACE,
    addon_definition,
    make_addon,
    read_gvks,
    write_gvks,
)
from k3py.addons.manifests.files import ManifestError, find_manifests, parse_objects, read_manifest
from k3py.addons.manifests.object_set import ApplyFailed, ObjectSets
from k3py.api.object import deep_copy
from k3py.api.status import ApiError
from k3py.util import inotify
from k3py.util.backoff import Backoff
from k3py.util.inotify import Inotify
from k3py.util.supervise import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from k3py.addons.manifests.files import ManifestFile
    from k3py.api.registry import KindRegistry
    from k3py.api.resource import Resource
    from k3py.client.events import EventRecorder
    from k3py.client.interface import Client
    from k3py.jsontypes import JsonObject

log = logging.getLogger(__name__)

_MASK: Final = (
    inotify.MODIFY
    | inotify.CLOSE_WRITE
    | inotify.MOVED
    | inotify.CREATE
    | inotify.DELETE
    | inotify.DELETE_SELF
)
_LONGEST_UNREST_S: Final = 10.0
_AWAITED_S: Final = 10.0


class ManifestDeployer:
    """See the module; a Component.

    Args:
        folder: the manifests folder; made if it is missing.
        client: who applies.
        kinds: what the API serves.
        recorder: tells what happened to Addons.
        disabled: names of files or of first folders that shall not be there.
        awaited: kinds that other parts of the server are about to define; files may hold objects of them.
        quiet_s: how long nothing must change before changes are taken up.
    """

    name = "manifests"
    policy = Policy.RESTART

    def __init__(
        self,
        folder: Path,
        client: Client,
        kinds: KindRegistry,
        recorder: EventRecorder,
        *,
        disabled: Collection[str] = (),
        awaited: Sequence[Resource] = (),
        quiet_s: float = 0.5,
    ) -> None:
        self._folder = folder
        self._client = client
        self._kinds = kinds
        self._recorder = recorder
        self._disabled = frozenset(disabled)
        self._awaited = awaited
        self._quiet_s = quiet_s
        self._sets = ObjectSets(client, kinds)
        self._settled: dict[Path, str] = {}  # checksum of what is applied, or is not worth another try
        self._failed: set[Path] = set()  # to be tried again
        self._uninstalled: set[str] = set()

    async def run(self, started: Callable[[], None]) -> None:
        """Follow the folder until cancelled."""
        self._settled.clear()
        await asyncio.to_thread(self._folder.mkdir, parents=True, exist_ok=True, mode=0o700)
        started()
        await ensure_definition(self._client, addon_definition())
        await wait_served(self._kinds, ADDONS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_AWAITED_S):
                await wait_served(self._kinds, *self._awaited)
        backoff = Backoff(first_s=2.0, cap_s=300.0, jitter=0.2)
        async with Inotify() as changes:

            def on_kinds() -> None:
                if self._failed:  # what was missing may be there now
                    changes.poke()

            end = self._kinds.subscribe(on_kinds)
            try:
                while True:
                    await self._pass(changes)
                    if not self._failed:
                        backoff.reset()
                    try:
                        async with asyncio.timeout(backoff.next_s() if self._failed else None):
                            await changes.changed()
                    except TimeoutError:
                        continue
                    await changes.settled(quiet_s=self._quiet_s, longest_s=_LONGEST_UNREST_S)
            finally:
                end()

    async def _pass(self, changes: Inotify) -> None:
        """Bring the cluster in line with the folder once."""
        try:
            changes.add(self._folder, _MASK)
            found = await asyncio.to_thread(find_manifests, self._folder)
            for folder in found.folders:
                changes.add(folder, _MASK)
            found = await asyncio.to_thread(find_manifests, self._folder)  # what came before it was watched
        except OSError as error:  # a folder that went away meanwhile tells so by itself
            log.warning("manifests folder cannot be read", extra={"error": str(error)})
            return
        self._failed.discard(self._folder)
        present = set()
        names: dict[str, Path] = {}
        for file in found.files:
            present.add(file.path)
            first = names.setdefault(file.name, file.path)
            if first != file.path:
                self._refuse_twin(file, first)
            elif file.name in self._disabled or file.folder in self._disabled:
                await self._take_away(file)
            elif not await asyncio.to_thread(_is_skipped, file):
                await self._deploy(file)
        for name in sorted(self._disabled - self._uninstalled):
            if await self._uninstall(name):
                self._uninstalled.add(name)
            else:
                self._failed.add(self._folder)
                present.add(self._folder)
        for path in [path for path in self._settled if path not in present]:
            del self._settled[path]
        self._failed &= present

    async def _deploy(self, file: ManifestFile) -> None:
        addon, checksum = make_addon(file.name), ""
        try:
            content = await asyncio.to_thread(read_manifest, file)
            checksum = hashlib.sha256(content).hexdigest()
            if self._settled.get(file.path) == checksum:
                return
            objects = await asyncio.to_thread(parse_objects, file, content)
            addon = await self._find_addon(file.name) or addon
            await self._apply(file, addon, checksum, objects)
        except ManifestError as error:
            self._refuse(file, addon, error.reason, str(error))
            if not checksum:  # it could not be read; any other fault stays until the file changes
                self._failed.add(file.path)
                return
        except (ApplyFailed, ApiError) as error:
            message = error.message if isinstance(error, ApiError) else str(error)
            if isinstance(error, ApiError) and error.code == 409:  # another server was faster: look again
                log.debug("manifest was applied elsewhere", extra={"file": str(file.path), "error": message})
            else:
                self._refuse(file, addon, "ApplyManifestFailed", message)
            self._failed.add(file.path)
            return
        self._settled[file.path] = checksum
        self._failed.discard(file.path)

    def _refuse_twin(self, file: ManifestFile, first: Path) -> None:
        """Tell, once, that another file has this Addon's name: applied in turns, each would take away what the other made."""
        if file.path not in self._settled:
            self._settled[file.path] = ""
            message = f"another file has the name {file.name!r}: {first}"
            self._refuse(file, make_addon(file.name), "ValidateManifestFailed", message)

    async def _apply(
        self, file: ManifestFile, addon: JsonObject, checksum: str, objects: list[JsonObject]
    ) -> None:
        is_new = addon.get("spec", {}).get("checksum") != checksum
        if is_new:
            self._tell(addon, "ApplyingManifest", f'Applying manifest at "{file.path}"')
        gvks = {(one["apiVersion"], one["kind"]) for one in objects}
        before = read_gvks(addon)
        # The kinds are noted before there are objects of them, so that nothing is forgotten if this is the last we do.
        addon = await self._note(addon, file, addon.get("spec", {}).get("checksum", ""), before | gvks)
        applied = await self._sets.apply(file.name, objects)
        await self._sets.prune(file.name, before | gvks, applied)
        addon = await self._note(addon, file, checksum, gvks)
        if is_new:
            log.info("manifest applied", extra={"file": str(file.path), "objects": len(objects)})
            self._tell(addon, "AppliedManifest", f'Applied manifest at "{file.path}"')

    async def _note(
        self, addon: JsonObject, file: ManifestFile, checksum: str, gvks: set[tuple[str, str]]
    ) -> JsonObject:
        """Write what the Addon is to say, if it does not; return it as it is."""
        wanted = deep_copy(addon)
        wanted["spec"] = {"source": str(file.path), "checksum": checksum}
        wanted["metadata"].setdefault("annotations", {})[GVKS] = write_gvks(gvks)
        if "uid" not in wanted["metadata"]:
            return await self._client.create(ADDONS, wanted, namespace=NAMESPACE)
        return addon if wanted == addon else await self._client.update(ADDONS, wanted)

    async def _take_away(self, file: ManifestFile) -> None:
        """Uninstall what a disabled file made, then delete the file."""
        if await self._uninstall(file.name):
            await asyncio.to_thread(file.path.unlink, missing_ok=True)
            log.info("disabled manifest removed", extra={"file": str(file.path)})
        else:
            self._failed.add(file.path)

    async def _uninstall(self, name: str) -> bool:
        """Delete an Addon with all that it made; False: it will be tried again."""
        addon = None
        try:
            addon = await self._find_addon(name)
            if addon is not None:
                self._tell(
                    addon, "DeletingManifest", f'Deleting manifest at "{addon["spec"].get("source", "")}"'
                )
                await self._sets.prune(name, read_gvks(addon), set())
                await self._client.delete(ADDONS, name, namespace=NAMESPACE)
        except (ApiError, ApplyFailed) as error:
            log.warning("disabled add-on cannot be removed", extra={"addon": name, "error": str(error)})
            return False
        return True

    async def _find_addon(self, name: str) -> JsonObject | None:
        try:
            return await self._client.get(ADDONS, name, namespace=NAMESPACE)
        except ApiError as error:
            if error.code != 404:
                raise
            return None

    def _refuse(self, file: ManifestFile, addon: JsonObject, reason: str, message: str) -> None:
        log.warning("manifest cannot be applied", extra={"file": str(file.path), "error": message})
        self._recorder.event(addon, "Warning", reason, f'"{file.path}": {message}')

    def _tell(self, addon: JsonObject, reason: str, message: str) -> None:
        self._recorder.event(addon, "Normal", reason, message)


def _is_skipped(file: ManifestFile) -> bool:
    return file.skipped
