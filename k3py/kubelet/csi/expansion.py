"""Growing of mounted volumes: when the volume has become larger than the claim says, and how the claim is told.

The external resizer grows the volume (PersistentVolume.spec.capacity) and marks the claim FileSystemResizePending; the node grows the
file system and writes the claim's capacity.

Source: pkg/volume/util/operationexecutor/node_expander.go, pkg/volume/util/resize_util.go v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.resource import PERSISTENT_VOLUME_CLAIMS
from k3py.client.interface import PatchType
from k3py.kubelet.amounts import whole

if TYPE_CHECKING:
    from k3py.client.interface import Client
    from k3py.jsontypes import JsonObject
    from k3py.kubelet.csi.source import CsiSource

_RESIZE_CONDITIONS: Final = (
    "FileSystemResizePending",
    "Resizing",
    "ControllerResizeError",
    "NodeResizeError",
)


def grown_bytes(source: CsiSource) -> int | None:
    """Return the size that a volume's file system shall have, None when it has it."""
    if source.claim is None or source.volume is None:
        return None
    there = ((source.claim.get("status") or {}).get("capacity") or {}).get("storage")
    wanted = (source.volume["spec"].get("capacity") or {}).get("storage")
    if there is None or wanted is None or whole(wanted) <= whole(there):
        return None
    return whole(wanted)


async def tell_grown(client: Client, volume: JsonObject, claim: JsonObject) -> None:
    """Write the new capacity to the claim. Raises ApiError."""
    metadata, status = claim["metadata"], claim.get("status") or {}
    conditions = [one for one in status.get("conditions") or () if one["type"] not in _RESIZE_CONDITIONS]
    patch = {
        "metadata": {"uid": metadata["uid"]},
        "status": {
            "capacity": {"storage": volume["spec"]["capacity"]["storage"]},
            "conditions": conditions or None,
            "allocatedResourceStatuses": {"storage": None},
        },
    }
    await client.patch(
        PERSISTENT_VOLUME_CLAIMS,
        metadata["name"],
        patch,
        patch_type=PatchType.MERGE,
        namespace=metadata["namespace"],
        subresource="status",
    )
