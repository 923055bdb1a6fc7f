"""Bounds and defaults of resources in a namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import CREATED_AT, NAME
from k3py.api.kind import BaseStrategy, Kind, StoragePolicy
from k3py.api.validation.limits import validate_limits

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.api.kind import WriteContext
    from k3py.jsontypes import JsonObject


class LimitRangeStrategy(BaseStrategy):
    """See the module."""

    create_on_update = True

    def prepare_create(self, obj: JsonObject, context: WriteContext) -> None:
        """A limit range without a name gets one."""
        super().prepare_create(obj, context)
        if not obj["metadata"].get("name"):
            obj["metadata"]["name"] = obj["metadata"].get("uid", "")

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check every limit."""
        return validate_limits(obj.get("spec") or {})


KIND: Final = Kind(
    version="v1",
    kind="LimitRange",
    plural="limitranges",
    short_names=("limits",),
    schema="io.k8s.api.core.v1.LimitRange",
    strategy=LimitRangeStrategy(),
    columns=(NAME, CREATED_AT),
    storage=StoragePolicy(prefix="limitranges"),
    storage_version_hash="EBKMFVe6cwo=",
)
