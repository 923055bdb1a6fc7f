"""JSON Patch (RFC 6902) as the Kubernetes API applies it.

Upstream's library is laxer than the RFC: `replace` of a missing key adds it, indexes may be negative, text before the first slash of a
path is ignored, the root cannot be addressed. Source: github.com/evanphx/json-patch v4; k8s.io/apiserver handlers/patch.go v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from k3py.api.object import deep_copy
from k3py.api.status import ApiError, bad_request

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject, JsonValue

MAX_OPERATIONS: Final = 10_000
MOST_COPIED_BYTES: Final = 3 * 1024 * 1024


class _Fault(Exception):
    """An operation that does not apply."""


def apply_json_patch(doc: JsonObject, patch: JsonValue) -> JsonObject:
    """Return `doc` with the operations applied; `doc` is left alone.

    Raises:
        ApiError: 400 the patch is no list of objects or nests too deeply, 413 too many operations, 422 an operation does not apply.
    """
    if not isinstance(patch, list) or not all(isinstance(one, dict) for one in patch):
        found = "object" if isinstance(patch, dict) else "array" if isinstance(patch, list) else "string"
        text = f"error decoding patch: json: cannot unmarshal {found} into Go value of type []handlers.jsonPatchOp"
        raise bad_request(text)
    if len(patch) > MAX_OPERATIONS:
        text = f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(patch)}"
        raise ApiError(413, "RequestEntityTooLarge", text)
    result: JsonObject = deep_copy(doc)
    copied = 0
    for operation in patch:
        try:
            if operation.get("op") == "copy":
                copied = _count_copied(result, operation, copied)
            _apply(result, operation)
        except RecursionError as error:
            raise bad_request("exceeded max depth") from error
        except _Fault as fault:
            text = f"the server rejected our request due to an error in our request: {fault}"
            raise ApiError(422, "Invalid", text, details={}) from fault
    return result


def _apply(doc: JsonObject, operation: JsonObject) -> None:
    name = operation.get("op")
    if name not in ("add", "remove", "replace", "move", "copy", "test"):
        raise _Fault(f"Unexpected kind: {name}")
    path = _text(operation, "path")
    if name in ("move", "copy"):
        source = _text(operation, "from")
        container, key = _find(doc, source)
        value = _get(container, key)
        if name == "move":
            _remove(container, key, source)
        container, key = _find(doc, path)
        _add(container, key, deep_copy(value))
        return
    container, key = _find(doc, path)
    if name == "remove":
        _remove(container, key, path)
    elif name == "add":
        _add(container, key, deep_copy(operation.get("value")))
    elif name == "replace":
        _replace(container, key, deep_copy(operation.get("value")))
    elif not equal(_get(container, key), operation.get("value")):
        raise _Fault(f"testing value {path} failed: test failed")


def _count_copied(doc: JsonObject, operation: JsonObject, before: int) -> int:
    """Add the bytes of what a copy would add: ten thousand of them could double a document each time."""
    try:
        copied = before + len(orjson.dumps(_get(*_find(doc, _text(operation, "from")))))
    except orjson.JSONEncodeError as error:
        raise RecursionError from error
    if copied > MOST_COPIED_BYTES:
        raise _Fault(
            f"Unable to complete the copy, the accumulated size increase of copy is {copied}, "
            f"exceeding the limit {MOST_COPIED_BYTES}"
        )
    return copied


def _text(operation: JsonObject, key: str) -> str:
    value = operation.get(key)
    if not isinstance(value, str):
        raise _Fault(f"missing {key} in operation")
    return value


def _find(doc: JsonObject, path: str) -> tuple[JsonValue, str]:
    """Return the container that the last part of a pointer names an entry of, and that part."""
    parts = path.split("/")[1:]
    if not parts:
        raise _Fault(f"missing container of {path!r}")
    keys = [part.replace("~1", "/").replace("~0", "~") for part in parts]
    container: JsonValue = doc
    for key in keys[:-1]:
        container = _get(container, key)
        if not isinstance(container, dict | list):
            raise _Fault(f"doc is missing path: {path}")
    return container, keys[-1]


def _index(key: str, size: int) -> int:
    try:
        index = int(key)
    except ValueError as error:
        raise _Fault(f"invalid array index {key!r}") from error
    if not -size <= index < size:
        raise _Fault(f"Unable to access invalid index: {index}")
    return index + size if index < 0 else index


def _get(container: JsonValue, key: str) -> JsonValue:
    if isinstance(container, dict):
        return container.get(key)
    return container[_index(key, len(container))]


def _add(container: JsonValue, key: str, value: JsonValue) -> None:
    if isinstance(container, dict):
        container[key] = value
    elif key == "-":
        container.append(value)
    else:
        container.insert(_index(key, len(container) + 1), value)


def _replace(container: JsonValue, key: str, value: JsonValue) -> None:
    if isinstance(container, dict):
        container[key] = value
    else:
        container[_index(key, len(container))] = value


def _remove(container: JsonValue, key: str, path: str) -> None:
    if isinstance(container, list):
        del container[_index(key, len(container))]
    elif key in container:
        del container[key]
    else:
        raise _Fault(f"remove operation does not apply: doc is missing key: {path}")


def equal(left: JsonValue, right: JsonValue) -> bool:
    """Compare JSON values; unlike ==, true is not 1."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(left == right)
