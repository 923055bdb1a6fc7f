"""Strategic merge patch: lists merge by the schema's keys, directives say what merging cannot.

Directives: $patch (replace, delete), $retainKeys, $setElementOrder/<list>, $deleteFromPrimitiveList/<list>. They never end up in the
result. Order of merged lists follows upstream to the letter: one,two + three → one,three,two.
Source: k8s.io/apimachinery/pkg/util/strategicpatch v0.35; error codes from k8s.io/apiserver handlers/patch.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.object import deep_copy
from k3py.api.patch.json_patch import equal
from k3py.api.status import ApiError, bad_request

if TYPE_CHECKING:
    from k3py.api.schema.schemas import Schemas
    from k3py.api.schema.table import Field
    from k3py.jsontypes import JsonObject, JsonValue

_PATCH: Final = "$patch"
_RETAIN: Final = "$retainKeys"
_ORDER: Final = "$setElementOrder/"
_DELETE: Final = "$deleteFromPrimitiveList/"


def apply_strategic_patch(doc: JsonObject, patch: JsonValue, type_name: str, schemas: Schemas) -> JsonObject:
    """Return `doc` with the patch merged in; `doc` and `patch` are left alone.

    Unknown fields of the patch pass through; whoever decodes the result reports them.

    Raises:
        ApiError: 400 no object, or malformed directives; 500 (without a reason, like upstream) missing merge keys, unknown
            $patch values, an order list that does not fit.
    """
    if not isinstance(patch, dict):
        raise bad_request("Invalid JSON: cannot unmarshal into Go value of type map[string]interface {}")
    merger = _Merger(schemas)
    return merger.merge_map(deep_copy(doc), deep_copy(patch), type_name)


def _server_fault(message: str) -> ApiError:
    return ApiError(500, "", message)


class _Merger:
    """Merges in place; owns both documents."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas

    def _find_field(self, type_name: str, key: str) -> Field | None:
        return self._schemas.find_field(type_name, key) if type_name else None

    def merge_map(self, original: JsonObject, patch: JsonObject, type_name: str) -> JsonObject:
        """Merge a map or struct; `type_name` is "" below maps of scalars and unknown fields."""
        if _PATCH in patch:
            directive = patch.pop(_PATCH)
            if directive == "replace":
                cleaned: JsonObject = _clean(patch)
                return cleaned
            if directive == "delete":
                return {}
            raise _server_fault(f"Unknown patch type found: {directive}")
        _retain_keys(original, patch)
        for key in [key for key in patch if key.startswith(_ORDER)]:
            self._merge_ordered(original, patch, key, type_name)
        for key, value in patch.items():
            if key.startswith(_DELETE):
                self._delete_from_list(original, key, value)
            elif value is None:
                original.pop(key, None)
            elif key not in original or type(original[key]) is not type(value):
                original[key] = _clean(value)
            elif isinstance(value, dict):
                original[key] = self._merge_map_field(original[key], value, type_name, key)
            elif isinstance(value, list):
                original[key] = self._merge_list_field(original[key], value, type_name, key)
            else:
                original[key] = value
        return original

    def _merge_map_field(
        self, original: JsonObject, patch: JsonObject, type_name: str, key: str
    ) -> JsonObject:
        field = self._find_field(type_name, key)
        if field is None or field.card == "map":
            # Entries of a map of structs merge as their type, entries of other maps as they are.
            return self._merge_plain_map(original, patch, field.type if field is not None else "")
        if "replace" in field.patch_strategy.split(","):
            cleaned: JsonObject = _clean(patch)
            return cleaned
        return self.merge_map(original, patch, field.type)

    def _merge_plain_map(self, original: JsonObject, patch: JsonObject, value_type: str) -> JsonObject:
        if value_type and self._schemas.find(value_type) is not None and _PATCH not in patch:
            for key, value in list(patch.items()):
                if isinstance(value, dict) and isinstance(original.get(key), dict):
                    original[key] = self.merge_map(original[key], value, value_type)
                    del patch[key]
        return self.merge_map(original, patch, "")

    def _merge_list_field(
        self, original: list[JsonValue], patch: list[JsonValue], type_name: str, key: str
    ) -> list[JsonValue]:
        field = self._find_field(type_name, key)
        if field is None or "merge" not in field.patch_strategy.split(","):
            replaced: list[JsonValue] = _clean(patch)
            return replaced
        return self._merge_list(original, patch, field)

    def _delete_from_list(self, original: JsonObject, directive: str, value: JsonValue) -> None:
        key = _field_of(directive, _DELETE, "primitive list")
        present = original.get(key)
        if isinstance(present, list) and isinstance(value, list):
            original[key] = [one for one in present if one not in value]

    def _merge_ordered(self, original: JsonObject, patch: JsonObject, directive: str, type_name: str) -> None:
        """Merge a list together with its $setElementOrder, and take both out of the patch."""
        order = patch.pop(directive)
        key = _field_of(directive, _ORDER, "setElementOrder list")
        if not isinstance(order, list):
            raise _server_fault(f"expected a list for {directive}")
        old, new = original.get(key), patch.get(key)
        if not isinstance(old, list | None) or not isinstance(new, list | None):
            raise _server_fault(f"expected a list for {key}")
        field = self._find_field(type_name, key)
        merge_key = field.merge_key if field is not None else ""
        deleted = patch.get(_DELETE + key)
        _check_order(new or [], order, merge_key)
        if new is None and old is None:
            return
        if new is None:
            merged = old or []
        elif old is None:
            merged = [
                _clean(one) for one in new if not (isinstance(one, dict) and one.get(_PATCH) == "delete")
            ]
        else:
            merged = self._merge_list_field(old, new, type_name, key)
        if isinstance(deleted, list):
            merged = [one for one in merged if one not in deleted]
        original[key] = _normalize(merged, order, old or [], merge_key)
        patch.pop(key, None)

    def _merge_list(self, original: list[JsonValue], patch: list[JsonValue], field: Field) -> list[JsonValue]:
        if not original and not patch:
            return original
        merge_key = field.merge_key
        entries = [*original, *patch]
        if not all(isinstance(one, dict) for one in entries):
            if any(isinstance(one, dict | list) for one in entries):
                raise _server_fault("list element types are not identical")
            return _normalize(list(dict.fromkeys(entries)), patch, original, "")
        if not merge_key:
            raise _server_fault(f"cannot merge lists without merge key for {field.type}")
        original, patch = _apply_entry_directives(original, patch, merge_key)
        merged = list(original)
        for entry in patch:
            if merge_key not in entry:
                raise _server_fault(f"map: {entry} does not contain declared merge key: {merge_key}")
            at = _index(merged, entry, merge_key)
            if at is None:
                merged.append(_clean(entry))
            else:
                merged[at] = self.merge_map(merged[at], dict(entry), field.type)
        return _normalize(merged, patch, original, merge_key)


def _retain_keys(original: JsonObject, patch: JsonObject) -> None:
    if _RETAIN not in patch:
        return
    kept = patch.pop(_RETAIN)
    if not isinstance(kept, list) or any(
        value is not None and key not in kept and not key.startswith((_DELETE, _ORDER))
        for key, value in patch.items()
    ):
        raise bad_request("invalid patch format of retainKeys")
    for key in [key for key in original if key not in kept]:
        del original[key]


def _field_of(directive: str, prefix: str, what: str) -> str:
    parts = directive.split("/")
    if len(parts) != 2 or not directive.startswith(prefix):
        raise bad_request(f"invalid patch format of {what}")
    return parts[1]


def _apply_entry_directives(
    original: list[JsonValue], patch: list[JsonValue], merge_key: str
) -> tuple[list[JsonValue], list[JsonValue]]:
    """Do what entries with $patch say; return both lists without them."""
    plain: list[JsonValue] = []
    replace = False
    for entry in patch:
        if _PATCH not in entry:
            plain.append(entry)
        elif entry[_PATCH] == "delete":
            if merge_key not in entry:
                raise _server_fault(f"map: {entry} does not contain declared merge key: {merge_key}")
            original = [one for one in original if not equal(one.get(merge_key), entry[merge_key])]
        elif entry[_PATCH] == "replace":
            replace = True
        else:
            raise _server_fault(f"unknown patch type: {entry[_PATCH]} in map: {entry}")
    return ([_clean(one) for one in plain], []) if replace else (original, plain)


def _same(left: JsonValue, right: JsonValue, merge_key: str) -> bool:
    if merge_key:
        return merge_key in left and merge_key in right and equal(left[merge_key], right[merge_key])
    return equal(left, right)


def _index(entries: list[JsonValue], entry: JsonValue, merge_key: str) -> int | None:
    return next((at for at, one in enumerate(entries) if _same(one, entry, merge_key)), None)


def _check_order(patch: list[JsonValue], order: list[JsonValue], merge_key: str) -> None:
    """Refuse a patch list whose entries are not, in this order, in the order list."""
    if merge_key and not all(isinstance(one, dict) for one in [*patch, *order]):
        raise _server_fault("list element types are not identical")
    at = 0
    live = [one for one in patch if not (isinstance(one, dict) and _PATCH in one)]
    for entry in live:
        while at < len(order) and not _same(entry, order[at], merge_key):
            at += 1
        if at == len(order):
            raise _server_fault(
                f"The order in patch list:\n{patch}\n doesn't match $setElementOrder list:\n{order}\n"
            )
        at += 1


def _normalize(
    merged: list[JsonValue], patch_order: list[JsonValue], server_order: list[JsonValue], merge_key: str
) -> list[JsonValue]:
    """Sort the entries that the patch names by its order, the others by the server's, and interleave the two."""
    named = [one for one in merged if _index(patch_order, one, merge_key) is not None]
    others = [one for one in merged if _index(patch_order, one, merge_key) is None]
    named = _sort(named, patch_order, merge_key)
    others = _sort(others, server_order, merge_key)
    result: list[JsonValue] = []
    left = right = 0
    while left < len(others) and right < len(named):
        other_at = _index(server_order, others[left], merge_key)
        named_at = _index(server_order, named[right], merge_key)
        if other_at is not None and named_at is not None and other_at < named_at:
            result.append(others[left])
            left += 1
        else:
            result.append(named[right])
            right += 1
    return result + others[left:] + named[right:]


def _sort(entries: list[JsonValue], order: list[JsonValue], merge_key: str) -> list[JsonValue]:
    """Sort as Go's stable insertion sort does with upstream's comparison, by which an unknown entry is less than any."""
    result = list(entries)
    ranks = [_index(order, one, merge_key) for one in result]
    for start in range(1, len(result)):
        at = start
        while at > 0:
            here, before = ranks[at], ranks[at - 1]
            if here is not None and before is not None and here >= before:
                break
            result[at], result[at - 1] = result[at - 1], result[at]
            ranks[at], ranks[at - 1] = before, here
            at -= 1
    return result


def _clean(value: JsonValue) -> JsonValue:
    """Return a value of the patch that meets nothing to merge with: without directives and nulls."""
    if isinstance(value, dict):
        return {key: _clean(one) for key, one in value.items() if one is not None and not _is_directive(key)}
    if isinstance(value, list):
        return [_clean(one) for one in value if not (isinstance(one, dict) and _only_directive(one))]
    return value


def _is_directive(key: str) -> bool:
    return key in (_PATCH, _RETAIN) or key.startswith((_ORDER, _DELETE))


def _only_directive(entry: JsonObject) -> bool:
    return entry.get(_PATCH) == "delete" or (_PATCH in entry and len(entry) == 1)
