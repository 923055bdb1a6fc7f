"""Conditional defaults of resource.k8s.io/v1. Source: k8s.io/kubernetes/pkg/apis/resource/v1/defaults.go v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.timestamps import format_time
from k3py.util import clock

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject

_EXACT: Final = "ExactCount"


def _default_request(obj: JsonObject) -> None:
    mode = obj.setdefault("allocationMode", _EXACT)
    if mode == _EXACT:
        obj.setdefault("count", 1)


def _default_taint(obj: JsonObject) -> None:
    if obj.get("timeAdded") is None:
        obj["timeAdded"] = format_time(clock.now())


HOOKS: Final = {
    "ExactDeviceRequest": _default_request,
    "DeviceSubRequest": _default_request,
    "DeviceTaint": _default_taint,
}
