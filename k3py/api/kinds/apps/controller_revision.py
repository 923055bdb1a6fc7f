"""Revisions that StatefulSets and DaemonSets keep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, NONE, column
from k3py.api.fielderror import invalid_value, required
from k3py.api.kind import BaseStrategy, Kind, StoragePolicy
from k3py.api.validation.scalar import check_non_negative

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject


class ControllerRevisionStrategy(BaseStrategy):
    """Source: kubernetes/pkg/registry/apps/controllerrevision/strategy.go v1.35."""

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """There is data, and a number that is not negative."""
        errors = [] if obj.get("data") is not None else [required("data", "data is mandatory")]
        return errors + check_non_negative(obj.get("revision"), "revision")

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """The data stays."""
        if new.get("data") != old.get("data"):
            return [invalid_value("data", new.get("data"), "field is immutable")]
        return []


def _controller(obj: JsonObject) -> str:
    for one in obj["metadata"].get("ownerReferences") or ():
        if one.get("controller"):
            group = str(one["apiVersion"]).rpartition("/")[0]
            kind = str(one["kind"]).lower()
            return f"{kind}.{group}/{one['name']}" if group else f"{kind}/{one['name']}"
    return NONE


KIND: Final = Kind(
    group="apps",
    version="v1",
    kind="ControllerRevision",
    plural="controllerrevisions",
    singular="controllerrevision",
    list_kind="ControllerRevisionList",
    schema="io.k8s.api.apps.v1.ControllerRevision",
    strategy=ControllerRevisionStrategy(),
    columns=(
        NAME,
        column("Controller", _controller),
        column("Revision", lambda obj: obj.get("revision", 0)),
        AGE,
    ),
    storage=StoragePolicy(prefix="controllerrevisions"),
    storage_version_hash="85nkx63pcBU=",
)
