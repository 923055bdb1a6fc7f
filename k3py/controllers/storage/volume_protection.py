"""Keeps volumes that are bound to a claim from vanishing.

Source: kubernetes/pkg/controller/volume/pvprotection v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.resource import PERSISTENT_VOLUMES
from k3py.controllers.interface import Watch
from k3py.controllers.storage.protection import plan_finalizers, write_finalizers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject

FINALIZER: Final = "kubernetes.io/pv-protection"


class VolumeProtectionController:
    """See the module."""

    name = "persistentvolume-protection-controller"
    workers = 1

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        volumes = context.informers.informer(PERSISTENT_VOLUMES)
        self._volumes = volumes.lister
        self.watches = (Watch(volumes, self._keys_of_volume),)

    def _keys_of_volume(self, _: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        return (new["metadata"]["name"],) if new is not None else ()

    async def reconcile(self, key: str) -> float | None:
        """Add or remove the finalizer of one volume."""
        volume = self._volumes.find("", key)
        if volume is not None:
            in_use = (volume.get("status") or {}).get("phase") == "Bound"
            finalizers = plan_finalizers(volume, FINALIZER, in_use=in_use)
            await write_finalizers(self._client, PERSISTENT_VOLUMES, volume, finalizers)
        return None


def build(context: ControllerContext) -> VolumeProtectionController:
    """Make the controller."""
    return VolumeProtectionController(context)
