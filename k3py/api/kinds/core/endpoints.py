"""Endpoints: the old form of EndpointSlices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, NONE, column, format_list
from k3py.api.fielderror import required
from k3py.api.kind import BaseStrategy, Kind, StoragePolicy
from k3py.api.names import find_label_faults, find_qualified_name_faults, find_subdomain_faults
from k3py.api.validation.scalar import PROTOCOLS, check_choice, check_outside_ip, check_port, check_text

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject


class EndpointsStrategy(BaseStrategy):
    """Source: kubernetes/pkg/registry/core/endpoint/strategy.go v1.35."""

    create_on_update = True

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check addresses and ports of every subset."""
        errors: list[FieldError] = []
        for index, subset in enumerate(obj.get("subsets") or ()):
            path = f"subsets[{index}]"
            if not subset.get("addresses") and not subset.get("notReadyAddresses"):
                errors.append(required(path, "must specify `addresses` or `notReadyAddresses`"))
            for field in ("addresses", "notReadyAddresses"):
                for number, one in enumerate(subset.get(field) or ()):
                    errors += _validate_address(one, f"{path}.{field}[{number}]")
            ports = subset.get("ports") or ()
            for number, port in enumerate(ports):
                errors += _validate_port(port, f"{path}.ports[{number}]", is_named=len(ports) > 1)
        return errors


def _validate_address(address: JsonObject, path: str) -> list[FieldError]:
    errors = check_outside_ip(address.get("ip", ""), f"{path}.ip")
    if address.get("hostname"):
        errors += check_text(address["hostname"], f"{path}.hostname", find_label_faults)
    if address.get("nodeName") is not None:
        errors += check_text(address["nodeName"], f"{path}.nodeName", find_subdomain_faults)
    return errors


def _validate_port(port: JsonObject, path: str, *, is_named: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    name = port.get("name", "")
    if name:
        errors += check_text(name, f"{path}.name", find_label_faults)
    elif is_named:
        errors.append(required(f"{path}.name"))
    errors += check_port(port.get("port", 0), f"{path}.port")
    errors += check_choice(port.get("protocol", ""), f"{path}.protocol", PROTOCOLS)
    if port.get("appProtocol") is not None:
        errors += check_text(port["appProtocol"], f"{path}.appProtocol", find_qualified_name_faults)
    return errors


def _format(obj: JsonObject) -> str:
    shown: list[str] = []
    for subset in obj.get("subsets") or ():
        addresses = [one.get("ip", "") for one in subset.get("addresses") or ()]
        ports = subset.get("ports") or ()
        if not ports:
            shown += addresses
        for port in ports:
            shown += [_join(address, port.get("port", 0)) for address in addresses]
    if not obj.get("subsets"):
        return NONE
    return format_list(shown[:_MOST_SHOWN], most=_MOST_SHOWN, count=len(shown))


def _join(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


_MOST_SHOWN: Final = 3


KIND: Final = Kind(
    version="v1",
    kind="Endpoints",
    plural="endpoints",
    singular="endpoints",
    list_kind="EndpointsList",
    short_names=("ep",),
    schema="io.k8s.api.core.v1.Endpoints",
    strategy=EndpointsStrategy(),
    columns=(NAME, column("Endpoints", _format), AGE),
    deprecation="v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
    storage=StoragePolicy(prefix="services/endpoints"),
    storage_version_hash="fWeeMqaN/OA=",
)
