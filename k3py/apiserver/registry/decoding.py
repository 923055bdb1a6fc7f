"""From a request's document to an object of the kind: version, types, unknown fields, defaults, name and namespace.

Source: k8s.io/apiserver/pkg/endpoints/handlers/{create,update,rest}.go v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.fielderror import FieldError
from k3py.api.status import bad_request, invalid
from k3py.apiserver.registry.duplicates import find_duplicate_fields

if TYPE_CHECKING:
    from k3py.api.kind import Kind
    from k3py.apiserver.registry.call import Call
    from k3py.jsontypes import JsonObject, JsonValue


def decode_object(call: Call, kind: Kind, *, field_validation: str) -> JsonObject:
    """Return the request's body as an object of `kind`, pruned and defaulted.

    Raises:
        ApiError: 400.
    """
    body = call.request.body
    obj: JsonObject = {} if body is None else body
    if not isinstance(obj, dict):
        raise bad_request(f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}')
    check_type(kind, obj)
    problems = normalise(call, kind, obj)
    if field_validation != "Ignore":
        problems = [f'unknown field "{path}"' for path in problems]
        if call.request.raw_body:
            problems += [
                f'duplicate field "{path}"' for path in find_duplicate_fields(call.request.raw_body, body)
            ]
        if problems and field_validation == "Strict":
            raise bad_request(
                f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: '
                f"strict decoding error: {', '.join(problems)}"
            )
        call.request.warnings.extend(problems)
    call.services.schemas.default(kind, obj)
    return obj


def decode_patched(call: Call, kind: Kind, obj: JsonObject, *, field_validation: str) -> JsonObject:
    """Prune and default the outcome of a patch in place.

    Raises:
        ApiError: 422 for unknown fields under strict validation, 400 for another kind.
    """
    check_type(kind, obj)
    problems = normalise(call, kind, obj)
    problems = [f'unknown field "{path}"' for path in problems]
    if problems and field_validation == "Strict":
        raise invalid(
            kind.group,
            kind.kind,
            call.request.name,
            [_patch_fault(call.request.body, f"strict decoding error: {', '.join(problems)}")],
        )
    if field_validation == "Warn":
        call.request.warnings.extend(problems)
    call.services.schemas.default(kind, obj)
    return obj


def _patch_fault(patch: JsonValue, text: str) -> FieldError:
    return FieldError("patch", "FieldValueInvalid", text, patch)


def normalise(call: Call, kind: Kind, obj: JsonObject) -> list[str]:
    """Check types and drop unknown fields; return the paths of those."""
    metadata = obj.get("metadata")
    if metadata is None:
        obj["metadata"] = {}
    elif not isinstance(metadata, dict):
        raise bad_request(
            f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: json: cannot unmarshal '
            f"into Go struct field {kind.kind}.metadata of type v1.ObjectMeta"
        )
    if faults := call.services.schemas.check_types(kind, obj):
        raise bad_request(
            f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {faults[0]}'
        )
    return call.services.schemas.prune(kind, obj)


def check_type(kind: Kind, obj: JsonObject) -> None:
    """Check apiVersion and kind, and fill them in where they are missing.

    Raises:
        ApiError: 400, the document is something else.
    """
    version = obj.get("apiVersion") or kind.api_version
    name = obj.get("kind") or kind.kind
    if version != kind.api_version:
        raise bad_request(
            f"the API version in the data ({version}) does not match the expected API version ({kind.api_version})"
        )
    if name != kind.kind:
        raise bad_request(
            f'{name} in version "{kind.version}" cannot be handled as a {kind.kind}: '
            f"no kind {name!r} is expected here"
        )
    obj["apiVersion"] = version
    obj["kind"] = name


def settle_namespace(kind: Kind, obj: JsonObject, namespace: str) -> None:
    """Put the request's namespace into the object.

    Raises:
        ApiError: 400, the object names another one.
    """
    metadata = obj["metadata"]
    if not kind.namespaced:
        metadata.pop("namespace", None)
        return
    own = metadata.get("namespace") or ""
    if own and own != namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    metadata["namespace"] = namespace


def check_name(obj: JsonObject, name: str) -> None:
    """Check that the object is the one that the URL names.

    Raises:
        ApiError: 400.
    """
    own = obj["metadata"].get("name") or ""
    if own == name:
        return
    if not own:
        raise bad_request(
            f"the name of the object ({name} based on URL) was undeterminable: name must be provided"
        )
    raise bad_request(f"the name of the object ({own}) does not match the name on the URL ({name})")
