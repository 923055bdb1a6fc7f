"""LabelSelectors of specs. Source: k8s.io/apimachinery/pkg/apis/meta/v1/validation v0.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import forbidden_field, invalid_value, required, too_long
from k3py.api.names import find_label_value_faults, find_qualified_name_faults

if TYPE_CHECKING:
    from collections.abc import Mapping

    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject

_MOST_ANNOTATION_BYTES: Final = 256 * 1024
_OPERATORS: Final = ("In", "NotIn", "Exists", "DoesNotExist")


def validate_labels(labels: Mapping[str, str] | None, path: str) -> list[FieldError]:
    """Check keys and values of a label map."""
    errors: list[FieldError] = []
    for key, value in (labels or {}).items():
        errors += [invalid_value(path, key, fault) for fault in find_qualified_name_faults(key)]
        errors += [invalid_value(path, value, fault) for fault in find_label_value_faults(value)]
    return errors


def validate_annotations(annotations: Mapping[str, str] | None, path: str) -> list[FieldError]:
    """Check keys and the size of annotations."""
    errors = [
        invalid_value(path, key, fault)
        for key in annotations or ()
        for fault in find_qualified_name_faults(key.lower())
    ]
    size = sum(len(key.encode()) + len(value.encode()) for key, value in (annotations or {}).items())
    if size > _MOST_ANNOTATION_BYTES:
        errors.append(too_long(path, _MOST_ANNOTATION_BYTES))
    return errors


def validate_selector(selector: JsonObject, path: str) -> list[FieldError]:
    """Check a LabelSelector."""
    errors = validate_labels(selector.get("matchLabels"), f"{path}.matchLabels")
    for index, one in enumerate(selector.get("matchExpressions") or ()):
        where = f"{path}.matchExpressions[{index}]"
        operator, values = one.get("operator", ""), one.get("values") or ()
        if operator not in _OPERATORS:
            errors.append(invalid_value(f"{where}.operator", operator, "not a valid selector operator"))
        elif operator in ("In", "NotIn") and not values:
            errors.append(required(f"{where}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
        elif operator in ("Exists", "DoesNotExist") and values:
            errors.append(
                forbidden_field(
                    f"{where}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                )
            )
        errors += [
            invalid_value(f"{where}.key", one.get("key", ""), fault)
            for fault in find_qualified_name_faults(one.get("key", ""))
        ]
        for number, value in enumerate(values):
            errors += [
                invalid_value(f"{where}.values[{number}]", value, fault)
                for fault in find_label_value_faults(value)
            ]
    return errors
