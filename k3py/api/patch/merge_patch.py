"""JSON Merge Patch (RFC 7386): objects merge, null removes, everything else replaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.object import deep_copy
from k3py.api.status import bad_request

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject, JsonValue


def apply_merge_patch(doc: JsonObject, patch: JsonValue) -> JsonObject:
    """Return `doc` with the patch merged in; `doc` is left alone.

    Raises:
        ApiError: 400 the patch is no object.
    """
    if not isinstance(patch, dict):
        found = "array" if isinstance(patch, list) else "string" if isinstance(patch, str) else "number"
        text = f"error decoding patch: json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"
        raise bad_request(text)
    return _merge(doc, patch)


def _merge(target: JsonValue, patch: JsonObject) -> JsonObject:
    result: JsonObject = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = _merge(result.get(key), value)
        else:
            result[key] = deep_copy(value)
    return {
        key: deep_copy(value) if key not in patch and isinstance(value, dict | list) else value
        for key, value in result.items()
    }
