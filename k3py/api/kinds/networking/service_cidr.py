"""A range out of which Services get their addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, column, value_at
from k3py.api.kind import Kind, StoragePolicy, Subresource
from k3py.api.strategy import StatusStrategy
from k3py.api.validation.service_range import validate_range_change, validate_ranges

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject


class ServiceCIDRStrategy(StatusStrategy):
    """Source: kubernetes/pkg/registry/networking/servicecidr/strategy.go v1.35."""

    status_keeps = ("labels", "annotations", "finalizers", "ownerReferences")

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check the ranges."""
        return validate_ranges(obj.get("spec") or {})

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """A range of the other family may come."""
        return validate_range_change(new.get("spec") or {}, old.get("spec") or {})


KIND: Final = Kind(
    group="networking.k8s.io",
    version="v1",
    kind="ServiceCIDR",
    plural="servicecidrs",
    namespaced=False,
    schema="io.k8s.api.networking.v1.ServiceCIDR",
    strategy=ServiceCIDRStrategy(),
    subresources=(Subresource(name="status", verbs=("get", "patch", "update")),),
    columns=(NAME, column("CIDRs", lambda obj: ",".join(value_at(obj, "spec.cidrs", ()))), AGE),
    storage=StoragePolicy(prefix="servicecidrs"),
    storage_version_hash="gNLvruQhW2g=",
)
