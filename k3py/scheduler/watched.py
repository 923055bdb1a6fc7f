"""The kinds that plugins look at beside pods and nodes. A change of one of them is a ClusterEvent with its plural."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.resource import (
    CSI_DRIVERS,
    NAMESPACES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    POD_DISRUPTION_BUDGETS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    RESOURCE_CLAIMS,
    SERVICES,
    STATEFUL_SETS,
    STORAGE_CLASSES,
    Resource,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_STORAGE: Final = "storage.k8s.io"
_RESOURCE: Final = "resource.k8s.io"

WATCHED: Final[Mapping[str, Resource]] = {
    one.plural: one
    for one in (
        NAMESPACES,
        SERVICES,
        REPLICATION_CONTROLLERS,
        REPLICA_SETS,
        STATEFUL_SETS,
        POD_DISRUPTION_BUDGETS,
        PERSISTENT_VOLUME_CLAIMS,
        PERSISTENT_VOLUMES,
        STORAGE_CLASSES,
        CSI_DRIVERS,
        RESOURCE_CLAIMS,
        Resource(_RESOURCE, "v1", "deviceclasses", "DeviceClass", namespaced=False),
        Resource(_RESOURCE, "v1", "resourceslices", "ResourceSlice", namespaced=False),
        Resource(_STORAGE, "v1", "csinodes", "CSINode", namespaced=False),
        Resource(_STORAGE, "v1", "csistoragecapacities", "CSIStorageCapacity"),
    )
}

# Changes of these may make a pod schedulable; the others are only looked at.
EVENTFUL: Final = (
    "persistentvolumeclaims",
    "persistentvolumes",
    "storageclasses",
    "csinodes",
    "csidrivers",
    "csistoragecapacities",
    "resourceclaims",
    "deviceclasses",
    "resourceslices",
)
# Changes of these may let in pods that are held back from the queue.
GATING: Final = ("resourceclaims",)
