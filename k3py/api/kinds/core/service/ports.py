"""Ports of a Service. Source: kubernetes/pkg/apis/core/validation/validation.go validateServicePort v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import duplicate, forbidden_field, invalid_value, required
from k3py.api.names import find_label_faults, find_qualified_name_faults
from k3py.api.validation.scalar import PROTOCOLS, check_choice, check_port, check_port_or_name, check_text

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject

_KUBELET_PORT: Final = 10250


def validate_ports(spec: JsonObject) -> list[FieldError]:
    """Check every port, and that no two clash."""
    ports = spec.get("ports") or ()
    kind = spec.get("type", "ClusterIP")
    errors: list[FieldError] = []
    names: set[str] = set()
    taken: set[tuple[str, int]] = set()
    node_ports: set[tuple[str, int]] = set()
    for index, port in enumerate(ports):
        path = f"spec.ports[{index}]"
        errors += _validate_port(port, path, names, is_named=len(ports) > 1)
        number, protocol = port.get("port", 0), port.get("protocol", "TCP")
        node_port = port.get("nodePort") or 0
        if kind == "LoadBalancer" and number == _KUBELET_PORT:
            detail = f"may not expose port {_KUBELET_PORT} externally since it is used by kubelet"
            errors.append(invalid_value(path, number, detail))
        if node_port:
            if kind == "ClusterIP":
                detail = "may not be used when `type` is 'ClusterIP'"
                errors.append(forbidden_field(f"{path}.nodePort", detail))
            if (protocol, node_port) in node_ports:
                errors.append(duplicate(f"{path}.nodePort", node_port))
            node_ports.add((protocol, node_port))
        if (protocol, number) in taken:
            errors.append(duplicate(path, {"protocol": protocol, "port": number}))
        taken.add((protocol, number))
    return errors


def _validate_port(port: JsonObject, path: str, names: set[str], *, is_named: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    name = port.get("name", "")
    if name:
        errors += check_text(name, f"{path}.name", find_label_faults)
        if name in names:
            errors.append(duplicate(f"{path}.name", name))
        names.add(name)
    elif is_named:
        errors.append(required(f"{path}.name"))
    errors += check_port(port.get("port", 0), f"{path}.port")
    errors += check_choice(port.get("protocol", "TCP"), f"{path}.protocol", PROTOCOLS)
    errors += check_port_or_name(port.get("targetPort", port.get("port", 0)), f"{path}.targetPort")
    if port.get("appProtocol") is not None:
        errors += check_text(port["appProtocol"], f"{path}.appProtocol", find_qualified_name_faults)
    return errors
