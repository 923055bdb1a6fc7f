"""metadata.managedFields: entries decoded to field sets by manager, and back.

Source: k8s.io/apimachinery/pkg/util/managedfields/internal v0.35.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from k3py.api.patch.fieldset import FieldSet

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject, JsonValue

MAX_UPDATE_MANAGERS: Final = 10
OLD_UPDATES_MANAGER: Final = "ancient-changes"
BEFORE_APPLY_MANAGER: Final = "before-first-apply"


class ManagerId(NamedTuple):
    """Identity of an entry; operation is "Apply" or "Update". Appliers keep theirs when they change the version, so it is ""."""

    manager: str
    operation: str
    api_version: str
    subresource: str = ""


def applier(manager: str, subresource: str = "") -> ManagerId:
    """Return the identity of an applier."""
    return ManagerId(manager, "Apply", "", subresource)


def updater(manager: str, api_version: str, subresource: str = "") -> ManagerId:
    """Return the identity of a manager that updates."""
    return ManagerId(manager, "Update", api_version, subresource)


@dataclass(slots=True)
class Managed:
    """Field sets, times (RFC 3339, None = unknown) and the versions of appliers, by manager."""

    sets: dict[ManagerId, FieldSet] = field(default_factory=dict)
    versions: dict[ManagerId, str] = field(default_factory=dict)
    # Sets as they were read with their documents, so that what nobody touched is not written anew.
    documents: dict[ManagerId, tuple[FieldSet, JsonObject]] = field(default_factory=dict)
    times: dict[ManagerId, str | None] = field(default_factory=dict)

    def drop_empty(self) -> None:
        """Forget managers that own nothing."""
        for manager in [manager for manager, fields in self.sets.items() if not fields]:
            del self.sets[manager]


def decode(entries: JsonValue) -> Managed:
    """Read managedFields.

    Raises:
        ValueError: an entry with an unknown operation, fieldsType or path element.
    """
    managed = Managed()
    for entry in entries or ():
        operation = entry.get("operation", "")
        if operation not in ("Apply", "Update"):
            raise ValueError(f"invalid managed fields entry operation: {operation!r}")
        if entry.get("fieldsType") != "FieldsV1":
            raise ValueError(f"invalid fieldsType {entry.get('fieldsType')!r}")
        version = entry.get("apiVersion", "")
        manager = ManagerId(
            entry.get("manager", ""),
            operation,
            version if operation == "Update" else "",
            entry.get("subresource", ""),
        )
        managed.versions[manager] = version
        document = entry.get("fieldsV1") or {}
        fields = FieldSet.from_fields_v1(document)
        managed.documents[manager] = (fields, document)
        managed.sets[manager] = managed.sets[manager].union(fields) if manager in managed.sets else fields
        managed.times[manager] = entry.get("time")
    return managed


def encode(managed: Managed) -> list[JsonObject]:
    """Return the entries, sorted as upstream sorts them: operation, time, manager."""
    entries = []
    for manager, fields in managed.sets.items():
        entry: JsonObject = {
            "manager": manager.manager,
            "operation": manager.operation,
            "apiVersion": manager.api_version or managed.versions.get(manager, ""),
        }
        if (time := managed.times.get(manager)) is not None:
            entry["time"] = time
        entry["fieldsType"] = "FieldsV1"
        known, document = managed.documents.get(manager, (None, {}))
        entry["fieldsV1"] = document if known is fields else fields.to_fields_v1()
        if manager.subresource:
            entry["subresource"] = manager.subresource
        entries.append(entry)
    entries.sort(
        key=lambda one: (
            one["operation"],
            one.get("time", ""),
            one["manager"],
            one["apiVersion"],
            one.get("subresource", ""),
        )
    )
    return entries


def is_reset(entries: JsonValue) -> bool:
    """Say whether a client asks to forget all managers: an empty list, or one empty entry."""
    return isinstance(entries, list) and entries in ([], [{}])


def cap_updates(managed: Managed) -> None:
    """Merge the oldest of more than ten updaters into one entry a version."""
    updaters = sorted(
        (manager for manager in managed.sets if manager.operation == "Update"),
        key=lambda manager: (managed.times.get(manager) or "", manager),
    )
    count = len(updaters)
    first_of: dict[str, ManagerId] = {}
    for manager in updaters:
        if count <= MAX_UPDATE_MANAGERS:
            return
        version = manager.api_version
        if version not in first_of:
            first_of[version] = manager
            continue
        bucket = updater(OLD_UPDATES_MANAGER, version)
        if bucket not in managed.sets:
            managed.sets[bucket] = managed.sets.pop(first_of[version])
        if manager != bucket:
            managed.sets[bucket] = managed.sets[bucket].union(managed.sets.pop(manager))
            count -= 1
        managed.times[bucket] = managed.times.get(manager)
