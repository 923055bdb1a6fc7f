"""The record of a kind, from which routes, discovery, Table output, OpenAPI, selectors and tests derive (ARCHITECTURE §4).

One record a served version of a kind. Versions that share storage name the same `storage.prefix`; `to_storage`/`from_storage` convert.
Strategies are pure: they get dicts they may change (create, the new object of an update) and dicts they may not (old objects).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from k3py.api.resource import Resource

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from datetime import datetime

    from k3py.api.fielderror import FieldError
    from k3py.api.structural.structure import Structure
    from k3py.api.user import User
    from k3py.jsontypes import JsonObject, JsonValue

FULL_VERBS: Final = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of the server's Table.

    `value(obj, now)` returns the cell; `obj` is read-only. type: "string", "integer", "date", …; priority > 0 shows with -o wide only.
    """

    name: str
    type: str = "string"
    format: str = ""
    description: str = ""
    priority: int = 0
    value: Callable[[JsonObject, datetime], JsonValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteContext:
    """What a strategy may know of the request it prepares; `now` is RFC 3339 with whole seconds."""

    user: User
    now: str
    subresource: str = ""
    dry_run: bool = False
    field_manager: str = ""


class BaseStrategy:
    """What is special about a kind's life; the defaults suit a kind such as ConfigMap.

    Call order on create: `default` → admission → `prepare_create` → `validate` → validating admission → store.
    On update: `default` → admission → `prepare_update` → `validate_update` → validating admission → store.
    Source: k8s.io/apiserver/pkg/registry/rest strategies v0.35.

    Attributes:
        has_status: status is a subresource: create and update of the main resource keep the old one (none on create).
        has_generation: metadata.generation starts at 1 and goes up when anything but metadata and status changes.
        create_on_update: PUT of a missing name creates it.
        unconditional_update: PUT without resourceVersion is allowed.
        status_on_delete: DELETE answers with the object rather than a Status.
        default_propagation: "Background", or "Orphan" for legacy kinds.
        status_keeps: fields of metadata that a write to the status subresource cannot change.
    """

    has_status = False
    has_generation = False
    create_on_update = False
    unconditional_update = True
    object_on_delete = False
    default_propagation = "Background"
    status_keeps: tuple[str, ...] = ()

    def default(self, obj: JsonObject) -> None:
        """Fill defaults that the schema's table does not know; called for every decoded object."""

    def prepare_create(self, obj: JsonObject, context: WriteContext) -> None:
        """Reset what clients may not set. Overriders call super()."""
        if self.has_status:
            obj.pop("status", None)
        if self.has_generation:
            obj["metadata"]["generation"] = 1

    def prepare_update(self, new: JsonObject, old: JsonObject, context: WriteContext) -> None:
        """Carry over what this request may not change. Overriders call super()."""
        if self.has_status:
            if "status" in old:
                new["status"] = old["status"]
            else:
                new.pop("status", None)
        if self.has_generation:
            changed = {k: v for k, v in new.items() if k not in _NOT_SPEC} != {
                k: v for k, v in old.items() if k not in _NOT_SPEC
            }
            new["metadata"]["generation"] = old["metadata"].get("generation", 0) + (1 if changed else 0)

    def prepare_status_update(self, new: JsonObject, old: JsonObject, context: WriteContext) -> None:
        """For the status subresource: keep all of `old` but status (and what else upstream lets through)."""
        status = new.get("status")
        metadata = new["metadata"]
        for key in [key for key in new if key not in ("apiVersion", "kind", "metadata")]:
            del new[key]
        new.update({k: v for k, v in old.items() if k not in ("apiVersion", "kind", "metadata", "status")})
        if status is not None:
            new["status"] = status
        for key in self.status_keeps:
            if key in old["metadata"]:
                metadata[key] = old["metadata"][key]
            else:
                metadata.pop(key, None)

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check an object that is to be created, apart from metadata (checked for all kinds alike)."""
        return []

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Check an update of the main resource."""
        return self.validate(new)

    def validate_status_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Check an update of the status subresource."""
        return []

    def validate_name(self, name: str) -> list[str]:
        """Return what is wrong with metadata.name (texts of api.names); default: DNS-1123 subdomain."""
        from k3py.api.names import find_subdomain_faults  # noqa: PLC0415 - keeps this module free of regex set-up

        return find_subdomain_faults(name)

    def warnings(self, new: JsonObject, old: JsonObject | None) -> list[str]:
        """Return texts for Warning headers of an accepted create (`old` None) or update."""
        return []

    def prepare_delete(self, obj: JsonObject, context: WriteContext) -> None:
        """Change an object, not yet deleted, that is about to be: a finalizer, a condition."""

    def graceful_delete_s(self, obj: JsonObject, requested_s: int | None) -> int | None:
        """Return the grace period in seconds with which `obj` is deleted, or None when this kind goes at once."""
        return None


_NOT_SPEC: Final = frozenset(("apiVersion", "kind", "metadata", "status"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Subresource:
    """A subresource; its handler is found by the apiserver under `name` (status and scale are generic).

    kind, group, version: of the body, where it differs from the parent (scale: Scale in autoscaling/v1).
    """

    name: str
    verbs: tuple[str, ...]
    kind: str = ""
    group: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalePaths:
    """Where replicas and selector live, as dotted JSON paths, for the scale subresource."""

    spec_replicas: str = "spec.replicas"
    status_replicas: str = "status.replicas"
    label_selector: str = "spec.selector"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoragePolicy:
    """Where and how objects lie in the datastore.

    prefix: below /registry/, without slashes at the ends ("pods", "services/specs").
    durability: "volatile" objects (leases of nodes) may live in memory (ARCHITECTURE §1.5).
    ttl_s: seconds after which an object goes by itself, 0 = never (Events: 3600).
    """

    prefix: str
    durability: Literal["durable", "volatile"] = "durable"
    ttl_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kind:
    """All that generic code needs to know of a kind in one version; see the module docstring."""

    group: str = ""
    version: str
    kind: str
    plural: str
    singular: str = ""
    list_kind: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    namespaced: bool = True
    verbs: tuple[str, ...] = FULL_VERBS
    schema: str = ""  # type name in api.schema, e.g. "io.k8s.api.core.v1.Pod"
    strategy: BaseStrategy = field(default_factory=BaseStrategy)
    subresources: tuple[Subresource, ...] = ()
    scale: ScalePaths | None = None
    columns: tuple[Column, ...] = ()
    selectable_fields: Mapping[str, Callable[[JsonObject], str]] = field(default_factory=dict)
    reset_fields: tuple[str, ...] | None = None  # nobody gets to own these; None = status, or all but it
    storage: StoragePolicy
    storage_version: str = ""  # apiVersion under which the object is stored, "" = this one
    to_storage: Callable[[JsonObject], JsonObject] | None = None
    from_storage: Callable[[JsonObject], JsonObject] | None = None
    storage_version_hash: str = ""
    stored: Kind | None = (
        None  # the record of the stored version, of custom resources that are served in others too
    )
    structure: Structure | None = None  # the type of a custom resource, whose `schema` is ""
    convert: Callable[[Sequence[JsonObject], str], Awaitable[list[JsonObject]]] | None = (
        None  # by a webhook, to an apiVersion
    )
    on_read: Callable[[JsonObject], bool] | None = (
        None  # completes, in place, documents of older schemas; True = changed
    )
    deprecation: str = ""  # text of the Warning header of every answer, "" = not deprecated
    creation_refusal: str = ""  # why nothing can be created any more, "" = it can

    @property
    def api_version(self) -> str:
        """Return "v1" or "group/version"."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def storage_group(self) -> str:
        """Return the group of the stored version, in which validation errors speak of an object."""
        return self.storage_version.rpartition("/")[0] if self.storage_version else self.group

    @property
    def resource(self) -> Resource:
        """Return the address of its objects for clients."""
        return Resource(self.group, self.version, self.plural, self.kind, self.namespaced)

    def find_subresource(self, name: str) -> Subresource | None:
        """Return the subresource called `name`, if there is one."""
        return next((one for one in self.subresources if one.name == name), None)
