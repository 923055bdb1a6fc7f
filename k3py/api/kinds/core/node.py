"""Nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, NONE, column
from k3py.api.fielderror import duplicate, forbidden_field, invalid_value
from k3py.api.kind import BaseStrategy, Kind, StoragePolicy, Subresource
from k3py.api.names import find_label_value_faults, find_qualified_name_faults
from k3py.api.validation.affinity import EFFECTS
from k3py.api.validation.resources import check_quantity
from k3py.api.validation.scalar import check_choice, check_cidr, check_text, parse_cidr

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.api.kind import WriteContext
    from k3py.jsontypes import JsonObject, JsonValue


class NodeStrategy(BaseStrategy):
    """Source: kubernetes/pkg/registry/core/node/strategy.go v1.35. A node may be created with its status."""

    def prepare_update(self, new: JsonObject, old: JsonObject, context: WriteContext) -> None:
        """The status changes through its subresource."""
        if "status" in old:
            new["status"] = old["status"]

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """A range of pod addresses, once given, stays."""
        before, after = old.get("spec") or {}, new.get("spec") or {}
        errors = self.validate(new)
        if before.get("podCIDR") and before.get("podCIDR") != after.get("podCIDR"):
            errors.append(
                forbidden_field(
                    "spec.podCIDRs", 'node updates may not change podCIDR except from "" to valid'
                )
            )
        if before.get("providerID") and before.get("providerID") != after.get("providerID"):
            errors.append(
                forbidden_field(
                    "spec.providerID", 'node updates may not change providerID except from "" to valid'
                )
            )
        return errors

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check taints, amounts and ranges of pod addresses."""
        spec, status = obj.get("spec") or {}, obj.get("status") or {}
        errors = _validate_taints(spec.get("taints") or ())
        for field in ("capacity", "allocatable"):
            for name, amount in (status.get(field) or {}).items():
                errors += check_quantity(name, amount, f"status.{field}[{name}]")
        return errors + _validate_ranges(spec.get("podCIDRs") or [])


def _validate_taints(taints: JsonValue) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate(taints):
        path = f"metadata.taints[{index}]"  # upstream's spelling
        key, effect = taint.get("key", ""), taint.get("effect", "")
        errors += check_text(key, f"{path}.key", find_qualified_name_faults)
        errors += check_text(taint.get("value", ""), f"{path}.value", find_label_value_faults)
        errors += check_choice(effect, f"{path}.effect", EFFECTS)
        if (key, effect) in seen:
            errors.append(duplicate(path, taint))
        seen.add((key, effect))
    return errors


def _validate_ranges(ranges: list[str]) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, block in enumerate(ranges):
        errors += check_cidr(block, f"spec.podCIDRs[{index}]")
    families = {one.version for one in map(parse_cidr, ranges) if one is not None}
    if not errors and len(ranges) > len(families):
        detail = "may specify no more than one CIDR for each IP family"
        errors.append(invalid_value("spec.podCIDRs", ranges, detail))
    return errors


_ROLE: Final = "node-role.kubernetes.io/"


def _status(obj: JsonObject) -> str:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    ready = next((one["status"] for one in conditions if one["type"] == "Ready"), None)
    text = {"True": "Ready", None: "Unknown"}.get(ready, "NotReady")
    return f"{text},SchedulingDisabled" if (obj.get("spec") or {}).get("unschedulable") else text


def _roles(obj: JsonObject) -> str:
    labels = obj["metadata"].get("labels") or {}
    roles = {key.removeprefix(_ROLE) for key in labels if key.startswith(_ROLE) and key != _ROLE}
    roles |= {value for key, value in labels.items() if key == "kubernetes.io/role" and value}
    return ",".join(sorted(roles)) or NONE


def _address(obj: JsonObject, kind: str) -> str:
    addresses = (obj.get("status") or {}).get("addresses") or ()
    return next((one["address"] for one in addresses if one["type"] == kind), NONE)


def _info(obj: JsonObject, field: str, missing: str = "<unknown>") -> str:
    return str(((obj.get("status") or {}).get("nodeInfo") or {}).get(field) or missing)


KIND: Final = Kind(
    version="v1",
    kind="Node",
    plural="nodes",
    singular="node",
    list_kind="NodeList",
    short_names=("no",),
    namespaced=False,
    schema="io.k8s.api.core.v1.Node",
    subresources=(
        Subresource(
            name="proxy", verbs=("create", "delete", "get", "patch", "update"), kind="NodeProxyOptions"
        ),
        Subresource(name="status", verbs=("get", "patch", "update")),
    ),
    strategy=NodeStrategy(),
    columns=(
        NAME,
        column("Status", _status),
        column("Roles", _roles),
        AGE,
        column("Version", lambda obj: _info(obj, "kubeletVersion", "")),
        column("Internal-IP", lambda obj: _address(obj, "InternalIP"), wide=True),
        column("External-IP", lambda obj: _address(obj, "ExternalIP"), wide=True),
        column("OS-Image", lambda obj: _info(obj, "osImage"), wide=True),
        column("Kernel-Version", lambda obj: _info(obj, "kernelVersion"), wide=True),
        column("Container-Runtime", lambda obj: _info(obj, "containerRuntimeVersion"), wide=True),
    ),
    selectable_fields={
        "spec.unschedulable": lambda obj: "true" if (obj.get("spec") or {}).get("unschedulable") else "false",
    },
    storage=StoragePolicy(prefix="minions"),
    storage_version_hash="XwShjMxG9Fs=",
)
