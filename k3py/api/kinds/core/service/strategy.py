"""The life of a Service; addresses and ports are the allocators' (storage/allocators).

Source: kubernetes/pkg/registry/core/service/strategy.go and pkg/apis/core/validation v1.35 (api-machinery.md §3.3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import duplicate, invalid_value, not_supported, required
from k3py.api.kind import BaseStrategy
from k3py.api.names import find_dns1035_faults, find_label_faults, find_subdomain_faults
from k3py.api.validation.selector import validate_labels

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject

_TYPES: Final = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
_PROTOCOLS: Final = ("TCP", "UDP", "SCTP")
_AFFINITIES: Final = ("ClientIP", "None")
_LONGEST_AFFINITY_S: Final = 86400


class ServiceStrategy(BaseStrategy):
    """See the module."""

    has_status = True
    create_on_update = True
    object_on_delete = True

    def validate_name(self, name: str) -> list[str]:
        """A DNS-1035 label."""
        return find_dns1035_faults(name)

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check type, ports and affinity."""
        spec = obj.get("spec") or {}
        errors: list[FieldError] = []
        kind = spec.get("type", "ClusterIP")
        if kind not in _TYPES:
            errors.append(not_supported("spec.type", kind, _TYPES))
        headless = spec.get("clusterIP") == "None"
        if kind == "ExternalName":
            errors += _validate_external_name(spec)
        elif not spec.get("ports") and not headless:
            errors.append(required("spec.ports"))
        if headless and kind in ("NodePort", "LoadBalancer"):
            errors.append(
                invalid_value("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {kind} services")
            )
        errors += _validate_ports(spec)
        errors += validate_labels(spec.get("selector"), "spec.selector")
        if spec.get("sessionAffinity", "None") not in _AFFINITIES:
            errors.append(not_supported("spec.sessionAffinity", spec["sessionAffinity"], _AFFINITIES))
        seconds = ((spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}).get("timeoutSeconds")
        if seconds is not None and not 0 < seconds <= _LONGEST_AFFINITY_S:
            errors.append(
                invalid_value(
                    "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
                    seconds,
                    f"must be greater than 0 and less than {_LONGEST_AFFINITY_S}",
                )
            )
        return errors

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """A cluster IP, once given, stays unless the type goes to or comes from ExternalName."""
        errors = self.validate(new)
        before, after = old.get("spec") or {}, new.get("spec") or {}
        if "ExternalName" in (before.get("type"), after.get("type")):
            return errors
        if before.get("clusterIP") and after.get("clusterIP") != before["clusterIP"]:
            errors.append(
                invalid_value("spec.clusterIPs[0]", after.get("clusterIPs"), "may not change once set")
            )
        return errors


def _validate_external_name(spec: JsonObject) -> list[FieldError]:
    name = str(spec.get("externalName", "")).removesuffix(".")
    if not name:
        return [required("spec.externalName")]
    return [invalid_value("spec.externalName", name, fault) for fault in find_subdomain_faults(name)]


def _validate_ports(spec: JsonObject) -> list[FieldError]:
    errors: list[FieldError] = []
    ports = spec.get("ports") or ()
    names: set[str] = set()
    taken: set[tuple[str, int]] = set()
    for index, port in enumerate(ports):
        path = f"spec.ports[{index}]"
        name = port.get("name", "")
        if not name and len(ports) > 1:
            errors.append(required(f"{path}.name"))
        elif name:
            errors += [invalid_value(f"{path}.name", name, fault) for fault in find_label_faults(name)]
            if name in names:
                errors.append(duplicate(f"{path}.name", name))
            names.add(name)
        number, protocol = port.get("port", 0), port.get("protocol", "TCP")
        if not 0 < number < 65536:
            errors.append(invalid_value(f"{path}.port", number, "must be between 1 and 65535, inclusive"))
        if protocol not in _PROTOCOLS:
            errors.append(not_supported(f"{path}.protocol", protocol, _PROTOCOLS))
        target = port.get("targetPort")
        if isinstance(target, int) and not 0 < target < 65536:
            errors.append(
                invalid_value(f"{path}.targetPort", target, "must be between 1 and 65535, inclusive")
            )
        if (protocol, number) in taken:
            errors.append(duplicate(path, {"protocol": protocol, "port": number}))
        taken.add((protocol, number))
    return errors
