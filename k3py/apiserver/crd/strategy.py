"""The life of custom resources. Source: k8s.io/apiextensions-apiserver/pkg/registry/customresource v0.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import FieldError, invalid_value
from k3py.api.kind import BaseStrategy

if TYPE_CHECKING:
    from k3py.api.kind import ScalePaths, WriteContext
    from k3py.api.structural.structure import Structure
    from k3py.jsontypes import JsonObject, JsonValue

_MOST_REPLICAS: Final = 0x7FFFFFFF
_SELECTOR_DETAIL: Final = "must be a string"


class CustomResourceStrategy(BaseStrategy):
    """By the schema of one version."""

    has_generation = True
    unconditional_update = False

    def __init__(self, structure: Structure, *, has_status: bool, scale: ScalePaths | None) -> None:
        self._structure = structure
        self._scale = scale
        self.has_status = has_status

    def prepare_update(self, new: JsonObject, old: JsonObject, context: WriteContext) -> None:
        """Keep the status if it is apart; anything but metadata (and such a status) is a new generation."""
        if self.has_status:
            if "status" in old:
                new["status"] = old["status"]
            else:
                new.pop("status", None)
        ignored = ("metadata", "status") if self.has_status else ("metadata",)
        changed = _without(new, ignored) != _without(old, ignored)
        new["metadata"]["generation"] = old["metadata"].get("generation", 0) + (1 if changed else 0)

    def prepare_status_update(self, new: JsonObject, old: JsonObject, context: WriteContext) -> None:
        """Keep all but the status and whose fields are whose."""
        super().prepare_status_update(new, old, context)
        metadata = dict(old["metadata"])
        for key in ("managedFields", "resourceVersion"):
            metadata.pop(key, None)
            if key in new["metadata"]:
                metadata[key] = new["metadata"][key]
        new["metadata"] = metadata

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check a new object."""
        return self._structure.validate(obj) + self._validate_scale(obj)

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Check a changed object; what was wrong before may stay."""
        return self._structure.validate_update(new, old) + self._validate_scale(new)

    def validate_status_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Check the whole object again."""
        return self.validate_update(new, old)

    def _validate_scale(self, obj: JsonObject) -> list[FieldError]:
        if self._scale is None:
            return []
        errors: list[FieldError] = []
        for path in (self._scale.spec_replicas, self._scale.status_replicas):
            value = find_value(obj, path)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int):
                errors.append(invalid_value(path, value, "should be an integer"))
            elif value < 0:
                errors.append(invalid_value(path, value, "should be a non-negative integer"))
            elif value > _MOST_REPLICAS:
                errors.append(invalid_value(path, value, f"should be less than or equal to {_MOST_REPLICAS}"))
        if self._scale.label_selector:
            value = find_value(obj, self._scale.label_selector)
            if value is not None and not isinstance(value, str):
                errors.append(invalid_value(self._scale.label_selector, value, _SELECTOR_DETAIL))
        return errors


def find_value(obj: JsonObject, path: str) -> JsonValue:
    """Return the value at a dotted path (with or without its first dot), None when there is none."""
    value: JsonValue = obj
    for key in path.lstrip(".").split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _without(obj: JsonObject, keys: tuple[str, ...]) -> JsonObject:
    return {key: value for key, value in obj.items() if key not in keys}
