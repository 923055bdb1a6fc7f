"""Fields of resource.k8s.io/v1 that belong to features which are off, and are dropped from what clients write.

Off are taints and tolerations of devices, consumable capacity, partitionable devices, binding conditions and extended resources.
Source: kubernetes/pkg/registry/resource/*/strategy.go and pkg/features v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.jsontypes import JsonObject, JsonValue

_OF_DEVICES: Final = (
    "consumesCounters",
    "nodeName",
    "nodeSelector",
    "allNodes",
    "taints",
    "bindsToNode",
    "bindingConditions",
    "bindingFailureConditions",
    "allowMultipleAllocations",
)
_OF_RESULTS: Final = (
    "tolerations",
    "bindingConditions",
    "bindingFailureConditions",
    "shareID",
    "consumedCapacity",
)


def drop_gated_class_fields(obj: JsonObject) -> None:
    """Change a DeviceClass in place."""
    (obj.get("spec") or {}).pop("extendedResourceName", None)


def drop_gated_claim_fields(spec: JsonObject) -> None:
    """Change the spec of a ResourceClaim in place."""
    devices = spec.get("devices") or {}
    for request in devices.get("requests") or ():
        for one in (request.get("exactly") or {}, *(request.get("firstAvailable") or ())):
            _drop(one, ("tolerations", "capacity"))
    for constraint in devices.get("constraints") or ():
        constraint.pop("distinctAttribute", None)


def drop_gated_status_fields(status: JsonObject) -> None:
    """Change the status of a ResourceClaim in place."""
    allocation = status.get("allocation") or {}
    allocation.pop("allocationTimestamp", None)
    for result in (allocation.get("devices") or {}).get("results") or ():
        _drop(result, _OF_RESULTS)
    for device in status.get("devices") or ():
        device.pop("shareID", None)


def drop_gated_slice_fields(obj: JsonObject) -> None:
    """Change a ResourceSlice in place."""
    spec = obj.get("spec") or {}
    _drop(spec, ("perDeviceNodeSelection", "sharedCounters"))
    for device in spec.get("devices") or ():
        _drop(device, _OF_DEVICES)
        for capacity in (device.get("capacity") or {}).values():
            capacity.pop("requestPolicy", None)


def _drop(part: JsonValue, names: Iterable[str]) -> None:
    for name in names:
        part.pop(name, None)
