"""The life of a CustomResourceDefinition. Source: k8s.io/apiextensions-apiserver/pkg/registry/customresourcedefinition v0.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.conditions import set_condition
from k3py.api.kind import BaseStrategy

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.api.kind import WriteContext
    from k3py.jsontypes import JsonObject

CLEANUP: Final = "customresourcecleanup.apiextensions.k8s.io"
_METADATA: Final = frozenset(
    (
        "name", "generateName", "namespace", "selfLink", "uid", "resourceVersion", "generation", "creationTimestamp",
        "deletionTimestamp", "deletionGracePeriodSeconds", "labels", "annotations", "ownerReferences", "finalizers",
        "managedFields",
    )
)  # fmt: skip


class CustomResourceDefinitionStrategy(BaseStrategy):
    """Remembers each version in which objects may lie in the store; goes only after its objects."""

    has_status = True
    has_generation = True
    unconditional_update = False

    def default(self, obj: JsonObject) -> None:
        """Drop what the server does not know of metadata in the defaults of embedded resources."""
        for version in obj["spec"].get("versions") or ():
            schema = (version.get("schema") or {}).get("openAPIV3Schema")
            if schema is not None:
                _prune_defaults(schema)

    def prepare_create(self, obj: JsonObject, context: WriteContext) -> None:
        """Reset the status, but for the storage version."""
        super().prepare_create(obj, context)
        obj["status"] = {
            "conditions": None,
            "acceptedNames": {"plural": "", "kind": ""},
            "storedVersions": _storage_versions(obj)[:1],
        }

    def prepare_update(self, new: JsonObject, old: JsonObject, context: WriteContext) -> None:
        """Keep the status, and add a new storage version to it."""
        super().prepare_update(new, old, context)
        stored = list((new.get("status") or {}).get("storedVersions") or ())
        added = [one for one in _storage_versions(new)[:1] if one not in stored]
        if added:
            new["status"] = {**(new.get("status") or {}), "storedVersions": stored + added}

    def prepare_status_update(self, new: JsonObject, old: JsonObject, context: WriteContext) -> None:
        """Keep all but the status; of metadata only finalizers and managed fields may change with it."""
        super().prepare_status_update(new, old, context)
        metadata = dict(old["metadata"])
        for key in ("finalizers", "managedFields", "resourceVersion"):
            metadata.pop(key, None)
            if key in new["metadata"]:
                metadata[key] = new["metadata"][key]
        new["metadata"] = metadata

    def prepare_delete(self, obj: JsonObject, context: WriteContext) -> None:
        """Keep the definition until its objects are gone."""
        finalizers = obj["metadata"].setdefault("finalizers", [])
        if CLEANUP not in finalizers:
            finalizers.append(CLEANUP)
        status = obj.setdefault("status", {})
        status["conditions"] = set_condition(
            status.get("conditions") or [],
            "Terminating",
            "True",
            reason="InstanceDeletionPending",
            message="CustomResourceDefinition marked for deletion; CustomResource deletion will be initiated soon",
            now=context.now,
        )

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check a new definition."""
        from k3py.api.kinds.apiextensions.custom_resource_definition.validation import validate  # noqa: PLC0415 - big

        return validate(obj)

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Check a changed definition."""
        from k3py.api.kinds.apiextensions.custom_resource_definition.validation import (  # noqa: PLC0415 - big
            validate_update,
        )

        return validate_update(new, old)


def _prune_defaults(schema: JsonObject) -> None:
    default = schema.get("default")
    if schema.get("x-kubernetes-embedded-resource") and isinstance(default, dict):
        metadata = default.get("metadata")
        if isinstance(metadata, dict):
            for key in metadata.keys() - _METADATA:
                del metadata[key]
    for one in (schema.get("properties") or {}).values():
        _prune_defaults(one)
    for key in ("items", "additionalProperties"):
        if isinstance(one := schema.get(key), dict):
            _prune_defaults(one)


def _storage_versions(obj: JsonObject) -> list[str]:
    """Return the versions in which objects are to be stored: one, unless validation is about to say so."""
    return [one.get("name", "") for one in obj["spec"].get("versions") or () if one.get("storage")]
