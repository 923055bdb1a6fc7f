"""Keeps classes of volume attributes that claims or volumes use from vanishing.

Source: kubernetes/pkg/controller/volume/vacprotection v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.resource import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, VOLUME_ATTRIBUTES_CLASSES
from k3py.controllers.interface import Watch
from k3py.controllers.storage.protection import plan_finalizers, write_finalizers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject

FINALIZER: Final = "kubernetes.io/vac-protection"
CLASS_INDEX: Final = "attributes-class"


def classes_of(obj: JsonObject) -> Sequence[str]:
    """Return the classes that a claim (wanted, current, being changed to) or a volume uses; also the function of CLASS_INDEX."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    names = (
        spec.get("volumeAttributesClassName"),
        status.get("currentVolumeAttributesClassName"),
        (status.get("modifyVolumeStatus") or {}).get("targetVolumeAttributesClassName"),
    )
    return sorted({name for name in names if name})


class AttributesClassProtectionController:
    """See the module."""

    name = "volumeattributesclass-protection-controller"
    workers = 1

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        classes = context.informers.informer(VOLUME_ATTRIBUTES_CLASSES)
        users = [context.informers.informer(one) for one in (PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES)]
        for one in users:
            one.add_index(CLASS_INDEX, classes_of)
        self._classes = classes.lister
        self._users = [one.lister for one in users]
        self.watches = (
            Watch(classes, self._keys_of_class),
            *(Watch(one, self._keys_of_user) for one in users),
        )

    def _keys_of_class(self, _: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        return (new["metadata"]["name"],) if new is not None else ()

    def _keys_of_user(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        """Only a user that goes, or takes another class, can set a class free."""
        if old is None:
            return ()
        return set(classes_of(old)) - set(classes_of(new) if new is not None else ())

    async def reconcile(self, key: str) -> float | None:
        """Add or remove the finalizer of one class."""
        found = self._classes.find("", key)
        if found is not None:
            in_use = any(users.by_index(CLASS_INDEX, key) for users in self._users)
            finalizers = plan_finalizers(found, FINALIZER, in_use=in_use)
            await write_finalizers(self._client, VOLUME_ATTRIBUTES_CLASSES, found, finalizers)
        return None


def build(context: ControllerContext) -> AttributesClassProtectionController:
    """Make the controller."""
    return AttributesClassProtectionController(context)
