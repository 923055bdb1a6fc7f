"""From a request's document to an object of the kind: version, types, unknown fields, defaults, name and namespace.

Source: k8s.io/apiserver/pkg/endpoints/handlers/{create,update,patch,rest}.go v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from k3py.api.fielderror import FieldError, invalid_value
from k3py.api.schema.decoder import TypeFault
from k3py.api.schema.duplicates import find_duplicate_fields
from k3py.api.status import ApiError, bad_request, invalid
from k3py.api.structural.numbers import DEEPEST
from k3py.errors import K3pyError

if TYPE_CHECKING:
    from k3py.api.kind import Kind
    from k3py.apiserver.registry.call import Call
    from k3py.jsontypes import JsonObject, JsonValue

_MERGE: Final = "application/merge-patch+json"
_STRATEGIC: Final = "application/strategic-merge-patch+json"


def decode_object(call: Call, kind: Kind, *, field_validation: str) -> JsonObject:
    """Return the request's body as an object of `kind`, pruned and defaulted.

    Raises:
        ApiError: 400.
    """
    body = {} if call.request.body is None else call.request.body
    check_request_depth(call)
    subject = f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}'
    if not isinstance(body, dict):
        raise bad_request(subject)
    check_type(kind, body)
    try:
        obj, unknown = call.services.schemas.decode(kind, body)
    except ApiError:
        raise
    except K3pyError as fault:
        raise bad_request(f"{subject}: {fault_text(fault)}") from fault
    if field_validation != "Ignore":
        problems = [f'unknown field "{path}"' for path in unknown]
        problems += [f'duplicate field "{path}"' for path in _find_duplicates(call)]
        if problems and field_validation == "Strict":
            raise bad_request(f"{subject}: strict decoding error: {', '.join(problems)}")
        call.request.warnings.extend(problems)
    _complete(kind, obj)
    call.services.schemas.default(kind, obj)
    return obj


def _find_duplicates(call: Call) -> list[str]:
    """Return paths of keys that stand twice; bodies without, nearly all, are found out by counting keys."""
    raw = call.request.raw_body
    if not raw or raw.count(b'":') == orjson.dumps(call.request.body).count(b'":'):
        return []
    return find_duplicate_fields(raw)


def check_request_depth(call: Call) -> None:
    """Check that a body is not nested too deeply; counting brackets tells at once of nearly all. Raises ApiError 400."""
    raw = call.request.raw_body
    if raw.count(b"{") + raw.count(b"[") > DEEPEST:
        check_depth(call.request.body)


def check_depth(body: JsonValue) -> None:
    """Check that a document is not nested too deeply to be decoded and stored. Raises ApiError 400."""
    level: list[JsonValue] = [body]
    for _ in range(DEEPEST):
        level = [
            inner
            for one in level
            for inner in (one.values() if isinstance(one, dict) else one if isinstance(one, list) else ())
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise bad_request("exceeded max depth")


def decode_patched(call: Call, kind: Kind, patched: JsonObject, *, field_validation: str) -> JsonObject:
    """Return the outcome of a patch as an object of `kind`, pruned and defaulted.

    Raises:
        ApiError: 422 for wrong types, and for unknown fields under strict validation; 400 for another kind.
    """
    if kind.structure is not None:
        _check_custom_type(kind, patched, patched=True)
    else:
        check_type(kind, patched)
    try:
        obj, unknown = call.services.schemas.decode(kind, patched)
    except ApiError:
        raise
    except K3pyError as fault:
        raise _patch_fault(call, _patched_text(call, fault), patched) from fault
    problems = [f'unknown field "{path}"' for path in unknown]
    if field_validation != "Ignore" and call.request.patch_type in (_MERGE, _STRATEGIC):
        problems[:0] = [f'duplicate field "{path}"' for path in _find_duplicates(call)]
    if problems and field_validation == "Strict":
        raise _patch_fault(call, f"strict decoding error: {', '.join(problems)}", patched)
    if field_validation == "Warn":
        call.request.warnings.extend(problems)
    _complete(kind, obj)
    call.services.schemas.default(kind, obj)
    return obj


def fault_text(fault: K3pyError) -> str:
    """Return what a decoder found wrong, in Go's words where it knows them."""
    message = getattr(fault, "message", None)
    return str(message() if callable(message) else fault)


def _patch_fault(call: Call, text: str, patched: JsonObject) -> ApiError:
    """422 on field "patch": of strategic patches the patch, of others the outcome, is the invalid value."""
    strategic = call.request.patch_type == _STRATEGIC
    value = _go_text(call.request.body) if strategic else orjson.dumps(patched).decode()
    return invalid("", "", "", [FieldError("patch", "FieldValueInvalid", text, value)])


def _patched_text(call: Call, fault: K3pyError) -> str:
    """Return what upstream says: strategic patches go through a converter of maps, others through the JSON decoder.

    Source: k8s.io/apimachinery/pkg/runtime/converter.go v0.35.
    """
    if call.request.patch_type != _STRATEGIC or not isinstance(fault, TypeFault):
        return fault_text(fault)
    if fault.text:
        is_bytes = fault.wanted == "[]uint8"
        return f"error decoding from json: {fault.text}" if is_bytes else fault.text
    found = {"array": "slice", "object": "map", "number": "int64"}.get(fault.found, fault.found)
    if fault.wanted.startswith("[]"):
        return f"cannot restore slice from {found}"
    if fault.wanted.startswith("map["):
        return f"cannot restore map from {found}"
    if "." in fault.wanted:
        return f"cannot restore struct from: {found}"
    return f"unrecognized type: {fault.wanted}"


def _go_text(value: JsonValue) -> str:
    """Format a value as Go's %+v does: maps in the order of their keys."""
    match value:
        case dict():
            return f"map[{' '.join(f'{key}:{_go_text(value[key])}' for key in sorted(value))}]"
        case list():
            return f"[{' '.join(_go_text(one) for one in value)}]"
        case bool():
            return "true" if value else "false"
        case None:
            return "<nil>"
    return str(value)


def _complete(kind: Kind, obj: JsonObject) -> None:
    obj["kind"] = kind.kind
    obj["apiVersion"] = kind.api_version
    if obj.get("metadata") is None:
        obj["metadata"] = {}


def check_type(kind: Kind, obj: JsonObject) -> None:
    """Check apiVersion and kind; they may be missing.

    Raises:
        ApiError: 400, the document is something else.
    """
    if kind.structure is not None:
        _check_custom_type(kind, obj)
        return
    version = obj.get("apiVersion") or kind.api_version
    name = obj.get("kind") or kind.kind
    if version != kind.api_version:
        raise bad_request(
            f"the API version in the data ({version}) does not match the expected API version ({kind.api_version})"
        )
    if name != kind.kind:
        raise bad_request(f'{name} in version "{kind.version}" cannot be handled as a {kind.kind}')


def _check_custom_type(kind: Kind, obj: JsonObject, *, patched: bool = False) -> None:
    """Check apiVersion and kind of a custom resource, which must be there.

    Source: k8s.io/apiextensions-apiserver/pkg/apiserver/validation and its scheme's decoder v0.35.
    """
    version, name = obj.get("apiVersion"), obj.get("kind")
    if not name or not isinstance(name, str):
        raise bad_request("Object 'Kind' is missing")
    if version != kind.api_version:
        if not patched:
            raise bad_request(
                f"the API version in the data ({version or ''}) does not match the expected API version "
                f"({kind.api_version})"
            )
        fault = invalid_value("apiVersion", version, f"must be {kind.api_version}")
        raise invalid(kind.group, name, _name_of(obj), [fault])
    if name != kind.kind:
        raise invalid(kind.group, name, _name_of(obj), [invalid_value("kind", name, f"must be {kind.kind}")])


def _name_of(obj: JsonObject) -> str:
    metadata = obj.get("metadata")
    return str(metadata.get("name") or "") if isinstance(metadata, dict) else ""


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
