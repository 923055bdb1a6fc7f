"""EndpointSlices: addresses behind a Service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, column
from k3py.api.fielderror import duplicate, invalid_value, not_supported, required
from k3py.api.kind import BaseStrategy, Kind, StoragePolicy
from k3py.api.names import (
    find_label_faults,
    find_label_value_faults,
    find_qualified_name_faults,
    find_subdomain_faults,
)
from k3py.api.validation.scalar import (
    PROTOCOLS,
    check_choice,
    check_outside_ip,
    check_port,
    check_text,
    parse_ip,
    too_many,
)

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.api.kind import WriteContext
    from k3py.jsontypes import JsonObject, JsonValue


class EndpointSliceStrategy(BaseStrategy):
    """Source: kubernetes/pkg/registry/discovery/endpointslice/strategy.go v1.35. Labels count for the generation, too."""

    has_generation = True

    def prepare_create(self, obj: JsonObject, context: WriteContext) -> None:
        """Topology of old versions is not taken any more."""
        super().prepare_create(obj, context)
        _drop_topology(obj)

    def prepare_update(self, new: JsonObject, old: JsonObject, context: WriteContext) -> None:
        """A change of labels alone raises the generation."""
        _drop_topology(new)
        super().prepare_update(new, old, context)
        before = old["metadata"].get("generation", 0)
        if new["metadata"]["generation"] == before and new["metadata"].get("labels") != old["metadata"].get(
            "labels"
        ):
            new["metadata"]["generation"] = before + 1

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """At most 1000 endpoints with one to a hundred addresses of the slice's type."""
        errors: list[FieldError] = []
        if obj.get("addressType") not in _TYPES:
            errors.append(
                not_supported("addressType", obj.get("addressType", ""), _TYPES)
                if obj.get("addressType")
                else required("addressType")
            )
        endpoints = obj.get("endpoints") or ()
        if len(endpoints) > _MOST_ENDPOINTS:
            errors.append(too_many("endpoints", _MOST_ENDPOINTS, len(endpoints)))
        for index, endpoint in enumerate(endpoints):
            errors += _validate_endpoint(endpoint, obj.get("addressType", ""), f"endpoints[{index}]")
        ports = obj.get("ports") or ()
        if len(ports) > _MOST_PORTS:
            errors.append(too_many("ports", _MOST_PORTS, len(ports)))
        names: set[str] = set()
        for index, port in enumerate(ports):
            errors += _validate_port(port, f"ports[{index}]", names)
        return errors

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """The address type stays."""
        errors = self.validate(new)
        if new.get("addressType") != old.get("addressType"):
            errors.append(invalid_value("addressType", new.get("addressType"), "field is immutable"))
        return errors


def _drop_topology(obj: JsonObject) -> None:
    for endpoint in obj.get("endpoints") or ():
        endpoint.pop("deprecatedTopology", None)


def _validate_endpoint(endpoint: JsonObject, kind: str, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    addresses = endpoint.get("addresses") or ()
    where = f"{path}.addresses"
    if not addresses:
        errors.append(required(where, "must contain at least 1 address"))
    elif len(addresses) > _MOST_ADDRESSES:
        errors.append(too_many(where, _MOST_ADDRESSES, len(addresses)))
    for index, address in enumerate(addresses):
        if kind == "FQDN":
            errors += check_text(address, f"{where}[{index}]", find_subdomain_faults)
            continue
        found = parse_ip(address) if kind in _TYPES else None
        if kind in _TYPES and (found is None or f"IPv{found.version}" != kind):
            errors.append(invalid_value(f"{where}[{index}]", address, f"must be a valid {kind} address"))
        if found is not None:
            errors += check_outside_ip(address, where)
    for field, find in (("hostname", find_label_faults), ("nodeName", find_subdomain_faults)):
        if endpoint.get(field) is not None:
            errors += check_text(endpoint[field], f"{path}.{field}", find)
    for field, most in (("forZones", _MOST_ZONES), ("forNodes", _MOST_ZONES)):
        errors += _validate_hints(
            (endpoint.get("hints") or {}).get(field) or (), f"{path}.hints.{field}", most
        )
    return errors


def _validate_hints(hints: JsonValue, path: str, most: int) -> list[FieldError]:
    errors = [too_many(path, most, len(hints))] if len(hints) > most else []
    seen: set[str] = set()
    for index, one in enumerate(hints):
        name = one.get("name", "")
        if name in seen:
            errors.append(duplicate(f"{path}[{index}].name", name))
        seen.add(name)
        errors += check_text(name, f"{path}[{index}].name", find_label_value_faults)
    return errors


def _validate_port(port: JsonObject, path: str, names: set[str]) -> list[FieldError]:
    name = port.get("name") or ""
    errors = check_text(name, f"{path}.name", find_label_faults) if name else []
    if name in names:
        errors.append(duplicate(f"{path}.name", name))
    names.add(name)
    errors += check_choice(port.get("protocol", "TCP"), f"{path}.protocol", PROTOCOLS)
    if port.get("port") is not None:
        errors += check_port(port["port"], f"{path}.port")
    if port.get("appProtocol") is not None:
        errors += check_text(port["appProtocol"], f"{path}.appProtocol", find_qualified_name_faults)
    return errors


_MOST_ADDRESSES: Final = 100
_MOST_ZONES: Final = 8
_MOST_PORTS: Final = 20000
_TYPES: Final = ("IPv4", "IPv6", "FQDN")
_MOST_ENDPOINTS: Final = 1000


def _shown(values: list[str], missing: str) -> str:
    text = ",".join(values[:3])
    return (f"{text} + {len(values) - 3} more..." if len(values) > 3 else text) or missing


def _shown_port(port: JsonObject) -> str:
    number = port["port"] if port.get("port") is not None else port.get("name")
    return "*" if number is None else str(number)


def _ports(obj: JsonObject) -> str:
    return _shown([_shown_port(one) for one in obj.get("ports") or ()], "<unset>")


def _endpoints(obj: JsonObject) -> str:
    found = [address for one in obj.get("endpoints") or () for address in one.get("addresses") or ()]
    return _shown(found, "<unset>")


KIND: Final = Kind(
    group="discovery.k8s.io",
    version="v1",
    kind="EndpointSlice",
    plural="endpointslices",
    singular="endpointslice",
    list_kind="EndpointSliceList",
    schema="io.k8s.api.discovery.v1.EndpointSlice",
    strategy=EndpointSliceStrategy(),
    columns=(
        NAME,
        column("AddressType", lambda obj: obj.get("addressType", "")),
        column("Ports", _ports),
        column("Endpoints", _endpoints),
        AGE,
    ),
    storage=StoragePolicy(prefix="endpointslices"),
    storage_version_hash="qgS0xkrxYAI=",
)
