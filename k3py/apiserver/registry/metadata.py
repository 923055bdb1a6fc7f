"""metadata of all kinds alike: what the server fills in, what may change, what is valid.

Source: k8s.io/apimachinery/pkg/api/validation/objectmeta.go, k8s.io/apiserver/pkg/registry/rest/{create,update,meta}.go v0.35.
"""

from __future__ import annotations

import re
import secrets
import uuid
from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import FieldError, forbidden_field, invalid_value, required
from k3py.api.names import (
    find_label_faults,
    find_label_value_faults,
    find_qualified_name_faults,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.api.kind import Kind
    from k3py.jsontypes import JsonObject, JsonValue

_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX_LENGTH: Final = 5
_LONGEST_BASE: Final = 63 - _SUFFIX_LENGTH
_MOST_ANNOTATION_BYTES: Final = 256 * 1024
_STANDARD_FINALIZERS: Final = frozenset(("orphan", "foregroundDeletion"))
_IMMUTABLE: Final = (
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)
_VERSION: Final = re.compile(r"[^/]+(/[^/]+)?\Z")


def generate_name(base: str) -> str:
    """Return `base`, cut to leave room, and five random characters."""
    return base[:_LONGEST_BASE] + "".join(secrets.choice(_ALPHABET) for _ in range(_SUFFIX_LENGTH))


def fill_new_metadata(obj: JsonObject, now: str) -> None:
    """Set what the server owns in a new object's metadata; a name is made from generateName."""
    metadata = obj["metadata"]
    metadata["uid"] = str(uuid.uuid4())
    metadata["creationTimestamp"] = now
    metadata.pop("deletionTimestamp", None)
    metadata.pop("deletionGracePeriodSeconds", None)
    metadata.pop("selfLink", None)
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = generate_name(metadata["generateName"])


def carry_over_metadata(new: JsonObject, old: JsonObject) -> None:
    """Keep what an update may not change, or need not repeat; before the strategy's prepare_update."""
    metadata, before = new["metadata"], old["metadata"]
    metadata.pop("selfLink", None)
    _keep(metadata, before, "generation")


def settle_metadata(new: JsonObject, old: JsonObject) -> None:
    """Complete server-owned fields after the strategy's prepare_update."""
    metadata, before = new["metadata"], old["metadata"]
    if not metadata.get("uid"):
        metadata["uid"] = before["uid"]
    _keep(metadata, before, "creationTimestamp")
    if before.get("deletionTimestamp"):
        metadata["deletionTimestamp"] = before["deletionTimestamp"]
    if before.get("deletionGracePeriodSeconds") is not None and not metadata.get(
        "deletionGracePeriodSeconds"
    ):
        metadata["deletionGracePeriodSeconds"] = before["deletionGracePeriodSeconds"]


def _keep(metadata: JsonObject, before: JsonObject, key: str) -> None:
    if key in before:
        metadata[key] = before[key]
    else:
        metadata.pop(key, None)


def drop_duplicate_owners(obj: JsonObject, warnings: list[str]) -> None:
    """Remove owner references whose uid stands there already, with a warning."""
    owners = obj["metadata"].get("ownerReferences")
    if not owners or len(owners) < 2:
        return
    seen: set[str] = set()
    kept, repeated = [], []
    for owner in owners:
        uid = owner.get("uid", "")
        if uid in seen:
            repeated.append(uid)
        else:
            seen.add(uid)
            kept.append(owner)
    if repeated:
        obj["metadata"]["ownerReferences"] = kept
        warnings.append(
            ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and "
            "may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: "
            + ", ".join(repeated)
        )


def validate_metadata(kind: Kind, obj: JsonObject) -> list[FieldError]:
    """Check the metadata of a new object."""
    metadata = obj["metadata"]
    errors: list[FieldError] = []
    base = metadata.get("generateName") or ""
    if base:
        trial = base if not base.endswith("-") or len(base) < 2 else base[:-1] + "a"
        errors += [
            invalid_value("metadata.generateName", base, fault)
            for fault in kind.strategy.validate_name(trial)
        ]
    name = metadata.get("name") or ""
    if not name:
        errors.append(required("metadata.name", "name or generateName is required"))
    else:
        errors += [invalid_value("metadata.name", name, fault) for fault in _find_name_faults(kind, name)]
    namespace = metadata.get("namespace") or ""
    if kind.namespaced:
        if not namespace:
            errors.append(required("metadata.namespace"))
        else:
            errors += [
                invalid_value("metadata.namespace", namespace, fault)
                for fault in find_label_faults(namespace)
            ]
    elif namespace:
        errors.append(forbidden_field("metadata.namespace", "not allowed on this type"))
    return errors + _validate_shared(metadata)


def _find_name_faults(kind: Kind, name: str) -> list[str]:
    faults = kind.strategy.validate_name(name)
    if not faults:
        if name in (".", ".."):
            return [f"may not be '{name}'"]
        faults = [f"may not contain '{char}'" for char in "/%" if char in name]
    return faults


def validate_metadata_update(new: JsonObject, old: JsonObject) -> list[FieldError]:
    """Check the metadata of an updated object."""
    metadata, before = new["metadata"], old["metadata"]
    errors: list[FieldError] = []
    if before.get("deletionTimestamp"):
        added = [
            one for one in metadata.get("finalizers") or () if one not in (before.get("finalizers") or ())
        ]
        if added:
            errors.append(
                forbidden_field(
                    "metadata.finalizers",
                    "no new finalizers can be added if the object is being deleted, found new finalizers "
                    f"{_go_strings(sorted(added))}",
                )
            )
    if (metadata.get("generation") or 0) < (before.get("generation") or 0):
        errors.append(
            invalid_value("metadata.generation", metadata.get("generation"), "must not be decremented")
        )
    errors += [
        invalid_value(f"metadata.{key}", metadata.get(key), "field is immutable")
        for key in _IMMUTABLE
        if (metadata.get(key) or None) != (before.get(key) or None)
    ]
    return errors + _validate_shared(metadata)


def _go_strings(values: Sequence[str]) -> str:
    return "[]string{" + ", ".join(f'"{one}"' for one in values) + "}"


def _validate_shared(metadata: JsonObject) -> list[FieldError]:
    return [
        *validate_labels(metadata.get("labels"), "metadata.labels"),
        *_validate_annotations(metadata.get("annotations")),
        *_validate_owners(metadata.get("ownerReferences")),
        *_validate_finalizers(metadata.get("finalizers")),
        *validate_managed_fields(metadata.get("managedFields")),
    ]


def validate_labels(labels: JsonObject | None, path: str) -> list[FieldError]:
    """Check keys and values of labels."""
    errors: list[FieldError] = []
    for key, value in (labels or {}).items():
        errors += [invalid_value(path, key, fault) for fault in find_qualified_name_faults(key)]
        errors += [invalid_value(path, value, fault) for fault in find_label_value_faults(value)]
    return errors


def _validate_annotations(annotations: JsonObject | None) -> list[FieldError]:
    if not annotations:
        return []
    path = "metadata.annotations"
    errors = [
        invalid_value(path, key, fault)
        for key in annotations
        for fault in find_qualified_name_faults(key.lower())
    ]
    size = sum(len(key.encode()) + len((value or "").encode()) for key, value in annotations.items())
    if size > _MOST_ANNOTATION_BYTES:
        errors.append(
            FieldError(path, "FieldValueTooLong", f"may not be more than {_MOST_ANNOTATION_BYTES} bytes", "")
        )
    return errors


def _validate_owners(owners: list[JsonObject] | None) -> list[FieldError]:
    path = "metadata.ownerReferences"
    errors: list[FieldError] = []
    controller = ""
    for owner in owners or ():
        version = owner.get("apiVersion") or ""
        kind = owner.get("kind") or ""
        # A nameless group-version is a fault of its own, and so is each empty field.
        if not version or not _VERSION.match(version):
            errors.append(invalid_value(f"{path}.apiVersion", version, "version must not be empty"))
        if not kind:
            errors.append(invalid_value(f"{path}.kind", kind, "must not be empty"))
        if not owner.get("name"):
            errors.append(invalid_value(f"{path}.name", owner.get("name", ""), "must not be empty"))
        if not owner.get("uid"):
            errors.append(invalid_value(f"{path}.uid", owner.get("uid", ""), "must not be empty"))
        if version == "v1" and kind == "Event":
            errors.append(
                invalid_value(path, owner, f"{version}, Kind={kind} is disallowed from being an owner")
            )
        if owner.get("controller"):
            if controller:
                errors.append(
                    invalid_value(
                        path,
                        owner,
                        'Only one reference can have Controller set to true. Found "true" in references for '
                        f"{controller} and {owner.get('name', '')}",
                    )
                )
            else:
                controller = owner.get("name", "") or "?"
    return errors


def _validate_finalizers(finalizers: list[str] | None) -> list[FieldError]:
    path = "metadata.finalizers"
    errors: list[FieldError] = []
    has_orphan = has_foreground = False
    for index, name in enumerate(finalizers or ()):
        faults = find_qualified_name_faults(name)
        errors += [invalid_value(path, name, fault) for fault in faults]
        if not faults and "/" not in name and name not in _STANDARD_FINALIZERS and name != "kubernetes":
            errors.append(
                invalid_value(
                    f"{path}[{index}]",
                    name,
                    "name is neither a standard finalizer name nor is it fully qualified",
                )
            )
        has_orphan = has_orphan or name == "orphan"
        has_foreground = has_foreground or name == "foregroundDeletion"
    if has_orphan and has_foreground:
        errors.append(
            invalid_value(
                path, list(finalizers or ()), "finalizer orphan and foregroundDeletion cannot be both set"
            )
        )
    return errors


def validate_managed_fields(entries: JsonValue) -> list[FieldError]:
    """Check what metadata.managedFields says that it is."""
    errors: list[FieldError] = []
    for index, entry in enumerate(entries or ()):
        path = f"metadata.managedFields[{index}]"
        if entry.get("operation") not in ("Apply", "Update"):
            errors.append(
                invalid_value(f"{path}.operation", entry.get("operation", ""), "must be `Apply` or `Update`")
            )
        if entry.get("fieldsType") and entry["fieldsType"] != "FieldsV1":
            errors.append(invalid_value(f"{path}.fieldsType", entry["fieldsType"], "must be `FieldsV1`"))
    return errors
