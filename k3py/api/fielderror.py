"""Validation findings: a path, a reason, a value and what is allowed.

Validators return lists of them and never raise for bad input. Reasons are upstream's cause types (api-machinery.md §1.11).
Source: k8s.io/apimachinery/pkg/util/validation/field v0.35.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.jsontypes import JsonObject, JsonValue

_OMITTED: Final = object()

_LABELS: Final = {
    "FieldValueNotFound": "Not found",
    "FieldValueRequired": "Required value",
    "FieldValueDuplicate": "Duplicate value",
    "FieldValueInvalid": "Invalid value",
    "FieldValueNotSupported": "Unsupported value",
    "FieldValueForbidden": "Forbidden",
    "FieldValueTooLong": "Too long",
    "FieldValueTooMany": "Too many",
    "FieldValueTypeInvalid": "Invalid value",
    "InternalError": "Internal error",
}


@dataclass(frozen=True, slots=True)
class FieldError:
    """One finding; `reason` is a cause type such as "FieldValueInvalid", `path` a JSON path such as "spec.ports[0].name"."""

    path: str
    reason: str
    detail: str = ""
    value: JsonValue = _OMITTED

    def message(self) -> str:
        """Return the sentence without the path, as in a Status cause."""
        text = _LABELS.get(self.reason, self.reason)
        if self.value is not _OMITTED:
            shown = json.dumps(self.value, default=str, ensure_ascii=False, separators=(",", ":"))
            text += f": {shown}"
        return f"{text}: {self.detail}" if self.detail else text

    def to_cause(self) -> JsonObject:
        """Return the entry for Status.details.causes."""
        return {"reason": self.reason, "message": self.message(), "field": self.path}

    def __str__(self) -> str:
        return f"{self.path}: {self.message()}"


def required(path: str, detail: str = "") -> FieldError:
    """A value is missing."""
    return FieldError(path, "FieldValueRequired", detail)


def invalid_value(path: str, value: JsonValue, detail: str) -> FieldError:
    """A value has the wrong form."""
    return FieldError(path, "FieldValueInvalid", detail, value)


def not_supported(path: str, value: JsonValue, allowed: Sequence[str]) -> FieldError:
    """A value is not one of an enumeration."""
    listed = ", ".join(f'"{one}"' for one in allowed)
    return FieldError(path, "FieldValueNotSupported", f"supported values: {listed}", value)


def duplicate(path: str, value: JsonValue) -> FieldError:
    """A list entry repeats another one's key."""
    return FieldError(path, "FieldValueDuplicate", "", value)


def forbidden_field(path: str, detail: str) -> FieldError:
    """A field may not be set, or not be changed, here."""
    return FieldError(path, "FieldValueForbidden", detail)


def too_long(path: str, max_bytes: int) -> FieldError:
    """A string is over its limit."""
    return FieldError(path, "FieldValueTooLong", f"may not be more than {max_bytes} bytes")
