"""ConfigMaps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, column
from k3py.api.kind import BaseStrategy, Kind, StoragePolicy
from k3py.api.validation.data import validate_data, validate_immutable_data

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject


class ConfigMapStrategy(BaseStrategy):
    """Source: kubernetes/pkg/registry/core/configmap/strategy.go v1.35."""

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Keys and total size."""
        return validate_data(obj, fields=("data", "binaryData"))

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """What is immutable stays as it is."""
        return [*validate_immutable_data(new, old, fields=("data", "binaryData")), *self.validate(new)]


KIND: Final = Kind(
    version="v1",
    kind="ConfigMap",
    plural="configmaps",
    singular="configmap",
    list_kind="ConfigMapList",
    short_names=("cm",),
    schema="io.k8s.api.core.v1.ConfigMap",
    strategy=ConfigMapStrategy(),
    columns=(
        NAME,
        column("Data", lambda obj: len(obj.get("data") or {}) + len(obj.get("binaryData") or {})),
        AGE,
    ),
    storage=StoragePolicy(prefix="configmaps"),
    storage_version_hash="qFsyl6wFWjQ=",
)
