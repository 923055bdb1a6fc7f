"""Volumes of CSI drivers on this node: staged once, published for each pod, and taken down in the reverse order.

    attached ──► NodeStage (first pod) ──► NodePublish (each pod) ──► files for the pod's group ──► NodeExpand where the volume grew
    NodeUnpublish (each pod) ──► NodeUnstage (last pod) ──► no longer in use ──► the controller detaches

What is about to be done is on disk first (`state`): whatever happens, it can be undone. Steps on one volume follow one another.

Source: pkg/volume/csi/{csi_attacher,csi_mounter,csi_block}.go, pkg/kubelet/volumemanager v1.35.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from k3py.api.csi import unique_name
from k3py.errors import K3pyError
from k3py.kubelet.csi.driver import EXPAND, MOUNT_GROUP, STAGE, STATS
from k3py.kubelet.csi.expansion import grown_bytes, tell_grown
from k3py.kubelet.csi.ownership import give_to_group, is_owned_by_group
from k3py.kubelet.csi.publishing import publish_context_of, secrets_of
from k3py.kubelet.csi.requests import publish_request, stage_request, volume_capability
from k3py.kubelet.recording import NORMAL
from k3py.kubelet.volumes.interface import GrowthFailed, VolumeError
from k3py.runtime.errors import RuntimeFailure
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from k3py.client.interface import Client
    from k3py.jsontypes import JsonObject
    from k3py.kubelet.csi.attachments import Attachments
    from k3py.kubelet.csi.driver import CsiDriver
    from k3py.kubelet.csi.drivers import CsiDrivers
    from k3py.kubelet.csi.source import CsiSource
    from k3py.kubelet.csi.state import CsiState, Published, Staged, VolumeKey
    from k3py.kubelet.recording import Recorder
    from k3py.kubelet.volumes.interface import VolumeContext

log = logging.getLogger(__name__)

_REPUBLISH_S: Final = 60.0


class DriverMissing(K3pyError):
    """A driver that is needed to take a volume down is not there now."""


class CsiVolumes:
    """See the module.

    Args:
        state: what lies on disk.
        drivers: the node's drivers.
        attachments: what is in use and attached.
        client: the API, as the node.
        recorder: tells of volumes that grew.
    """

    def __init__(
        self,
        state: CsiState,
        drivers: CsiDrivers,
        attachments: Attachments,
        client: Client,
        recorder: Recorder,
    ) -> None:
        self._state = state
        self._drivers = drivers
        self._attachments = attachments
        self._client = client
        self._recorder = recorder
        self._published: dict[tuple[str, str], Published] = {}
        self._staged: dict[VolumeKey, Staged] = {}
        self._locks: dict[VolumeKey, asyncio.Lock] = {}
        self._waiting: dict[VolumeKey, int] = {}
        self._republish_s: dict[str, float] = {}
        self._wanted: dict[VolumeKey, set[str]] = {}  # by pods that are here, brought or not
        self._done: set[tuple[str, str]] = set()  # published since this kubelet began

    async def load(self) -> None:
        """Read what a kubelet before left; before any pod is looked at."""
        published, staged = await asyncio.to_thread(self._state.load)
        self._published = {(one.uid, one.spec_name): one for one in published}
        self._staged = {one.key: one for one in staged}
        for one in published:
            if not one.is_inline:
                self._attachments.use(unique_name(one.driver, one.handle))
        for staged_one in staged:
            self._attachments.use(unique_name(staged_one.driver, staged_one.handle))

    def pods(self) -> set[str]:
        """Return uids of pods that volumes are published for."""
        return {uid for uid, _ in self._published}

    def republish_at_s(self, uid: str) -> float | None:
        """Return when a pod's volumes have to be published again (seconds since the epoch): their drivers want it."""
        return self._republish_s.get(uid)

    # --- setting up ---------------------------------------------------------------------------------------------------

    async def set_up(self, source: CsiSource, context: VolumeContext) -> Path:
        """Bring a volume to a pod and return its folder, or its device.

        Raises:
            VolumeError: it cannot be brought now.
        """
        driver = self._drivers.find(source.driver)
        if driver is None:
            raise VolumeError(f"driver name {source.driver} not found in the list of registered CSI drivers")
        uid = context.pod["metadata"]["uid"]
        about = await context.objects.csi_driver(source.driver)
        if not source.is_inline:
            self._wanted.setdefault((source.driver, source.handle), set()).add(uid)
        try:
            async with self._lock((source.driver, source.handle)):
                return await self._bring(source, context, driver, about, uid)
        except RuntimeFailure as error:
            code = f"rpc error: code = {error.code} desc = " if error.code else ""
            raise VolumeError(f"{code}{error}") from error

    async def _bring(
        self,
        source: CsiSource,
        context: VolumeContext,
        driver: CsiDriver,
        about: JsonObject | None,
        uid: str,
    ) -> Path:
        spec = (about or {}).get("spec") or {}
        if source.is_inline and "Ephemeral" not in (spec.get("volumeLifecycleModes") or ("Persistent",)):
            raise VolumeError(
                f'volume mode "Ephemeral" not supported by driver {source.driver} (no CSIDriver object, or it lacks this mode)'
            )
        again = (uid, source.spec_name) in self._done
        if again and not spec.get("requiresRepublish"):
            await self._expand(source, driver, context)
            return self._state.paths.target(uid, source)
        attaches = spec.get("attachRequired", True) and not source.is_inline
        publish_context: Mapping[str, str] = {}
        if attaches:
            publish_context = await self._attachments.wait(source)
        capabilities = await driver.capabilities()
        capability = volume_capability(source, capabilities, fs_group=context.fs_group)
        staging = None
        if STAGE in capabilities and not source.is_inline:
            staging = await self._stage(source, driver, capability, publish_context)
        published = await asyncio.to_thread(self._state.note_published, uid, source)
        self._published[uid, source.spec_name] = published
        if source.is_block:  # has a file beside it, staged or not
            self._staged.setdefault(published.key, self._state.staged(source))
        more, secrets = await publish_context_of(source, spec, context, self._client)
        request = publish_request(
            source,
            published.target,
            capability,
            staging=staging,
            publish_context=publish_context,
            secrets=secrets,
            context=more,
        )
        await driver.call("NodePublishVolume", request)
        if not again:
            await self._own(source, context, about, capabilities, published.target)
        await self._expand(source, driver, context)
        self._done.add((uid, source.spec_name))
        if spec.get("requiresRepublish"):
            self._republish_s[uid] = clock.wall_s() + _REPUBLISH_S
        return published.target

    async def _stage(
        self,
        source: CsiSource,
        driver: CsiDriver,
        capability: JsonObject,
        publish_context: Mapping[str, str],
    ) -> Path:
        staged = await asyncio.to_thread(self._state.note_staged, source)
        self._staged[staged.key] = staged
        secrets = await secrets_of(source.csi.get("nodeStageSecretRef"), self._client)
        request = stage_request(
            source, staged.path, capability, publish_context=publish_context, secrets=secrets
        )
        await driver.call("NodeStageVolume", request)
        return staged.path

    async def _own(
        self,
        source: CsiSource,
        context: VolumeContext,
        about: JsonObject | None,
        capabilities: frozenset[str],
        target: Path,
    ) -> None:
        group = context.fs_group
        if group is None or source.is_block or MOUNT_GROUP in capabilities:
            return
        if is_owned_by_group(source, about):
            security = context.pod["spec"].get("securityContext") or {}
            gentle = security.get("fsGroupChangePolicy") == "OnRootMismatch"
            await asyncio.to_thread(give_to_group, target, group, unless_root_matches=gentle)

    async def _expand(self, source: CsiSource, driver: CsiDriver, context: VolumeContext) -> None:
        """Let the driver grow the file system where the volume is larger than what the claim says is there."""
        size_bytes = grown_bytes(source)
        if size_bytes is None or source.claim is None or source.volume is None:
            return
        capabilities = await driver.capabilities()
        if EXPAND not in capabilities:
            return
        staged = self._staged.get((source.driver, source.handle))
        published = next((one for one in self._published.values() if one.handle == source.handle), None)
        if published is None:
            return
        request = {
            "volume_id": source.handle,
            "volume_path": str(staged.path if staged is not None else published.target),
            "capacity_range": {"required_bytes": size_bytes},
            "staging_target_path": "" if staged is None else str(staged.path),
            "volume_capability": volume_capability(source, capabilities),
            "secrets": await secrets_of(source.csi.get("nodeExpandSecretRef"), self._client),
        }
        try:
            await driver.call("NodeExpandVolume", request)
        except RuntimeFailure as error:
            raise GrowthFailed(
                f"NodeExpandVolume failed for volume {source.spec_name!r}: rpc error: code = {error.code} desc = {error}"
            ) from error
        await tell_grown(self._client, source.volume, source.claim)
        message = f'NodeExpandVolume succeeded for volume "{source.spec_name}"'
        for one in (context.pod, source.claim):
            self._recorder.event(one, NORMAL, "FileSystemResizeSuccessful", message)

    # --- taking down --------------------------------------------------------------------------------------------------

    async def take_down(self, uid: str) -> None:
        """Take a pod's volumes away, and what no pod of the node uses any more.

        Raises:
            DriverMissing: the driver is not there.
            RuntimeFailure: the driver cannot.
            OSError: something is left where the volume was.
        """
        for key in [one for one in self._published if one[0] == uid]:
            published = self._published[key]
            async with self._lock(published.key):
                if key in self._published:
                    await self._take_away(key, published)
        # What was begun for the pod and got no further: in use, attached, staged.
        for volume in [one for one, uids in self._wanted.items() if uid in uids]:
            async with self._lock(volume):
                self._wanted.get(volume, set()).discard(uid)
                if self._is_unused(volume):
                    await self._unstage(volume)
                    self._wanted.pop(volume, None)
        self._republish_s.pop(uid, None)

    def _is_unused(self, key: VolumeKey) -> bool:
        return not self._wanted.get(key) and all(one.key != key for one in self._published.values())

    async def _take_away(self, key: tuple[str, str], published: Published) -> None:
        driver = self._need(published.driver)
        request = {"volume_id": published.handle, "target_path": str(published.target)}
        await driver.call("NodeUnpublishVolume", request)
        await asyncio.to_thread(self._state.forget_published, published)
        del self._published[key]
        self._done.discard(key)
        others = self._wanted.get(published.key, set()) - {published.uid}
        if not others and all(one.key != published.key for one in self._published.values()):
            await self._unstage(published.key)

    async def _unstage(self, key: VolumeKey) -> None:
        staged = self._staged.get(key)
        if staged is not None:
            driver = self._need(staged.driver)
            # A device that is not staged has a file about it, too: it needs no call.
            if STAGE in await driver.capabilities():
                request = {"volume_id": staged.handle, "staging_target_path": str(staged.path)}
                await driver.call("NodeUnstageVolume", request)
            await asyncio.to_thread(self._state.forget_staged, staged)
            del self._staged[key]
        self._attachments.release(unique_name(*key))

    async def clean(self, known: frozenset[str]) -> None:
        """Take down what pods left that are on this node no more, as far as their drivers are here."""
        for uid in self.pods() - known:
            try:
                await self.take_down(uid)
            except (K3pyError, OSError) as error:
                log.warning("volumes of a pod that is gone stay", extra={"pod": uid, "error": str(error)})
        used = {one.key for one in self._published.values()}
        for key in [one for one in self._staged if one not in used]:
            async with self._lock(key):
                try:
                    if key in self._staged and self._is_unused(key):
                        await self._unstage(key)
                except (K3pyError, OSError) as error:
                    log.warning("volume stays staged", extra={"volume": key[1], "error": str(error)})

    # --- looking ------------------------------------------------------------------------------------------------------

    async def stats(self, uid: str, spec_name: str) -> Mapping[str, JsonObject] | None:
        """Return a volume's usage by unit (BYTES, INODES), None when its driver tells none. Raises RuntimeFailure."""
        published = self._published.get((uid, spec_name))
        driver = None if published is None else self._drivers.find(published.driver)
        if published is None or driver is None or STATS not in await driver.capabilities():
            return None
        staged = self._staged.get(published.key)
        answer = await driver.call(
            "NodeGetVolumeStats",
            {
                "volume_id": published.handle,
                "volume_path": str(published.target),
                "staging_target_path": "" if staged is None else str(staged.path),
            },
        )
        return {one["unit"]: one for one in answer["usage"]}

    def _need(self, name: str) -> CsiDriver:
        driver = self._drivers.find(name)
        if driver is None:
            raise DriverMissing(f"driver name {name} not found in the list of registered CSI drivers")
        return driver

    @asynccontextmanager
    async def _lock(self, key: VolumeKey) -> AsyncIterator[None]:
        """One step on a volume at a time; a lock lives while somebody wants it."""
        lock = self._locks.setdefault(key, asyncio.Lock())
        self._waiting[key] = self._waiting.get(key, 0) + 1
        try:
            async with lock:
                yield
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key], self._locks[key]
