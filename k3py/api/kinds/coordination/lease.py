"""Leases: heartbeats and leader election. They may live in memory (ARCHITECTURE §1.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, column
from k3py.api.fielderror import invalid_value
from k3py.api.kind import BaseStrategy, Kind, StoragePolicy

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.api.kind import WriteContext
    from k3py.jsontypes import JsonObject


class LeaseStrategy(BaseStrategy):
    """Source: kubernetes/pkg/registry/coordination/lease/strategy.go v1.35."""

    create_on_update = True
    unconditional_update = False

    def prepare_create(self, obj: JsonObject, context: WriteContext) -> None:
        """Fields of gates that are off are dropped."""
        super().prepare_create(obj, context)
        _drop_gated(obj)

    def prepare_update(self, new: JsonObject, old: JsonObject, context: WriteContext) -> None:
        """The same for updates."""
        super().prepare_update(new, old, context)
        _drop_gated(new)

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Durations are positive, transitions not negative."""
        spec = obj.get("spec") or {}
        errors: list[FieldError] = []
        duration = spec.get("leaseDurationSeconds")
        if duration is not None and duration <= 0:
            errors.append(invalid_value("spec.leaseDurationSeconds", duration, "must be greater than 0"))
        transitions = spec.get("leaseTransitions")
        if transitions is not None and transitions < 0:
            errors.append(
                invalid_value("spec.leaseTransitions", transitions, "must be greater than or equal to 0")
            )
        return errors


def _drop_gated(obj: JsonObject) -> None:
    for field in ("strategy", "preferredHolder"):
        (obj.get("spec") or {}).pop(field, None)


KIND: Final = Kind(
    group="coordination.k8s.io",
    version="v1",
    kind="Lease",
    plural="leases",
    singular="lease",
    list_kind="LeaseList",
    schema="io.k8s.api.coordination.v1.Lease",
    strategy=LeaseStrategy(),
    columns=(NAME, column("Holder", lambda obj: (obj.get("spec") or {}).get("holderIdentity", "")), AGE),
    storage=StoragePolicy(prefix="leases", durability="volatile"),
    storage_version_hash="gqkMMb/YqFM=",
)
