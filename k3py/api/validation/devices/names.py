"""Names of drivers, pools, devices and attributes, and lists with a limit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import FieldError, duplicate, invalid_value, required, too_long
from k3py.api.names import find_label_faults, find_subdomain_faults
from k3py.api.validation.scalar import check_text, too_many

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from k3py.jsontypes import JsonValue

MOST_REQUESTS: Final = 32
MOST_CONFIGS: Final = 32
MOST_SELECTORS: Final = 32
_LONGEST_DRIVER: Final = 63
_LONGEST_POOL: Final = 253
_LONGEST_ID: Final = 32
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def check_list(
    values: Sequence[JsonValue],
    path: str,
    check: Callable[[JsonValue, str], list[FieldError]],
    *,
    most: int = -1,
    key: Callable[[JsonValue], JsonValue] | None = None,
) -> list[FieldError]:
    """Check each entry, how many there are (`most` -1: any), and with `key` that none is there twice."""
    errors: list[FieldError] = []
    for index, one in enumerate(values):
        errors += check(one, f"{path}[{index}]")
    if 0 <= most < len(values):
        errors.append(too_many(path, most, len(values)))
    if key is not None:
        seen = []
        for index, one in enumerate(values):
            if (found := key(one)) in seen:
                errors.append(duplicate(f"{path}[{index}]", found))
            seen.append(found)
    return errors


def check_driver(name: str, path: str) -> list[FieldError]:
    """A driver has a DNS name of at most 63 characters."""
    if not name:
        return [required(path)]
    errors = [too_long(path, _LONGEST_DRIVER)] if len(name) > _LONGEST_DRIVER else []
    return errors + check_text(name, path, find_subdomain_faults)


def check_pool(name: str, path: str) -> list[FieldError]:
    """A pool has DNS names, one or more with slashes between them."""
    if not name:
        return [required(path)]
    if len(name) > _LONGEST_POOL:
        return [too_long(path, _LONGEST_POOL)]
    return [
        invalid_value(path, part, fault) for part in name.split("/") for fault in find_subdomain_faults(part)
    ]


def check_device(name: str, path: str) -> list[FieldError]:
    """A device has a DNS label."""
    return check_text(name, path, find_label_faults)


check_request = check_device


def check_qualified(name: str, path: str, *, full: bool = False) -> list[FieldError]:
    """An attribute or a capacity has an identifier, or with `full` always, a domain before it."""
    if not name:
        return [required(path, "name required")]
    domain, slash, rest = name.partition("/")
    if not slash:
        errors = _check_identifier(name, path)
        return [*errors, invalid_value(path, name, "must include a domain")] if full else errors
    if "/" in rest:
        return []  # upstream looks at names of one or two parts only
    errors = check_driver(domain, path) if domain else [required(path, "the domain must not be empty")]
    return errors + (
        _check_identifier(rest, path) if rest else [required(path, "the name must not be empty")]
    )


def _check_identifier(name: str, path: str) -> list[FieldError]:
    errors = [too_long(path, _LONGEST_ID)] if len(name) > _LONGEST_ID else []
    if not _IDENTIFIER.match(name):
        detail = (
            "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric "
            "characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation is "
            "'[A-Za-z_][A-Za-z0-9_]*')"
        )
        errors.append(FieldError(path, "FieldValueTypeInvalid", detail, name))
    return errors
