"""What a CSI driver needs of Kubernetes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, NONE, UNSET, column, field_column, value_at
from k3py.api.fielderror import duplicate, invalid_value, required
from k3py.api.kind import BaseStrategy, Kind, StoragePolicy
from k3py.api.names import find_subdomain_faults
from k3py.api.validation.scalar import IMMUTABLE, check_known, check_range

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.api.kind import WriteContext
    from k3py.jsontypes import JsonObject


class CSIDriverStrategy(BaseStrategy):
    """See the module."""

    object_on_delete = True
    unconditional_update = False

    def prepare_update(self, new: JsonObject, old: JsonObject, context: WriteContext) -> None:
        """The generation counts changes; it starts without one."""
        super().prepare_update(new, old, context)
        if new.get("spec") != old.get("spec"):
            new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1

    def validate_name(self, name: str) -> list[str]:
        """A DNS subdomain of at most 63 characters."""
        faults = find_subdomain_faults(name.lower())
        return [*faults, "must be no more than 63 characters"] if len(name) > _LONGEST_NAME else faults

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check what the driver asks for."""
        spec = obj.get("spec") or {}
        errors = [
            required(f"spec.{field}")
            for field in ("attachRequired", "podInfoOnMount", "storageCapacity")
            if spec.get(field) is None
        ]
        errors += check_known(spec.get("fsGroupPolicy"), "spec.fsGroupPolicy", _FS_GROUP_POLICIES)
        for index, mode in enumerate(spec.get("volumeLifecycleModes") or ()):
            errors += check_known(mode, f"spec.volumeLifecycleModes[{index}]", _LIFECYCLE_MODES)
        seen: set[str] = set()
        for index, one in enumerate(spec.get("tokenRequests") or ()):
            path = f"spec.tokenRequests[{index}]"
            if one.get("audience", "") in seen:
                errors.append(duplicate(f"{path}.audience", one.get("audience", "")))
            seen.add(one.get("audience", ""))
            seconds = one.get("expirationSeconds")
            errors += check_range(seconds, f"{path}.expirationSeconds", _LEAST_TOKEN_S, _MOST_TOKEN_S)
        period = spec.get("nodeAllocatableUpdatePeriodSeconds")
        if period is not None and period < _LEAST_PERIOD_S:
            detail = f"must be greater than or equal to {_LEAST_PERIOD_S} seconds"
            errors.append(invalid_value("spec.nodeAllocatableUpdatePeriodSeconds", period, detail))
        return errors

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """How volumes are attached stays."""
        before, after = old.get("spec") or {}, new.get("spec") or {}
        fields = {"attachRequired": "attachedRequired", "volumeLifecycleModes": "volumeLifecycleModes"}
        return self.validate(new) + [
            invalid_value(f"spec.{shown}", after.get(field), IMMUTABLE)
            for field, shown in fields.items()
            if before.get(field) != after.get(field)
        ]


_LONGEST_NAME: Final = 63
_FS_GROUP_POLICIES: Final = ("File", "None", "ReadWriteOnceWithFSType")
_LIFECYCLE_MODES: Final = ("Ephemeral", "Persistent")
_LEAST_TOKEN_S: Final = 600
_MOST_TOKEN_S: Final = 1 << 32
_LEAST_PERIOD_S: Final = 10


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
    strategy=CSIDriverStrategy(),
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
