"""Keys and sizes of ConfigMaps and Secrets. Source: kubernetes/pkg/apis/core/validation v1.35."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import FieldError, forbidden_field, invalid_value, required, too_long

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.jsontypes import JsonObject

_KEY: Final = re.compile(r"[-._a-zA-Z0-9]+\Z")
_LONGEST_KEY: Final = 253
_MOST_BYTES: Final = 1024 * 1024
_KEY_TEXT: Final = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  "
    "or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_REQUIRED_KEYS: Final = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
}


def find_key_faults(key: str) -> list[str]:
    """Check one key."""
    faults = []
    if len(key) > _LONGEST_KEY:
        faults.append(f"must be no more than {_LONGEST_KEY} bytes")
    if not _KEY.match(key):
        faults.append(_KEY_TEXT)
    if key == ".":
        faults.append("must not be '.'")
    elif key == "..":
        faults.append("must not be '..'")
    elif key.startswith(".."):
        faults.append("must not start with '..'")
    return faults


def validate_data(obj: JsonObject, *, fields: Sequence[str]) -> list[FieldError]:
    """Check keys and the size of all values together; a key may be in one of `fields` only."""
    errors: list[FieldError] = []
    total, seen = 0, set()
    for field in fields:
        for key, value in (obj.get(field) or {}).items():
            errors += [invalid_value(f"{field}[{key}]", key, fault) for fault in find_key_faults(key)]
            if key in seen:
                errors.append(
                    invalid_value(f"{fields[0]}[{key}]", key, f"duplicate of key present in {field}")
                )
            seen.add(key)
            total += _size_of(field, fields, value)
    if total > _MOST_BYTES:
        errors.append(too_long(fields[0] if len(fields) == 1 else "", _MOST_BYTES))
    return errors


def _size_of(field: str, fields: Sequence[str], value: str) -> int:
    is_binary = field == "binaryData" or len(fields) == 1
    return len(value) * 3 // 4 if is_binary else len(value.encode())


def validate_immutable_data(new: JsonObject, old: JsonObject, *, fields: Sequence[str]) -> list[FieldError]:
    """Once `immutable` is true, neither it nor the data may change; a secret's type never."""
    errors: list[FieldError] = []
    if "type" in old and new.get("type") != old.get("type"):
        errors.append(invalid_value("type", new.get("type"), "field is immutable"))
    if not old.get("immutable"):
        return errors
    if not new.get("immutable"):
        errors.append(forbidden_field("immutable", "field is immutable when `immutable` is set"))
    errors += [
        forbidden_field(field, "field is immutable when `immutable` is set")
        for field in fields
        if (new.get(field) or {}) != (old.get(field) or {})
    ]
    return errors


def validate_secret_type(obj: JsonObject) -> list[FieldError]:
    """Typed secrets hold the keys that their users expect."""
    kind, data = obj.get("type", ""), obj.get("data") or {}
    errors = [required(f"data[{key}]") for key in _REQUIRED_KEYS.get(kind, ()) if key not in data]
    if kind == "kubernetes.io/service-account-token":
        annotations = obj["metadata"].get("annotations") or {}
        if not annotations.get("kubernetes.io/service-account.name"):
            errors.append(required("metadata.annotations[kubernetes.io/service-account.name]"))
    if kind == "kubernetes.io/basic-auth" and not {"username", "password"} & set(data):
        errors += [required("data[%s]" % "username"), required("data[%s]" % "password")]  # noqa: UP031 - upstream's spelling of the path
    for key in (".dockerconfigjson", ".dockercfg"):
        if key in _REQUIRED_KEYS.get(kind, ()) and key in data and not _is_json(data[key]):
            errors.append(
                FieldError(
                    f"data[{key}]", "FieldValueInvalid", "invalid character", "<secret contents redacted>"
                )
            )
    return errors


def _is_json(encoded: str) -> bool:
    try:
        json.loads(base64.b64decode(encoded))
    except ValueError:
        return False
    return True
