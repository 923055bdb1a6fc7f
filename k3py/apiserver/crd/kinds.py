"""From a CustomResourceDefinition to the records of its kinds: one a served version, and the stored one."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from k3py.api.kind import Kind, ScalePaths, StoragePolicy, Subresource
from k3py.api.structural.structure import Structure
from k3py.apiserver.crd.columns import make_columns
from k3py.apiserver.crd.strategy import CustomResourceStrategy, find_value
from k3py.apiserver.registry.conversion import STORED_VERSION

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from k3py.jsontypes import JsonObject

    Converter = Callable[[Sequence[JsonObject], str], Awaitable[list[JsonObject]]]

_STATUS: Final = Subresource(name="status", verbs=("get", "patch", "update"))
_SCALE: Final = Subresource(
    name="scale", verbs=("get", "patch", "update"), kind="Scale", group="autoscaling", version="v1"
)
TERMINATING: Final = "create not allowed while custom resource definition is terminating"


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomKinds:
    """What a definition brings: `served` in the order of its versions, `stored` the one whose form the store holds."""

    served: tuple[Kind, ...]
    stored: Kind


def build_kinds(definition: JsonObject, convert: Converter | None = None) -> CustomKinds:
    """Build the records of an established definition, which is read-only and kept in parts; `convert`: by its webhook."""
    spec = definition["spec"]
    versions = spec["versions"]
    structures = {one["name"]: _structure(one, spec) for one in versions}
    fields = {
        field["jsonPath"].removeprefix("."): _selectable(field["jsonPath"])
        for one in versions
        for field in one.get("selectableFields") or ()
    }
    storage = next(one for one in versions if one.get("storage"))
    stored = replace(
        _build(definition, storage, structures[storage["name"]]),
        selectable_fields=fields,
        on_read=_reader(structures, storage["name"], spec["group"], by_webhook=convert is not None),
        convert=convert,
    )
    served = []
    for one in versions:
        if not one.get("served"):
            continue
        kind = _build(definition, one, structures[one["name"]])
        is_storage = one is storage
        served.append(
            replace(
                kind,
                stored=stored,
                convert=convert,
                from_storage=None if is_storage else _converter(structures[one["name"]]),
                on_read=stored.on_read if is_storage else None,
            )
        )
    return CustomKinds(served=tuple(served), stored=stored)


def _structure(version: JsonObject, spec: JsonObject) -> Structure:
    schema = (version.get("schema") or {}).get("openAPIV3Schema")
    return Structure(schema or {}, preserves=schema is None or bool(spec.get("preserveUnknownFields")))


def _build(definition: JsonObject, version: JsonObject, structure: Structure) -> Kind:
    spec = definition["spec"]
    group, name = spec["group"], version["name"]
    names = (definition.get("status") or {}).get("acceptedNames") or spec["names"]
    parts = version.get("subresources") or {}
    scale = _scale_paths(parts["scale"]) if parts.get("scale") is not None else None
    has_status = parts.get("status") is not None
    subresources = ((_STATUS,) if has_status else ()) + ((_SCALE,) if scale is not None else ())
    storage = next(one["name"] for one in spec["versions"] if one.get("storage"))
    return Kind(
        group=group,
        version=name,
        kind=names["kind"],
        plural=names["plural"],
        singular=names.get("singular") or names["kind"].lower(),
        list_kind=names.get("listKind") or f"{names['kind']}List",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        namespaced=spec["scope"] == "Namespaced",
        strategy=CustomResourceStrategy(structure, has_status=has_status, scale=scale),
        subresources=subresources,
        scale=scale,
        columns=make_columns(version.get("additionalPrinterColumns")),
        selectable_fields={
            field["jsonPath"].removeprefix("."): _selectable(field["jsonPath"])
            for field in version.get("selectableFields") or ()
        },
        storage=StoragePolicy(prefix=f"{group}/{names['plural']}"),
        storage_version=f"{group}/{storage}",
        storage_version_hash=_storage_hash(group, storage, names["kind"]),
        structure=structure,
        deprecation=_deprecation(version, group, names["kind"]),
        creation_refusal=TERMINATING if definition["metadata"].get("deletionTimestamp") else "",
    )


def _scale_paths(scale: JsonObject) -> ScalePaths:
    return ScalePaths(
        spec_replicas=scale["specReplicasPath"],
        status_replicas=scale["statusReplicasPath"],
        label_selector=scale.get("labelSelectorPath") or "",
    )


def _selectable(path: str) -> Callable[[JsonObject], str]:
    def find(obj: JsonObject) -> str:
        value = find_value(obj, path)
        if isinstance(value, bool):
            return "true" if value else "false"
        return "" if value is None else str(value)

    return find


def _storage_hash(group: str, version: str, kind: str) -> str:
    """Source: k8s.io/apiserver/pkg/endpoints/discovery/storageversionhash.go."""
    return base64.b64encode(hashlib.sha256(f"{group}/{version}/{kind}".encode()).digest()[:8]).decode()


def _deprecation(version: JsonObject, group: str, kind: str) -> str:
    if not version.get("deprecated"):
        return ""
    return version.get("deprecationWarning") or f"{group}/{version['name']} {kind} is deprecated"


def _reader(
    structures: dict[str, Structure], storage: str, group: str, *, by_webhook: bool
) -> Callable[[JsonObject], bool]:
    """Return what brings a document from the datastore into today's form: its version's defaults, today's fields."""

    def read(obj: JsonObject) -> bool:
        version = str(obj.get("apiVersion", "")).rpartition("/")[2]
        changed = structures.get(version, structures[storage]).default(obj)
        if version != storage:
            stored, obj["apiVersion"] = obj["apiVersion"], f"{group}/{storage}"
            if by_webhook:
                obj[STORED_VERSION] = stored  # the webhook is asked when somebody looks
                return True
            changed = True
        return bool(structures[storage].prune(obj)) or changed

    return read


def _converter(structure: Structure) -> Callable[[JsonObject], JsonObject]:
    def convert(obj: JsonObject) -> JsonObject:
        structure.prune(obj)
        return obj

    return convert
