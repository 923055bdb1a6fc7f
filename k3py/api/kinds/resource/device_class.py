"""A class of devices that claims may ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME
from k3py.api.devices import drop_gated_class_fields
from k3py.api.kind import BaseStrategy, Kind, StoragePolicy
from k3py.api.validation.devices.names import MOST_CONFIGS, MOST_SELECTORS, check_list
from k3py.api.validation.devices.selector import check_configuration, check_selector

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.api.kind import WriteContext
    from k3py.jsontypes import JsonObject


class DeviceClassStrategy(BaseStrategy):
    """Source: kubernetes/pkg/registry/resource/deviceclass/strategy.go v1.35."""

    has_generation = True
    object_on_delete = True

    def prepare_create(self, obj: JsonObject, context: WriteContext) -> None:
        """Drop fields of features that are off."""
        drop_gated_class_fields(obj)
        super().prepare_create(obj, context)

    def prepare_update(self, new: JsonObject, old: JsonObject, context: WriteContext) -> None:
        """Drop fields of features that are off."""
        drop_gated_class_fields(new)
        super().prepare_update(new, old, context)

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check selectors and configuration."""
        return self._validate(obj, {})

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """What was stored may be longer than is allowed now."""
        return self._validate(new, old)

    def _validate(self, obj: JsonObject, old: JsonObject) -> list[FieldError]:
        spec, before = obj.get("spec") or {}, old.get("spec") or {}
        is_stored = bool(before) and spec.get("config") == before.get("config")
        return [
            *check_list(spec.get("selectors") or (), "spec.selectors", check_selector, most=MOST_SELECTORS),
            *check_list(
                spec.get("config") or (),
                "spec.config",
                lambda one, path: check_configuration(one, path, is_stored=is_stored),
                most=MOST_CONFIGS,
            ),
        ]


KIND: Final = Kind(
    group="resource.k8s.io",
    version="v1",
    kind="DeviceClass",
    plural="deviceclasses",
    namespaced=False,
    schema="io.k8s.api.resource.v1.DeviceClass",
    strategy=DeviceClassStrategy(),
    columns=(NAME, AGE),
    storage=StoragePolicy(prefix="deviceclasses"),
    storage_version_hash="Yk2PTc1Ybxk=",
)
