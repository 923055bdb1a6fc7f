"""What a CSI driver needs of Kubernetes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, NONE, UNSET, column, field_column, value_at
from k3py.api.kind import BaseStrategy, Kind, StoragePolicy

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject


class Strategy(BaseStrategy):
    """See the module."""

    object_on_delete = True
    unconditional_update = False


def _token_requests(obj: JsonObject) -> str:
    return ",".join(str(one.get("audience", "")) for one in value_at(obj, "spec.tokenRequests", ())) or UNSET


def _modes(obj: JsonObject) -> str:
    return ",".join(value_at(obj, "spec.volumeLifecycleModes", ())) or NONE


KIND: Final = Kind(
    group="storage.k8s.io",
    version="v1",
    kind="CSIDriver",
    plural="csidrivers",
    namespaced=False,
    schema="io.k8s.api.storage.v1.CSIDriver",
    strategy=Strategy(),
    columns=(
        NAME,
        field_column("AttachRequired", "spec.attachRequired", True, kind="boolean"),
        field_column("PodInfoOnMount", "spec.podInfoOnMount", False, kind="boolean"),
        field_column("StorageCapacity", "spec.storageCapacity", False, kind="boolean"),
        column("TokenRequests", _token_requests),
        field_column("RequiresRepublish", "spec.requiresRepublish", False, kind="boolean"),
        column("Modes", _modes),
        AGE,
    ),
    storage=StoragePolicy(prefix="csidrivers"),
    storage_version_hash="hL6j/rwBV5w=",
)
