"""Tells claims that shall grow who makes them grow: the driver's external resizer.

No volume plugin of ours grows volumes; what the controller does is to say so.

Source: kubernetes/pkg/controller/volume/expand/expand_controller.go v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.object import key_of, split_key
from k3py.api.quantity import parse_quantity
from k3py.api.resource import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from k3py.controllers.interface import Watch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject


def shall_grow(claim: JsonObject) -> bool:
    """Say whether more is asked for than is there."""
    wanted = ((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage")
    status = claim.get("status") or {}
    there = (status.get("capacity") or {}).get("storage")
    if status.get("phase") != "Bound" or wanted is None or there is None:
        return False
    return parse_quantity(wanted) > parse_quantity(there)


class VolumeExpander:
    """See the module."""

    name = "persistentvolume-expander-controller"
    workers = 1

    def __init__(self, context: ControllerContext) -> None:
        self._recorder = context.recorder
        claims = context.informers.informer(PERSISTENT_VOLUME_CLAIMS)
        volumes = context.informers.informer(PERSISTENT_VOLUMES)
        self._claims, self._volumes = claims.lister, volumes.lister
        self.watches = (Watch(claims, self._keys_of_claim), Watch(volumes, self._no_keys))

    def _keys_of_claim(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        if new is None or not shall_grow(new):
            return ()
        return (key_of(new),) if old is None or old["spec"] != new["spec"] else ()

    def _no_keys(self, _: JsonObject | None, __: JsonObject | None) -> Iterable[str]:
        return ()

    async def reconcile(self, key: str) -> float | None:
        """Say who makes one claim grow."""
        claim = self._claims.find(*split_key(key))
        if claim is None or not shall_grow(claim):
            return None
        volume = self._volumes.find("", claim["spec"].get("volumeName") or "")
        if volume is not None:
            message = "waiting for an external controller to expand this PVC"
            self._recorder.event(claim, "Normal", "ExternalExpanding", message)
        return None


def build(context: ControllerContext) -> VolumeExpander:
    """Make the controller."""
    return VolumeExpander(context)
