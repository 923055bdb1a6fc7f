"""Pods fetch their images anew each time, so that nobody runs private ones that another user's pods have fetched; off by default.

Source: kubernetes/plugin/pkg/admission/alwayspullimages v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import not_supported
from k3py.apiserver.admission.plugins.base import BasePlugin, refuse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from k3py.apiserver.interface import AdmissionRequest
    from k3py.jsontypes import JsonObject

_SORTS: Final = ("initContainers", "containers", "ephemeralContainers")
_ALWAYS: Final = "Always"


class AlwaysPullImages(BasePlugin):
    """See the module."""

    name = "AlwaysPullImages"

    def handles(self, request: AdmissionRequest) -> bool:
        """See writes of pods, unless they bring no new image."""
        kind = request.kind
        if (kind.group, kind.plural) != ("", "pods") or request.subresource not in (
            "",
            "ephemeralcontainers",
        ):
            return False
        if request.operation == "UPDATE":
            return not _images_of(request.obj) <= _images_of(request.old)
        return request.operation == "CREATE"

    async def admit(self, request: AdmissionRequest) -> None:
        """Set the policy of all containers and volumes."""
        for _, one, key in _iter_policies(request.obj):
            one[key] = _ALWAYS

    async def validate(self, request: AdmissionRequest) -> None:
        """Refuse with 403 what others have changed since."""
        faults = [
            str(not_supported(f"{path}.{key}", one.get(key, ""), (_ALWAYS,)))
            for path, one, key in _iter_policies(request.obj)
            if one.get(key) != _ALWAYS
        ]
        if faults:
            raise refuse(request, faults[0] if len(faults) == 1 else f"[{', '.join(faults)}]")


def _images_of(pod: JsonObject | None) -> set[str]:
    spec = (pod or {}).get("spec") or {}
    images = {one.get("image", "") for sort in _SORTS for one in spec.get(sort) or ()}
    return images | {
        one["image"].get("reference", "") for one in spec.get("volumes") or () if one.get("image")
    }


def _iter_policies(pod: JsonObject | None) -> Iterator[tuple[str, JsonObject, str]]:
    """Yield (path, object, key) of all that has a policy."""
    spec = (pod or {}).get("spec") or {}
    for sort in _SORTS:
        for index, one in enumerate(spec.get(sort) or ()):
            yield f"spec.{sort}[{index}]", one, "imagePullPolicy"
    for index, one in enumerate(spec.get("volumes") or ()):
        if one.get("image"):
            yield f"spec.volumes[{index}].image", one["image"], "pullPolicy"
