"""Which volumes the node uses, and whether they are attached to it: told to the attach/detach controller, awaited from it.

    kubelet: status.volumesInUse ──►  controller: VolumeAttachment, status.volumesAttached  ──►  kubelet: mounts

A volume is told to be in use before it is mounted and until it is unmounted, so that it is not detached meanwhile.

Source: pkg/kubelet/volumemanager/reconciler, pkg/volume/csi/csi_attacher.go v1.35.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from k3py.api.csi import attachment_name
from k3py.api.resource import VOLUME_ATTACHMENTS
from k3py.api.status import ApiError
from k3py.kubelet.volumes.interface import VolumeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from k3py.client.interface import Client
    from k3py.jsontypes import JsonObject
    from k3py.kubelet.csi.source import CsiSource

_WAIT_S: Final = 123.0


class Attachments:
    """Volumes that are in use on this node.

    Args:
        client: the API, as the node.
        node_name: of the node.
        node: returns the Node as the API has it.
        told: called when the volumes in use changed.
    """

    def __init__(
        self,
        client: Client,
        node_name: str,
        node: Callable[[], JsonObject | None],
        told: Callable[[], None],
    ) -> None:
        self._client = client
        self._node_name = node_name
        self._node = node
        self._told = told
        self._used: set[str] = set()
        self._changed = asyncio.Event()

    @property
    def in_use(self) -> Sequence[str]:
        """Return status.volumesInUse."""
        return sorted(self._used)

    def use(self, name: str) -> None:
        """Note that a volume is, or is about to be, mounted."""
        if name not in self._used:
            self._used.add(name)
            self._told()

    def release(self, name: str) -> None:
        """Note that a volume is unmounted everywhere."""
        if name in self._used:
            self._used.discard(name)
            self._told()

    def node_changed(self) -> None:
        """Look at the Node again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self, source: CsiSource) -> Mapping[str, str]:
        """Return what the attacher tells the driver (publish context) once a volume is attached.

        Raises:
            VolumeError: it was not for two minutes, or cannot be.
        """
        name = source.unique_name
        self.use(name)
        try:
            async with asyncio.timeout(_WAIT_S):
                while not self._is_attached(name):
                    await self._changed.wait()
        except TimeoutError:
            raise VolumeError(
                f"timed out waiting for volume {source.spec_name} to be attached to node {self._node_name}"
            ) from None
        attachment = attachment_name(source.driver, source.handle, self._node_name)
        try:
            found = await self._client.get(VOLUME_ATTACHMENTS, attachment)
        except ApiError as error:
            raise VolumeError(f"volume attachment {attachment} cannot be read: {error.message}") from error
        status = found.get("status") or {}
        if not status.get("attached"):
            told = (status.get("attachError") or {}).get("message") or "it is not attached"
            raise VolumeError(f"volume attachment {attachment}: {told}")
        context: Mapping[str, str] = status.get("attachmentMetadata") or {}
        return context

    def _is_attached(self, name: str) -> bool:
        status = (self._node() or {}).get("status") or {}
        attached = any(one["name"] == name for one in status.get("volumesAttached") or ())
        return attached and name in (status.get("volumesInUse") or ())
