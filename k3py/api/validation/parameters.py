"""Parameters of storage classes. Source: kubernetes/pkg/apis/storage/validation v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import invalid_value, too_long
from k3py.api.validation.scalar import too_many

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject

_MOST: Final = 512
_MOST_BYTES: Final = 256 * 1024


def check_parameters(parameters: JsonObject, path: str) -> list[FieldError]:
    """Keys are not empty, and all of it is not too much."""
    errors: list[FieldError] = []
    if len(parameters) > _MOST:
        errors.append(too_many(path, _MOST, len(parameters)))
    if any(not key for key in parameters):
        errors.append(invalid_value(path, "", "field can not be empty."))
    if sum(len(key.encode()) + len(value.encode()) for key, value in parameters.items()) > _MOST_BYTES:
        errors.append(too_long(path, _MOST_BYTES))
    return errors
