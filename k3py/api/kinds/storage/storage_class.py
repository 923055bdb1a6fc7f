"""How volumes are provisioned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, column, field_column
from k3py.api.kind import BaseStrategy, Kind, StoragePolicy

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject


class Strategy(BaseStrategy):
    """See the module."""

    object_on_delete = True


_DEFAULT: Final = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)


def _name(obj: JsonObject) -> str:
    annotations = obj["metadata"].get("annotations") or {}
    is_default = any(annotations.get(key) == "true" for key in _DEFAULT)
    return f"{obj['metadata']['name']} (default)" if is_default else str(obj["metadata"]["name"])


KIND: Final = Kind(
    group="storage.k8s.io",
    version="v1",
    kind="StorageClass",
    plural="storageclasses",
    short_names=("sc",),
    namespaced=False,
    schema="io.k8s.api.storage.v1.StorageClass",
    strategy=Strategy(),
    columns=(
        column("Name", _name, format="name"),
        field_column("Provisioner", "provisioner"),
        field_column("ReclaimPolicy", "reclaimPolicy", "Delete"),
        field_column("VolumeBindingMode", "volumeBindingMode", "Immediate"),
        field_column("AllowVolumeExpansion", "allowVolumeExpansion", False),
        AGE,
    ),
    storage=StoragePolicy(prefix="storageclasses"),
    storage_version_hash="K+m6uJwbjGY=",
)
