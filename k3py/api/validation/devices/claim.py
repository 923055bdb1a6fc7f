"""ResourceClaims: what is asked for, and what was given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import forbidden_field, invalid_value, not_supported, required, too_long
from k3py.api.names import find_subdomain_faults
from k3py.api.validation.affinity import validate_node_selector
from k3py.api.validation.devices.names import (
    MOST_CONFIGS,
    MOST_REQUESTS,
    MOST_SELECTORS,
    check_device,
    check_driver,
    check_list,
    check_pool,
    check_qualified,
    check_request,
)
from k3py.api.validation.devices.selector import check_configuration, check_parameters, check_selector
from k3py.api.validation.scalar import IMMUTABLE, check_cidr, check_text, too_many

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject, JsonValue

_MOST_CONSTRAINTS: Final = 32
_MOST_ALTERNATIVES: Final = 8
_MOST_RESULTS: Final = 32
_MOST_CONSUMERS: Final = 256
_MOST_CONDITIONS: Final = 8
_MOST_IPS: Final = 16
_LONGEST_INTERFACE: Final = 256
_LONGEST_HARDWARE_ADDRESS: Final = 128
_SOURCES: Final = ("FromClaim", "FromClass")


def _name_of(one: JsonObject) -> str:
    return str(one.get("name", ""))


def validate_claim_spec(spec: JsonObject, path: str, *, is_stored: bool = False) -> list[FieldError]:
    """Check requests, constraints between them and their configuration."""
    devices = spec.get("devices") or {}
    path = f"{path}.devices"
    known = _request_names(devices)
    return [
        *check_list(
            devices.get("requests") or (),
            f"{path}.requests",
            _check_claimed,
            most=MOST_REQUESTS,
            key=_name_of,
        ),
        *check_list(
            devices.get("constraints") or (),
            f"{path}.constraints",
            lambda one, where: _check_constraint(one, where, known),
            most=_MOST_CONSTRAINTS,
        ),
        *check_list(
            devices.get("config") or (),
            f"{path}.config",
            lambda one, where: [
                *_check_references(one.get("requests") or (), f"{where}.requests", known),
                *check_configuration(one, where, is_stored=is_stored),
            ],
            most=MOST_CONFIGS,
        ),
    ]


def _request_names(devices: JsonObject) -> set[str]:
    """Return the names of requests, and of their alternatives as "request/alternative"."""
    names = set()
    for request in devices.get("requests") or ():
        name = _name_of(request)
        names.add(name)
        names |= {f"{name}/{_name_of(one)}" for one in request.get("firstAvailable") or ()}
    return names


def _check_claimed(request: JsonObject, path: str) -> list[FieldError]:
    errors = check_request(_name_of(request), f"{path}.name")
    exactly, alternatives = request.get("exactly"), request.get("firstAvailable") or ()
    detail = "exactly one of `exactly` or `firstAvailable` is required"
    if exactly is None and not alternatives:
        return [*errors, required(path, detail)]
    if exactly is not None and alternatives:
        errors.append(invalid_value(path, None, detail))
    if exactly is not None:
        errors += _check_wanted(exactly, f"{path}.exactly")
    return errors + check_list(
        alternatives,
        f"{path}.firstAvailable",
        lambda one, where: [
            *check_request(_name_of(one), f"{where}.name"),
            *_check_wanted(one, where),
        ],
        most=_MOST_ALTERNATIVES,
        key=_name_of,
    )


def _check_wanted(wanted: JsonObject, path: str) -> list[FieldError]:
    name, mode, count = (
        wanted.get("deviceClassName", ""),
        wanted.get("allocationMode", ""),
        wanted.get("count", 0),
    )
    where = f"{path}.deviceClassName"
    errors = check_text(name, where, find_subdomain_faults) if name else [required(where)]
    errors += check_list(
        wanted.get("selectors") or (), f"{path}.selectors", check_selector, most=MOST_SELECTORS
    )
    match mode:
        case "All":
            if count:
                detail = "must not be specified when allocationMode is 'All'"
                errors.append(invalid_value(f"{path}.count", count, detail))
        case "ExactCount":
            if count <= 0:
                errors.append(invalid_value(f"{path}.count", count, "must be greater than zero"))
        case _:
            errors.append(not_supported(f"{path}.allocationMode", mode, ("All", "ExactCount")))
    return errors


def _check_constraint(constraint: JsonObject, path: str, known: set[str]) -> list[FieldError]:
    errors = _check_references(constraint.get("requests") or (), f"{path}.requests", known)
    attribute = constraint.get("matchAttribute")
    path = f"{path}.matchAttribute"
    return errors + ([required(path)] if attribute is None else check_qualified(attribute, path, full=True))


def _check_references(names: JsonValue, path: str, known: set[str]) -> list[FieldError]:
    def check(name: str, where: str) -> list[FieldError]:
        return _check_reference(name, where, known)

    return check_list(names, path, check, most=MOST_REQUESTS, key=str)


def _check_reference(name: str, path: str, known: set[str]) -> list[FieldError]:
    parts = name.split("/")
    if len(parts) > 2:
        detail = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
        return [invalid_value(path, name, detail)]
    errors = [error for part in parts for error in check_request(part, path)]
    if name not in known:
        errors.append(invalid_value(path, name, "must be the name of a request in the claim"))
    return errors


def validate_claim_status(new: JsonObject, old: JsonObject) -> list[FieldError]:
    """Check what was given, to whom, and what drivers say of it; both are whole claims."""
    status, before = new.get("status") or {}, old.get("status") or {}
    allocation, consumers = status.get("allocation"), status.get("reservedFor") or ()
    given = {_device_of(one) for one in ((allocation or {}).get("devices") or {}).get("results") or ()}
    path = "status.reservedFor"
    errors = check_list(
        consumers, path, _check_consumer, most=_MOST_CONSUMERS, key=lambda one: one.get("uid", "")
    )
    errors += check_list(
        status.get("devices") or (),
        "status.devices",
        lambda one, where: _check_device_status(one, where, given),
        key=_device_of,
    )
    if consumers and allocation is None:
        errors.append(forbidden_field(path, "may not be specified when `allocated` is not set"))
    elif "deletionTimestamp" in new["metadata"] and any(
        one not in (before.get("reservedFor") or ()) for one in consumers
    ):
        detail = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"
        errors.append(forbidden_field(path, detail))
    if allocation is None:
        return errors
    if before.get("allocation") is None:
        return errors + _check_allocation(allocation, new)
    if allocation != before["allocation"]:
        errors.append(invalid_value("status.allocation", allocation, IMMUTABLE))
    return errors


def _device_of(one: JsonObject) -> tuple[str, str, str]:
    return one.get("driver", ""), one.get("pool", ""), one.get("device", "")


def _check_consumer(consumer: JsonObject, path: str) -> list[FieldError]:
    return [required(f"{path}.{field}") for field in ("resource", "name", "uid") if not consumer.get(field)]


def _check_named(one: JsonObject, path: str) -> list[FieldError]:
    return [
        *check_driver(one.get("driver", ""), f"{path}.driver"),
        *check_pool(one.get("pool", ""), f"{path}.pool"),
        *check_device(one.get("device", ""), f"{path}.device"),
    ]


def _check_allocation(allocation: JsonObject, claim: JsonObject) -> list[FieldError]:
    known = _request_names((claim.get("spec") or {}).get("devices") or {})
    devices = allocation.get("devices") or {}
    path = "status.allocation"
    errors = check_list(
        devices.get("results") or (),
        f"{path}.devices.results",
        lambda one, where: [
            *_check_reference(one.get("request", ""), f"{where}.request", known),
            *_check_named(one, where),
        ],
        most=_MOST_RESULTS,
    )
    errors += check_list(
        devices.get("config") or (),
        f"{path}.devices.config",
        lambda one, where: [
            *_check_source(one.get("source", ""), f"{where}.source"),
            *_check_references(one.get("requests") or (), f"{where}.requests", known),
            *check_configuration(one, where, is_stored=False),
        ],
        most=2 * MOST_CONFIGS,
    )
    if allocation.get("nodeSelector") is not None:
        errors += validate_node_selector(allocation["nodeSelector"], f"{path}.nodeSelector")
    return errors


def _check_source(source: str, path: str) -> list[FieldError]:
    if not source:
        return [required(path)]
    return [] if source in _SOURCES else [not_supported(path, source, _SOURCES)]


def _check_device_status(device: JsonObject, path: str, given: set[tuple[str, str, str]]) -> list[FieldError]:
    errors = _check_named(device, path)
    if _device_of(device) not in given:
        errors.append(
            invalid_value(path, "/".join(_device_of(device)), "must be an allocated device in the claim")
        )
    conditions = device.get("conditions") or ()
    if len(conditions) > _MOST_CONDITIONS:
        errors.append(too_many(f"{path}.conditions", _MOST_CONDITIONS, len(conditions)))
    if device.get("data") is not None:
        errors += check_parameters(device["data"], f"{path}.data", is_stored=False)
    network = device.get("networkData")
    if network is None:
        return errors
    path = f"{path}.networkData"
    if len(network.get("interfaceName", "")) > _LONGEST_INTERFACE:
        errors.append(too_long(f"{path}.interfaceName", _LONGEST_INTERFACE))
    if len(network.get("hardwareAddress", "")) > _LONGEST_HARDWARE_ADDRESS:
        errors.append(too_long(f"{path}.hardwareAddress", _LONGEST_HARDWARE_ADDRESS))
    return errors + check_list(network.get("ips") or (), f"{path}.ips", check_cidr, most=_MOST_IPS, key=str)
