"""Checks of CustomResourceDefinitions but for their schemas.

Messages name fields as upstream's internal form has them: what all versions share is looked at as one (`spec.validation`, not
`spec.versions[0].schema`).
Source: k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import FieldError, duplicate, forbidden_field, invalid_value, not_supported, required
from k3py.api.kinds.apiextensions.custom_resource_definition.schemas import validate_schema
from k3py.api.names import find_dns1035_faults, find_subdomain_faults
from k3py.api.validation.webhook_client import validate_client, validate_reviews

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from k3py.jsontypes import JsonObject, JsonValue

APPROVED: Final = "api-approved.kubernetes.io"
_COLUMN_TYPES: Final = ("integer", "number", "string", "boolean", "date")
_COLUMN_FORMATS: Final = ("int32", "int64", "float", "double", "byte", "date", "date-time", "password")
_MOST_SELECTABLE: Final = 8


def validate(obj: JsonObject) -> list[FieldError]:
    """Check a definition that is to be created."""
    spec = obj["spec"]
    names = spec.get("names") or {}
    errors: list[FieldError] = []
    name = obj["metadata"].get("name", "")
    if name != f"{names.get('plural', '')}.{spec.get('group', '')}":
        errors.append(invalid_value("metadata.name", name, 'must be spec.names.plural+"."+spec.group'))
    errors += _validate_spec(spec)
    errors += _validate_stored(obj)
    return errors + _validate_approval(obj)


def validate_update(new: JsonObject, old: JsonObject) -> list[FieldError]:
    """Check a definition that is to be changed."""
    spec, before = new["spec"], old["spec"]
    errors = _validate_spec(spec) + _validate_stored(new)
    frozen = ["group", "names.plural"]
    if _is_established(old):
        frozen += ["scope", "names.kind"]
    for path in frozen:
        value = _find(spec, path)
        if value != _find(before, path):
            errors.append(invalid_value(f"spec.{path}", value, "field is immutable"))
    if APPROVED in (old["metadata"].get("annotations") or {}) or not _is_protected(before.get("group", "")):
        errors += _validate_approval(new)
    return errors


def _find(spec: JsonObject, path: str) -> JsonValue:
    value: JsonValue = spec
    for key in path.split("."):
        value = (value or {}).get(key)
    return value


def _is_established(obj: JsonObject) -> bool:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


def _is_protected(group: str) -> bool:
    return f".{group}".endswith((".k8s.io", ".kubernetes.io"))


def _validate_approval(obj: JsonObject) -> list[FieldError]:
    if not _is_protected(obj["spec"].get("group", "")):
        return []
    path = f"metadata.annotations[{APPROVED}]"
    value = (obj["metadata"].get("annotations") or {}).get(APPROVED, "")
    if not value:
        return [required(path, 'protected groups must have approval annotation "api-approved.kubernetes.io"')]
    if value.startswith(("https://", "http://", "unapproved")):
        return []
    return [
        invalid_value(
            path, value, "protected groups must have approval annotation with either a URL or a reason"
        )
    ]


def _validate_stored(obj: JsonObject) -> list[FieldError]:
    path = "status.storedVersions"
    stored = (obj.get("status") or {}).get("storedVersions") or []
    known = {one["name"]: bool(one.get("storage")) for one in obj["spec"].get("versions") or ()}
    if not stored:
        return [invalid_value(path, stored, "must have at least one stored version")]
    errors = [
        invalid_value(f"{path}[{index}]", one, "must appear in spec.versions")
        for index, one in enumerate(stored)
        if one not in known
    ]
    errors += [
        invalid_value(path, stored, f"must have the storage version {name}")
        for name, is_storage in known.items()
        if is_storage and name not in stored
    ]
    return errors


def _validate_spec(spec: JsonObject) -> list[FieldError]:
    errors = [*_validate_group(spec), *_validate_scope(spec), *_validate_versions(spec)]
    if spec.get("preserveUnknownFields"):
        errors.append(
            invalid_value(
                "spec.preserveUnknownFields",
                True,
                "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in "
                "spec.versions[*].schema instead",
            )
        )
    errors += _validate_names(spec.get("names") or {})
    for field, path, value in _shared(spec):
        match field:
            case "schema":
                errors += _validate_openapi(value, path, spec)
            case "subresources":
                errors += _validate_subresources(value or {}, path)
            case "additionalPrinterColumns":
                for index, column in enumerate(value or ()):
                    errors += _validate_column(column, f"{path}[{index}]")
    errors += _validate_selectable(spec)
    return errors + _validate_conversion(spec.get("conversion") or {})


def _validate_group(spec: JsonObject) -> list[FieldError]:
    group = spec.get("group", "")
    if not group:
        return [required("spec.group")]
    faults = find_subdomain_faults(group)
    if not faults and "." not in group:
        faults = ["should be a domain with at least one dot"]
    return [invalid_value("spec.group", group, "; ".join(faults))] if faults else []


def _validate_scope(spec: JsonObject) -> list[FieldError]:
    scope = spec.get("scope", "")
    if not scope:
        return [required("spec.scope")]
    return (
        []
        if scope in ("Cluster", "Namespaced")
        else [not_supported("spec.scope", scope, ("Cluster", "Namespaced"))]
    )


def _validate_versions(spec: JsonObject) -> list[FieldError]:
    versions = spec.get("versions") or []
    errors: list[FieldError] = []
    for index, one in enumerate(versions):
        path = f"spec.versions[{index}]"
        faults = find_dns1035_faults(one.get("name", ""))
        if faults:
            errors.append(invalid_value(f"{path}.name", one.get("name", ""), "; ".join(faults)))
            if index == 0:  # in the internal form the first one is the version of old, too
                errors.append(invalid_value("spec.version", one.get("name", ""), "; ".join(faults)))
        warning = one.get("deprecationWarning")
        if warning is not None:
            errors += _validate_deprecation(one, warning, f"{path}.deprecationWarning")
        if (one.get("schema") or {}).get("openAPIV3Schema") is None:
            errors.append(required(f"{path}.schema.openAPIV3Schema", "schemas are required"))
    names = [one.get("name", "") for one in versions]
    if len(set(names)) < len(names):
        errors.append(invalid_value("spec.versions", names, "must contain unique version names"))
    if sum(bool(one.get("storage")) for one in versions) != 1:
        errors.append(
            invalid_value("spec.versions", names, "must have exactly one version marked as storage version")
        )
    return errors


def _validate_deprecation(version: JsonObject, text: str, path: str) -> list[FieldError]:
    if not version.get("deprecated"):
        return [invalid_value(path, text, "can only be set for deprecated versions")]
    if len(text) > 256:
        return [invalid_value(path, text, "must be <= 256 characters long")]
    if not text:
        return [invalid_value(path, text, "must not be an empty string")]
    if not text.isprintable():
        return [invalid_value(path, text, "must only contain printable UTF-8 characters")]
    return []


def _validate_names(names: JsonObject) -> list[FieldError]:
    path = "spec.names"
    errors = [
        required(f"{path}.{key}") for key in ("plural", "singular", "kind", "listKind") if not names.get(key)
    ]
    for key in ("plural", "singular"):
        errors += _validate_name(names.get(key) or "", f"{path}.{key}")
    for key in ("kind", "listKind"):
        if names.get(key) and (faults := find_dns1035_faults(names[key].lower())):
            text = "may have mixed case, but should otherwise match: " + "; ".join(faults)
            errors.append(invalid_value(f"{path}.{key}", names[key], text))
    for key in ("shortNames", "categories"):
        for index, one in enumerate(names.get(key) or ()):
            errors += _validate_name(one, f"{path}.{key}[{index}]")
    if names.get("kind") and names["kind"] == names.get("listKind"):
        errors.append(
            invalid_value(f"{path}.listKind", names["listKind"], "kind and listKind may not be the same")
        )
    return errors


def _validate_name(name: str, path: str) -> list[FieldError]:
    faults = find_dns1035_faults(name) if name else []
    return [invalid_value(path, name, "; ".join(faults))] if faults else []


_TOP_LEVEL: Final = {
    "schema": "spec.validation",
    "subresources": "spec.subresources",
    "additionalPrinterColumns": "spec.additionalPrinterColumns",
    "selectableFields": "spec.selectableFields",
}


def _shared(spec: JsonObject) -> Iterator[tuple[str, str, JsonValue]]:
    """Yield (field, path, value) of what versions define: once when all agree, else by version."""
    versions = spec.get("versions") or []
    for field, path in _TOP_LEVEL.items():
        values = [one.get(field) for one in versions]
        if values and all(one == values[0] for one in values):
            yield field, path, values[0]
        else:
            for index, value in enumerate(values):
                yield field, f"spec.versions[{index}].{field}", value


def _validate_openapi(value: JsonObject | None, path: str, spec: JsonObject) -> list[FieldError]:
    schema = (value or {}).get("openAPIV3Schema")
    if schema is None:
        return []
    has_status = any(
        (one.get("subresources") or {}).get("status") is not None and one.get("schema") == value
        for one in spec.get("versions") or ()
    )
    return validate_schema(schema, f"{path}.openAPIV3Schema", has_status=has_status)


def _validate_subresources(value: JsonObject, path: str) -> list[FieldError]:
    scale = value.get("scale")
    if scale is None:
        return []
    errors: list[FieldError] = []
    for key, head in (("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")):
        errors += _validate_scale_path(scale.get(key) or "", f"{path}.scale.{key}", (head,), is_needed=True)
    selector = scale.get("labelSelectorPath") or ""
    heads = (".spec.", ".status.")
    return errors + _validate_scale_path(selector, f"{path}.scale.labelSelectorPath", heads, is_needed=False)


def _validate_scale_path(
    value: str, path: str, heads: tuple[str, ...], *, is_needed: bool
) -> list[FieldError]:
    if not value:
        return [required(path)] if is_needed else []
    if not value.startswith("."):
        return [invalid_value(path, value, "must be a simple json path starting with .")]
    if not value.startswith(heads):
        return [invalid_value(path, value, f"should be a json path under {' or '.join(heads)}")]
    return []


def _validate_column(column: JsonObject, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if not column.get("name"):
        errors.append(required(f"{path}.name"))
    kind, form, where = column.get("type", ""), column.get("format", ""), column.get("jsonPath", "")
    if not kind:
        errors.append(required(f"{path}.type", f"must be one of {','.join(_COLUMN_TYPES)}"))
    elif kind not in _COLUMN_TYPES:
        errors.append(invalid_value(f"{path}.type", kind, f"must be one of {','.join(_COLUMN_TYPES)}"))
    if form and form not in _COLUMN_FORMATS:
        errors.append(invalid_value(f"{path}.format", form, f"must be one of {','.join(_COLUMN_FORMATS)}"))
    if not where:
        errors.append(required(f"{path}.JSONPath"))
    elif not where.startswith("."):
        errors.append(invalid_value(f"{path}.JSONPath", where, "must be a simple json path starting with ."))
    return errors


def _validate_selectable(spec: JsonObject) -> list[FieldError]:
    errors: list[FieldError] = []
    versions = spec.get("versions") or []
    values = [one.get("selectableFields") for one in versions]
    if values and all(one == values[0] for one in values):
        pairs = [("spec.selectableFields", versions[0], values[0])]
    else:
        pairs = [
            (f"spec.versions[{index}].selectableFields", one, values[index])
            for index, one in enumerate(versions)
        ]
    for path, version, fields in pairs:
        schema = (version.get("schema") or {}).get("openAPIV3Schema") or {}
        errors += _validate_selectable_fields(fields or (), schema, path)
    return errors


def _validate_selectable_fields(
    fields: Sequence[JsonObject], schema: JsonObject, path: str
) -> list[FieldError]:
    errors: list[FieldError] = []
    if len(fields) > _MOST_SELECTABLE:
        errors.append(
            FieldError(path, "FieldValueTooMany", f"must have at most {_MOST_SELECTABLE} items", len(fields))
        )
        return errors
    seen: set[str] = set()
    for index, field in enumerate(fields):
        where = f"{path}[{index}].jsonPath"
        text = field.get("jsonPath", "")
        if not text:
            errors.append(required(where))
        elif text in seen:
            errors.append(duplicate(where, text))
        elif fault := _selectable_fault(text, schema):
            errors.append(invalid_value(where, text, fault))
        seen.add(text)
    return errors


def _selectable_fault(text: str, schema: JsonObject) -> str:
    if not text.startswith("."):
        return "must be a simple json path starting with ."
    parts = text[1:].split(".")
    if not all(parts) or any("[" in part for part in parts):
        return "does not refer to a valid field"
    if parts[0] == "metadata":
        return "must not point to fields in metadata"
    place: JsonValue = schema
    for part in parts:
        place = (place.get("properties") or {}).get(part) if place else None
    if place is None:
        return "does not refer to a valid field"
    if place.get("type") not in ("string", "boolean", "integer"):
        return "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed."
    return ""


def _validate_conversion(conversion: JsonObject) -> list[FieldError]:
    path = "spec.conversion"
    strategy = conversion.get("strategy", "")
    webhook = conversion.get("webhook")
    config, reviews = (
        (webhook or {}).get("clientConfig"),
        (webhook or {}).get("conversionReviewVersions") or [],
    )
    if strategy == "None":
        errors = []
        if config:
            errors.append(
                forbidden_field(
                    f"{path}.webhookClientConfig", "should not be set when strategy is not set to Webhook"
                )
            )
        if reviews:
            errors.append(
                forbidden_field(
                    f"{path}.conversionReviewVersions",
                    "should not be set when strategy is not set to Webhook",
                )
            )
        return errors
    if not strategy:
        return [required(f"{path}.strategy")]
    if strategy != "Webhook":
        return [not_supported(f"{path}.strategy", strategy, ("None", "Webhook"))]
    if config is None:
        errors = [required(f"{path}.webhookClientConfig", "required when strategy is set to Webhook")]
    else:
        errors = validate_client(config, f"{path}.webhookClientConfig")
    return errors + validate_reviews(reviews, f"{path}.conversionReviewVersions")
