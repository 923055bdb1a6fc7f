"""Patches for the fake client: JSON patch, merge patch, and strategic merge that guesses the merge key from the list's name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api import status
from k3py.api.object import deep_copy

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject, JsonValue

MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "env": "name",
    "imagePullSecrets": "name",
    "volumeMounts": "mountPath",
    "conditions": "type",
    "addresses": "type",
    "ownerReferences": "uid",
    "taints": "key",
    "hostAliases": "ip",
    "podIPs": "ip",
}
PRIMITIVE_SETS = ("finalizers", "podCIDRs")


def merge(target: JsonObject, patch: JsonValue) -> JsonObject:
    """Apply an RFC 7386 merge patch and return the result."""
    result: JsonObject = deep_copy(target)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            old = result.get(key)
            result[key] = merge(old if isinstance(old, dict) else {}, value)
        else:
            result[key] = deep_copy(value)
    return result


def strategic_merge(target: JsonObject, patch: JsonValue) -> JsonObject:
    """Apply a strategic merge patch and return the result; knows $patch: delete and replace, $deleteFromPrimitiveList."""
    result: JsonObject = deep_copy(target)
    if patch.get("$patch") == "replace":
        return {key: deep_copy(value) for key, value in patch.items() if key != "$patch"}
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            field = key.partition("/")[2]
            result[field] = [one for one in result.get(field, []) if one not in value]
        elif key.startswith("$"):
            continue
        elif value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            old = result.get(key)
            result[key] = strategic_merge(old if isinstance(old, dict) else {}, value)
        elif isinstance(value, list):
            result[key] = _merge_lists(key, result.get(key) or [], value)
        else:
            result[key] = value
    return result


def _merge_lists(field: str, old: list[JsonValue], new: list[JsonValue]) -> list[JsonValue]:
    if field in PRIMITIVE_SETS:
        return old + [one for one in new if one not in old]
    merge_key = MERGE_KEYS.get(field)
    if merge_key is None:
        return [one for one in deep_copy(new) if not (isinstance(one, dict) and one.get("$patch"))]
    if any(one.get("$patch") == "replace" for one in new):
        return [deep_copy(one) for one in new if "$patch" not in one]
    result = list(old)
    for one in new:
        at = next((i for i, x in enumerate(result) if x.get(merge_key) == one.get(merge_key)), None)
        if one.get("$patch") == "delete":
            if at is not None:
                del result[at]
        elif at is None:
            result.append(deep_copy(one))
        else:
            result[at] = strategic_merge(result[at], one)
    return result


def apply_json_patch(target: JsonObject, patch: JsonValue) -> JsonObject:
    """Apply an RFC 6902 patch (add, remove, replace, test) and return the result."""
    result: JsonObject = deep_copy(target)
    for operation in patch:
        parts = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        parent: JsonValue = result
        for part in parts[:-1]:
            parent = parent[int(part)] if isinstance(parent, list) else parent[part]
        _apply_operation(parent, parts[-1], operation)
    return result


def _apply_operation(parent: JsonValue, last: str, operation: JsonObject) -> None:
    name = operation["op"]
    if isinstance(parent, list):
        at = len(parent) if last == "-" else int(last)
        if name == "add":
            parent.insert(at, deep_copy(operation["value"]))
            return
        last_key: JsonValue = at
        known = at < len(parent)
    else:
        last_key, known = last, last in parent
    match name:
        case "add":
            parent[last_key] = deep_copy(operation["value"])
        case "replace" if known:
            parent[last_key] = deep_copy(operation["value"])
        case "remove" if known:
            del parent[last_key]
        case "test" if known and parent[last_key] == operation["value"]:
            pass
        case _:
            raise status.ApiError(422, "Invalid", f"the server rejected our request: {operation}")
