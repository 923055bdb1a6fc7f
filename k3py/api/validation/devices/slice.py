"""ResourceSlices: which devices a driver has where."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import FieldError, invalid_value, required, too_long
from k3py.api.names import find_subdomain_faults
from k3py.api.validation.affinity import validate_node_selector
from k3py.api.validation.devices.names import (
    check_device,
    check_driver,
    check_list,
    check_pool,
    check_qualified,
)
from k3py.api.validation.scalar import IMMUTABLE, NEGATIVE, check_text

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject

_MOST_DEVICES: Final = 128
_MOST_ENTRIES: Final = 32
_LONGEST_VALUE: Final = 64
_NUMBER: Final = r"(0|[1-9]\d*)"
_PRE: Final = r"(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)"
_BUILD: Final = r"[0-9a-zA-Z-]+"
_SEMVER: Final = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(-{_PRE}(\.{_PRE})*)?(\+{_BUILD}(\.{_BUILD})*)?\Z", re.ASCII
)


def validate_slice(spec: JsonObject, old: JsonObject | None) -> list[FieldError]:
    """Check a spec; `old` is the one before an update."""
    pool = spec.get("pool") or {}
    errors = check_driver(spec.get("driver", ""), "spec.driver")
    errors += check_pool(pool.get("name", ""), "spec.pool.name")
    count, generation = pool.get("resourceSliceCount", 0), pool.get("generation", 0)
    if count <= 0:
        errors.append(invalid_value("spec.pool.resourceSliceCount", count, "must be greater than zero"))
    if generation < 0:
        errors.append(invalid_value("spec.pool.generation", generation, NEGATIVE))
    if old is not None:
        if pool.get("name") != (old.get("pool") or {}).get("name"):
            errors.append(invalid_value("spec.pool.name", pool.get("name"), IMMUTABLE))
        errors += [
            invalid_value(f"spec.{field}", spec.get(field), IMMUTABLE)
            for field in ("driver", "nodeName")
            if spec.get(field) != old.get(field)
        ]
    errors += _check_nodes(spec)
    return errors + check_list(
        spec.get("devices") or (),
        "spec.devices",
        _check_entry,
        most=_MOST_DEVICES,
        key=lambda one: one.get("name", ""),
    )


def _check_nodes(spec: JsonObject) -> list[FieldError]:
    """A slice is about one node, those that a selector chooses, or all."""
    errors: list[FieldError] = []
    chosen = 0
    name, selector, every = spec.get("nodeName"), spec.get("nodeSelector"), spec.get("allNodes")
    if name:
        chosen += 1
        errors += check_text(name, "spec.nodeName", find_subdomain_faults)
    elif name is not None:
        detail = "must be either unset or set to a non-empty string"
        errors.append(invalid_value("spec.nodeName", name, detail))
    if selector is not None:
        chosen += 1
        errors += validate_node_selector(selector, "spec.nodeSelector")
        terms = selector.get("nodeSelectorTerms") or []
        if len(terms) != 1:
            detail = "must have exactly one node selector term"
            errors.append(invalid_value("spec.nodeSelector.nodeSelectorTerms", terms, detail))
    if every:
        chosen += 1
    elif every is not None:
        errors.append(invalid_value("spec.allNodes", every, "must be either unset or set to true"))
    if chosen != 1:
        detail = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required"
        errors.append(invalid_value("spec", None, detail) if chosen else required("spec", detail))
    return errors


def _check_entry(device: JsonObject, path: str) -> list[FieldError]:
    attributes, capacity = device.get("attributes") or {}, device.get("capacity") or {}
    errors = check_device(device.get("name", ""), f"{path}.name")
    for name, attribute in attributes.items():
        where = f"{path}.attributes[{name}]"
        errors += check_qualified(name, where) + _check_attribute(attribute, where)
    for name in capacity:
        errors += check_qualified(name, f"{path}.capacity[{name}]")
    count = len(attributes) + len(capacity)
    if count > _MOST_ENTRIES:
        detail = f"the total number of attributes and capacities must not exceed {_MOST_ENTRIES}"
        errors.append(invalid_value(path, count, detail))
    return errors


def _check_attribute(attribute: JsonObject, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    version = attribute.get("version")
    if version is not None and not _SEMVER.match(version):
        detail = "must be a string compatible with semver.org spec 2.0.0"
        errors.append(invalid_value(f"{path}.version", version, detail))
    errors += [
        too_long(f"{path}.{field}", _LONGEST_VALUE)
        for field in ("string", "version")
        if len(attribute.get(field) or "") > _LONGEST_VALUE
    ]
    count = sum(attribute.get(field) is not None for field in ("bool", "int", "string", "version"))
    detail = "exactly one value must be specified"
    if not count:
        errors.append(required(path, detail))
    elif count > 1:
        errors.append(invalid_value(path, attribute, detail))
    return errors
