"""The life of a Service; addresses and ports are the allocators' (storage/allocators).

Source: kubernetes/pkg/registry/core/service/strategy.go and pkg/apis/core/validation v1.35 (api-machinery.md §3.3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from k3py.api.fielderror import forbidden_field, invalid_value, required
from k3py.api.kinds.core.service.cluster_ips import (
    is_headless,
    validate_cluster_ip_change,
    validate_cluster_ip_fields,
)
from k3py.api.kinds.core.service.exposure import (
    is_external,
    needs_health_check,
    validate_exposure,
    validate_load_balancer_status,
    warn_about_addresses,
)
from k3py.api.kinds.core.service.ports import validate_ports
from k3py.api.names import find_dns1035_faults, find_subdomain_faults
from k3py.api.strategy import StatusStrategy
from k3py.api.validation.scalar import check_choice, check_text
from k3py.api.validation.selector import validate_labels

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.api.kind import WriteContext
    from k3py.jsontypes import JsonObject

_TYPES: Final = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_AFFINITIES: Final = ("ClientIP", "None")
_LONGEST_AFFINITY_S: Final = 86400


class ServiceStrategy(StatusStrategy):
    """See the module."""

    create_on_update = True
    object_on_delete = True
    empty_status: ClassVar[JsonObject] = {"loadBalancer": {}}

    def validate_name(self, name: str) -> list[str]:
        """A DNS-1035 label."""
        return find_dns1035_faults(name)

    def warnings(self, new: JsonObject, old: JsonObject | None) -> list[str]:
        """Addresses may not be written in any way for ever."""
        return warn_about_addresses(new.get("spec") or {})

    def prepare_update(self, new: JsonObject, old: JsonObject, context: WriteContext) -> None:
        """What only the old type used and the client merely echoed goes, a load balancer's status with it."""
        super().prepare_update(new, old, context)
        spec, before = new.setdefault("spec", {}), old["spec"]
        for field, was_used, is_used in (
            ("externalTrafficPolicy", is_external(before), is_external(spec)),
            ("allocateLoadBalancerNodePorts", _is_balanced(before), _is_balanced(spec)),
            ("loadBalancerClass", _is_balanced(before), _is_balanced(spec)),
            ("internalTrafficPolicy", _has_address(before), _has_address(spec)),
        ):
            if was_used and not is_used and spec.get(field) == before.get(field):
                spec.pop(field, None)
        if not _is_balanced(spec) and (old.get("status") or {}).get("loadBalancer"):
            new["status"] = {**old["status"], "loadBalancer": {}}

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check everything; addresses and ports have been allocated."""
        spec = obj.get("spec") or {}
        kind = spec.get("type", "ClusterIP")
        errors: list[FieldError] = []
        if not spec.get("ports") and not is_headless(spec) and kind != "ExternalName":
            errors.append(required("spec.ports"))
        if kind == "ExternalName":
            errors += _validate_external_name(spec)
        elif kind in ("NodePort", "LoadBalancer") and is_headless(spec):
            detail = f"may not be set to 'None' for {kind} services"
            errors.append(invalid_value("spec.clusterIPs[0]", "None", detail))
        errors += validate_ports(spec)
        errors += validate_labels(spec.get("selector"), "spec.selector")
        errors += _validate_affinity(spec)
        errors += validate_cluster_ip_fields(spec)
        errors += check_choice(kind, "spec.type", _TYPES)
        return errors + validate_exposure(obj)

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """What was handed out stays, unless the type goes to or comes from ExternalName."""
        errors: list[FieldError] = []
        before, after = old.get("spec") or {}, new.get("spec") or {}
        if "ExternalName" not in (before.get("type"), after.get("type")):
            errors += validate_cluster_ip_change(after, before)
        if _is_balanced(before) and _is_balanced(after):
            name = after.get("loadBalancerClass")
            if name != before.get("loadBalancerClass"):
                errors.append(invalid_value("spec.loadBalancerClass", name, "may not change once set"))
        if needs_health_check(before) and needs_health_check(after):
            port = after.get("healthCheckNodePort")
            if port != before.get("healthCheckNodePort"):
                errors.append(invalid_value("spec.healthCheckNodePort", port, "field is immutable"))
        return errors + self.validate(new)

    def validate_status_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Check what load balancers report."""
        return validate_load_balancer_status(new)


def _has_address(spec: JsonObject) -> bool:
    return bool(spec.get("type") != "ExternalName")


def _is_balanced(spec: JsonObject) -> bool:
    return bool(spec.get("type") == "LoadBalancer")


def _validate_external_name(spec: JsonObject) -> list[FieldError]:
    detail = "may not be set for ExternalName services"
    errors = [
        forbidden_field(f"spec.{field}", detail)
        for field in ("clusterIPs", "ipFamilies", "ipFamilyPolicy")
        if spec.get(field)
    ]
    name = str(spec.get("externalName") or "").removesuffix(".")
    if not name:
        return [*errors, required("spec.externalName")]
    return errors + check_text(name, "spec.externalName", find_subdomain_faults)


def _validate_affinity(spec: JsonObject) -> list[FieldError]:
    affinity = spec.get("sessionAffinity", "None")
    errors = check_choice(affinity, "spec.sessionAffinity", _AFFINITIES)
    config, path = spec.get("sessionAffinityConfig"), "spec.sessionAffinityConfig"
    if affinity == "None":
        if config is not None:
            detail = "must not be set when session affinity is None"
            errors.append(forbidden_field(path, detail))
    elif affinity == "ClientIP":
        client = (config or {}).get("clientIP")
        if client is None or client.get("timeoutSeconds") is None:
            detail = "when session affinity type is ClientIP"
            return [*errors, required(path if not config else f"{path}.clientIP.timeoutSeconds", detail)]
        seconds = client["timeoutSeconds"]
        if not 0 < seconds <= _LONGEST_AFFINITY_S:
            detail = f"must be greater than 0 and less than {_LONGEST_AFFINITY_S}"
            errors.append(invalid_value(f"{path}.clientIP.timeoutSeconds", seconds, detail))
    return errors
