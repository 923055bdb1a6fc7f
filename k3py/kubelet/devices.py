"""Devices that a pod claims: drivers of devices cannot register yet, so such a pod waits and says why, rather than running without.

Source: kubernetes/pkg/kubelet/cm/dra v1.35 (the event is the one of a driver that is not registered).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.errors import K3pyError

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject


class DevicesMissing(K3pyError):
    """What a pod claims cannot be prepared; told as the Event FailedPrepareDynamicResources and tried again."""


def check_devices(pod: JsonObject) -> None:
    """Check that nothing is claimed. Raises DevicesMissing."""
    statuses = (pod.get("status") or {}).get("resourceClaimStatuses") or ()
    unneeded = {one["name"] for one in statuses if not one.get("resourceClaimName")}
    claimed = [
        one["name"]
        for one in pod["spec"].get("resourceClaims") or ()
        if one.get("resourceClaimName") or one["name"] not in unneeded
    ]
    if claimed:
        raise DevicesMissing(
            f"Failed to prepare dynamic resources: no driver of devices is registered on this node (claims of the pod: "
            f"{', '.join(claimed)})"
        )
