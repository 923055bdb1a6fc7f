"""Which volume suits a claim: pure. Source: kubernetes/pkg/controller/volume/persistentvolume/index.go v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.quantity import parse_quantity
from k3py.api.selectors import selector_from_object

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal

    from k3py.jsontypes import JsonObject

_CLASS_ANNOTATION: Final = "volume.beta.kubernetes.io/storage-class"


def class_of(obj: JsonObject) -> str:
    """Return the class of a claim or volume, "" = none."""
    annotations = obj["metadata"].get("annotations") or {}
    return str(annotations.get(_CLASS_ANNOTATION) or obj["spec"].get("storageClassName") or "")


def is_for(volume: JsonObject, claim: JsonObject) -> bool:
    """Say whether the volume's claimRef names the claim."""
    reference = volume["spec"].get("claimRef")
    metadata = claim["metadata"]
    if not reference:
        return False
    named = (reference.get("name"), reference.get("namespace")) == (metadata["name"], metadata["namespace"])
    return bool(named and (not reference.get("uid") or reference["uid"] == metadata["uid"]))


def _size(volume: JsonObject) -> Decimal:
    return parse_quantity((volume["spec"].get("capacity") or {}).get("storage", "0"))


def find_mismatch(volume: JsonObject, claim: JsonObject) -> str:
    """Return why the volume cannot serve the claim, "" when it can."""
    spec = claim["spec"]
    wanted = ((spec.get("resources") or {}).get("requests") or {}).get("storage", "0")
    if _size(volume) < parse_quantity(wanted):
        return "requested PV is too small"
    if class_of(volume) != class_of(claim):
        return "storageClassName does not match"
    if volume["spec"].get("volumeMode", "Filesystem") != spec.get("volumeMode", "Filesystem"):
        return "incompatible volumeMode"
    if not set(spec.get("accessModes") or ()) <= set(volume["spec"].get("accessModes") or ()):
        return "incompatible accessMode"
    return ""


def find_volume(claim: JsonObject, volumes: Iterable[JsonObject], *, delayed: bool) -> JsonObject | None:
    """Return the volume that is kept for the claim, else the smallest free one that suits it.

    delayed: only the scheduler may choose, so free ones do not count.
    """
    free = []
    text = claim["spec"].get("selector")
    selector = selector_from_object(text) if text else None
    for volume in volumes:
        if "deletionTimestamp" in volume["metadata"] or find_mismatch(volume, claim):
            continue
        if is_for(volume, claim):
            return volume
        if volume["spec"].get("claimRef") or (volume.get("status") or {}).get("phase") != "Available":
            continue
        if selector is None or selector.matches(volume["metadata"].get("labels") or {}):
            free.append(volume)
    if delayed:
        return None
    return min(
        free,
        key=lambda one: (len(one["spec"].get("accessModes") or ()), _size(one), one["metadata"]["name"]),
        default=None,
    )
