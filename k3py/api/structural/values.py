"""Validation of values by a structural schema, compiled to closures; with ratcheting for updates.

A compiled check is `check(value, path, errors, old) -> matches`: it appends findings and returns how many parts fitted, by which the
best of several failed alternatives is chosen. `old` is the value that this one replaces, or ABSENT; what did not change is not looked at.
Source: k8s.io/kube-openapi/pkg/validation/validate (schema.go, schema_props.go, type.go, …),
k8s.io/apiextensions-apiserver/pkg/apiserver/validation/{validation,ratcheting}.go v0.35.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import orjson

from k3py.api.fielderror import FieldError, required
from k3py.api.go_regex import compile_pattern
from k3py.api.structural.formats import find_format
from k3py.api.structural.numbers import is_equal, type_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3py.jsontypes import JsonObject, JsonValue

ABSENT: Final = object()
NO_PATH: Final = "<nil>"
_WITH_INNER: Final = frozenset(
    ("properties", "items", "additionalProperties", "allOf", "anyOf", "oneOf", "not", "default")
)

Check = "Callable[[JsonValue, str, list[FieldError], JsonValue], int]"


def compile_values(schema: JsonObject, *, is_root: bool = False) -> Callable[..., int]:
    """Return the check of a schema; `is_root` leaves out what the server itself checks (apiVersion, kind, most of metadata).

    What is below is compiled when a value for it comes; equal leaves share their check.
    """
    if schema.keys() & _WITH_INNER:
        return _compile(schema, is_root=is_root)
    return _compile_leaf(orjson.dumps(schema, option=orjson.OPT_SORT_KEYS))


@lru_cache(maxsize=1024)
def _compile_leaf(schema: bytes) -> Callable[..., int]:
    return _compile(orjson.loads(schema), is_root=False)


def _compile(schema: JsonObject, *, is_root: bool) -> Callable[..., int]:
    checks = _compile_parts(schema, is_root=is_root)
    accepts_null = bool(schema.get("nullable"))
    type_check = _compile_type(schema)
    enum_check = _compile_enum(schema)

    def check(value: JsonValue, path: str, errors: list[FieldError], old: JsonValue = ABSENT) -> int:
        if old is not ABSENT and is_equal(value, old):
            return 0
        if value is None:
            if not accepts_null and type_check is not None:
                type_check(value, path, errors, old)
            if enum_check is not None:
                enum_check(value, path, errors, old)
            return 1
        matches = 1
        for one in checks:
            matches += 1 + one(value, path, errors, old)
        return matches

    return check


def _compile_parts(schema: JsonObject, *, is_root: bool) -> list[Callable[..., int]]:
    parts = [
        _compile_type(schema),
        _compile_junctors(schema),
        _compile_string(schema),
        _compile_format(schema),
        _compile_number(schema),
        _compile_list(schema),
        _compile_enum(schema),
        _compile_object(schema, is_root=is_root),
    ]
    return [one for one in parts if one is not None]


def _invalid(path: str, value: JsonValue, detail: str) -> FieldError:
    return FieldError(path, "FieldValueInvalid", f"{path} in body {detail}", value)


def _compile_type(schema: JsonObject) -> Callable[..., int] | None:
    wanted = schema.get("type") or ""
    if schema.get("x-kubernetes-int-or-string"):
        accepted: tuple[str, ...] = ("integer", "string")
        shown = "integer,string"
    elif not wanted:
        return None
    else:
        accepted = (wanted, "integer") if wanted == "number" else (wanted,)
        shown = wanted

    def check(value: JsonValue, path: str, errors: list[FieldError], _old: JsonValue) -> int:
        actual = type_name(value)
        if actual in accepted:
            return 0
        if actual == "number" and "integer" in accepted and isinstance(value, float) and value.is_integer():
            return 0
        detail = f'{path} in body must be of type {shown}: "{actual}"'
        errors.append(FieldError(path, "FieldValueTypeInvalid", detail, actual))
        return -1

    return check


def _compile_junctors(schema: JsonObject) -> Callable[..., int] | None:
    any_of = [compile_values(one) for one in schema.get("anyOf") or ()]
    one_of = [compile_values(one) for one in schema.get("oneOf") or ()]
    all_of = [compile_values(one) for one in schema.get("allOf") or ()]
    none_of = compile_values(schema["not"]) if schema.get("not") is not None else None
    if not any_of and not one_of and not all_of and none_of is None:
        return None

    def check(value: JsonValue, path: str, errors: list[FieldError], _old: JsonValue) -> int:
        if any_of:
            valid, best = _count_valid(any_of, value, path)
            if not valid:
                errors.append(_unplaced(f'"{path}" must validate at least one schema (anyOf)'))
                errors.extend(best)
        if one_of:
            valid, best = _count_valid(one_of, value, path)
            if valid != 1:
                how = f"Found {valid} valid alternatives" if valid else "Found none valid"
                errors.append(_unplaced(f'"{path}" must validate one and only one schema (oneOf). {how}'))
                if not valid:
                    errors.extend(best)
        if all_of:
            before, failed = len(errors), 0
            for one in all_of:
                count = len(errors)
                one(value, path, errors)
                failed += len(errors) > count
            if len(errors) > before:
                none = ". None validated" if failed == len(all_of) else ""
                errors.append(_unplaced(f'"{path}" must validate all the schemas (allOf){none}'))
        if none_of is not None:
            found: list[FieldError] = []
            none_of(value, path, found)
            if not found:
                errors.append(_unplaced(f'"{path}" must not validate the schema (not)'))
        return 0

    return check


def _unplaced(detail: str) -> FieldError:
    return FieldError(NO_PATH, "FieldValueInvalid", detail, "")


def _count_valid(
    alternatives: list[Callable[..., int]], value: JsonValue, path: str
) -> tuple[int, list[FieldError]]:
    """Return how many alternatives fit, and the findings of the one that fits best."""
    valid, most, best = 0, -1, []
    for one in alternatives:
        found: list[FieldError] = []
        matches = one(value, path, found)
        if not found:
            valid += 1
        elif matches > most:
            most, best = matches, found
    return valid, best


def _compile_string(schema: JsonObject) -> Callable[..., int] | None:
    most, least, pattern = schema.get("maxLength"), schema.get("minLength"), schema.get("pattern") or ""
    if most is None and least is None and not pattern:
        return None
    search = compile_pattern(pattern).search if pattern else None

    def check(value: JsonValue, path: str, errors: list[FieldError], _old: JsonValue) -> int:
        if not isinstance(value, str):
            return -1
        before = len(errors)
        if most is not None and len(value) > most:
            errors.append(
                FieldError(path, "FieldValueTooLong", f"may not be more than {most} bytes", value[:64])
            )
        if least is not None and len(value) < least:
            errors.append(_invalid(path, value, f"should be at least {least} chars long"))
        if search is not None and search(value) is None:
            errors.append(_invalid(path, value, f"should match '{pattern}'"))
        return -1 if len(errors) > before else 0

    return check


def _compile_format(schema: JsonObject) -> Callable[..., int] | None:
    name = schema.get("format") or ""
    is_valid = find_format(name) if name else None
    if is_valid is None:
        return None

    def check(value: JsonValue, path: str, errors: list[FieldError], _old: JsonValue) -> int:
        if isinstance(value, str) and not is_valid(value):
            detail = f'{path} in body must be of type {name}: "{value}"'
            errors.append(FieldError(path, "FieldValueTypeInvalid", detail, value))
            return -1
        return 0

    return check


def _compile_number(schema: JsonObject) -> Callable[..., int] | None:
    multiple, least, most = schema.get("multipleOf"), schema.get("minimum"), schema.get("maximum")
    if multiple is None and least is None and most is None:
        return None
    above, below = bool(schema.get("exclusiveMinimum")), bool(schema.get("exclusiveMaximum"))

    def check(value: JsonValue, path: str, errors: list[FieldError], _old: JsonValue) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return -1
        before = len(errors)
        if multiple and not _is_multiple(value, multiple):
            errors.append(_invalid(path, value, f"should be a multiple of {multiple}"))
        if most is not None and (value >= most if below else value > most):
            errors.append(
                _invalid(path, value, f"should be less than {'' if below else 'or equal to '}{most}")
            )
        if least is not None and (value <= least if above else value < least):
            errors.append(
                _invalid(path, value, f"should be greater than {'' if above else 'or equal to '}{least}")
            )
        return -1 if len(errors) > before else 0

    return check


def _is_multiple(value: float, of: float) -> bool:
    if isinstance(value, int) and (isinstance(of, int) or of.is_integer()):
        return value % int(of) == 0
    return (value / of).is_integer()


def _compile_list(schema: JsonObject) -> Callable[..., int] | None:
    items, most, least = schema.get("items"), schema.get("maxItems"), schema.get("minItems")
    if items is None and most is None and least is None:
        return None
    has_items = isinstance(items, dict)
    compiled: list[Callable[..., int]] = []
    keys = tuple(schema.get("x-kubernetes-list-map-keys") or ())
    keyed = schema.get("x-kubernetes-list-type") == "map" and bool(keys)

    def check(value: JsonValue, path: str, errors: list[FieldError], old: JsonValue) -> int:
        if not isinstance(value, list):
            return 0
        before, matches = len(errors), 0
        if has_items and value:
            if not compiled:
                compiled.append(compile_values(items or {}))
            check_item = compiled[0]
            former = _by_key(old, keys) if keyed and isinstance(old, list) else None
            for index, entry in enumerate(value):
                twin = ABSENT if former is None else former.get(key_of(entry, keys), ABSENT)
                matches += check_item(entry, f"{path}[{index}]", errors, twin)
        if least is not None and len(value) < least:
            errors.append(_invalid(path, len(value), f"should have at least {least} items"))
        if most is not None and len(value) > most:
            errors.append(
                FieldError(path, "FieldValueTooMany", f"must have at most {most} items", len(value))
            )
        return matches - (len(errors) > before)

    return check


def key_of(entry: JsonValue, keys: tuple[str, ...]) -> bytes:
    """Return what identifies an entry of a keyed list; equal keys have equal bytes."""
    values = [entry.get(key) for key in keys] if isinstance(entry, dict) else [entry]
    return orjson.dumps(values, option=orjson.OPT_SORT_KEYS)


def _by_key(entries: list[JsonValue], keys: tuple[str, ...]) -> dict[bytes, JsonValue]:
    return {key_of(one, keys): one for one in entries}


def _compile_enum(schema: JsonObject) -> Callable[..., int] | None:
    allowed = schema.get("enum")
    if not allowed:
        return None
    shown = ", ".join(
        sorted(f'"{one}"' if isinstance(one, str) else f'"{orjson.dumps(one).decode()}"' for one in allowed)
    )

    def check(value: JsonValue, path: str, errors: list[FieldError], _old: JsonValue) -> int:
        if any(is_equal(value, one) for one in allowed):
            return 0
        errors.append(FieldError(path, "FieldValueNotSupported", f"supported values: {shown}", value))
        return -1

    return check


def _compile_object(schema: JsonObject, *, is_root: bool) -> Callable[..., int] | None:
    properties = schema.get("properties") or {}
    needed = tuple(schema.get("required") or ())
    additional = schema.get("additionalProperties")
    most, least = schema.get("maxProperties"), schema.get("minProperties")
    if not properties and not needed and additional is None and most is None and least is None:
        return None
    checks: dict[str, Callable[..., int]] = {}
    check_rest = compile_values(additional) if isinstance(additional, dict) else None
    refuses_rest = additional is False
    granular = schema.get("x-kubernetes-map-type") != "atomic"

    def check(value: JsonValue, path: str, errors: list[FieldError], old: JsonValue) -> int:
        if not isinstance(value, dict):
            return 0
        before, matches = len(errors), 0
        head = f"{path}." if path else ""
        former = old if granular and isinstance(old, dict) else None
        if most is not None and len(value) > most:
            errors.append(
                FieldError(path, "FieldValueTooMany", f"must have at most {most} items", len(value))
            )
        if least is not None and len(value) < least:
            errors.append(_invalid(path, len(value), f"should have at least {least} properties"))
        for key, one in value.items():
            found = checks.get(key)
            if found is None and key in properties:
                found = checks[key] = compile_values(properties[key])
            if found is None:
                if refuses_rest and not (is_root and key in ("apiVersion", "kind", "metadata")):
                    detail = f"{head}{key} in body is a forbidden property"
                    errors.append(FieldError(path or NO_PATH, "FieldValueInvalid", detail, ""))
                    continue
                found = check_rest
                if found is None:
                    continue
            twin = former.get(key, ABSENT) if former is not None else ABSENT
            matches += found(one, f"{head}{key}", errors, twin)
        errors.extend(required(f"{head}{key}") for key in needed if key not in value)
        return matches - (len(errors) > before)

    return check
