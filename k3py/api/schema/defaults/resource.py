"""Conditional defaults of resource.k8s.io/v1. Source: k8s.io/kubernetes/pkg/apis/resource/v1/defaults.go v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject

_EXACT: Final = "ExactCount"


def _default_request(obj: JsonObject) -> None:
    mode = obj.setdefault("allocationMode", _EXACT)
    if mode == _EXACT:
        obj.setdefault("count", 1)


HOOKS: Final = {
    "ExactDeviceRequest": _default_request,
    "DeviceSubRequest": _default_request,
}
