"""Nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, NONE, column
from k3py.api.fielderror import duplicate, forbidden_field, not_supported, required
from k3py.api.kind import BaseStrategy, Kind, StoragePolicy, Subresource

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.api.kind import WriteContext
    from k3py.jsontypes import JsonObject


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
        """Taints are unique by key and effect."""
        errors: list[FieldError] = []
        seen = set()
        for index, taint in enumerate((obj.get("spec") or {}).get("taints") or ()):
            path = f"spec.taints[{index}]"
            if not taint.get("key"):
                errors.append(required(f"{path}.key"))
            if taint.get("effect") not in _EFFECTS:
                errors.append(not_supported(f"{path}.effect", taint.get("effect", ""), _EFFECTS))
            if (taint.get("key"), taint.get("effect")) in seen:
                errors.append(duplicate(path, taint))
            seen.add((taint.get("key"), taint.get("effect")))
        return errors


_EFFECTS: Final = ("NoSchedule", "PreferNoSchedule", "NoExecute")
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
