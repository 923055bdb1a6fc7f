"""Ingresses and ingress classes. Source: kubernetes/pkg/apis/networking/validation v1.35."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import forbidden_field, invalid_value, required
from k3py.api.names import (
    find_dns1035_faults,
    find_label_faults,
    find_path_segment_faults,
    find_subdomain_faults,
)
from k3py.api.validation.scalar import (
    check_ip,
    check_known,
    check_port,
    check_text,
    find_port_name_faults,
    parse_ip,
)

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject

_PATH_TYPES: Final = ("Exact", "ImplementationSpecific", "Prefix")
_BAD_SEQUENCES: Final = ("//", "/./", "/../", "%2f", "%2F")
_BAD_ENDS: Final = ("/..", "/.")
_CONTROLLER: Final = re.compile(r"[^/]+/[A-Za-z0-9/\-._~%!$&'()*+,;=:]+\Z")
_LONGEST_CONTROLLER: Final = 250
_SCOPES: Final = ("Cluster", "Namespace")


def validate_ingress(spec: JsonObject) -> list[FieldError]:
    """Check the spec of an Ingress."""
    errors: list[FieldError] = []
    rules, backend = spec.get("rules") or (), spec.get("defaultBackend")
    if not rules and backend is None:
        detail = "either `defaultBackend` or `rules` must be specified"
        errors.append(invalid_value("spec", list(rules), detail))
    if backend is not None:
        errors += _validate_backend(backend, "spec.defaultBackend")
    for index, rule in enumerate(rules):
        errors += _validate_rule(rule, f"spec.rules[{index}]")
    for index, one in enumerate(spec.get("tls") or ()):
        where = f"spec.tls[{index}]"
        for number, host in enumerate(one.get("hosts") or ()):
            errors += check_text(host, f"{where}.hosts[{number}]", _find_host_faults)
        if one.get("secretName"):
            errors += check_text(one["secretName"], f"{where}.secretName", find_subdomain_faults)
    if spec.get("ingressClassName") is not None:
        errors += check_text(spec["ingressClassName"], "spec.ingressClassName", find_subdomain_faults)
    return errors


def _find_host_faults(host: str) -> list[str]:
    if "*" not in host:
        return find_subdomain_faults(host)
    if not host.startswith("*.") or "*" in host[1:]:
        return ["a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain"]
    return find_subdomain_faults(host[2:])


def _validate_rule(rule: JsonObject, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    host = rule.get("host", "")
    if host:
        if parse_ip(host) is not None:
            errors.append(invalid_value(f"{path}.host", host, "must be a DNS name, not an IP address"))
        errors += check_text(host, f"{path}.host", _find_host_faults)
    http = rule.get("http")
    if http is None:
        return errors
    paths = http.get("paths") or ()
    if not paths:
        errors.append(required(f"{path}.http.paths"))
    for index, one in enumerate(paths):
        where = f"{path}.http.paths[{index}]"
        errors += _validate_path(one, where)
        errors += _validate_backend(one.get("backend") or {}, f"{where}.backend")
    return errors


def _validate_path(one: JsonObject, path: str) -> list[FieldError]:
    kind, text, where = one.get("pathType"), one.get("path", ""), f"{path}.path"
    if kind is None:
        return [required(f"{path}.pathType", "pathType must be specified")]
    if kind not in _PATH_TYPES:
        return check_known(kind, f"{path}.pathType", _PATH_TYPES)
    if kind == "ImplementationSpecific":
        is_bad = bool(text) and not text.startswith("/")
        return [invalid_value(where, text, "must be an absolute path")] if is_bad else []
    errors = [] if text.startswith("/") else [invalid_value(where, text, "must be an absolute path")]
    errors += [
        invalid_value(where, text, f"must not contain '{one}'") for one in _BAD_SEQUENCES if one in text
    ]
    errors += [
        invalid_value(where, text, f"cannot end with '{one}'") for one in _BAD_ENDS if text.endswith(one)
    ]
    return errors


def _validate_backend(backend: JsonObject, path: str) -> list[FieldError]:
    resource, service = backend.get("resource"), backend.get("service")
    if resource is not None and service is not None:
        return [invalid_value(path, "", "cannot set both resource and service backends")]
    if resource is not None:
        return _validate_reference(resource, f"{path}.resource")
    if service is None:
        return [invalid_value(path, "", "resource or service backend is required")]
    errors: list[FieldError] = []
    name, where = service.get("name", ""), f"{path}.service"
    errors += check_text(name, f"{where}.name", find_dns1035_faults) if name else [required(f"{where}.name")]
    port = service.get("port") or {}
    port_name, number = port.get("name", ""), port.get("number") or 0
    if port_name and number:
        errors.append(invalid_value(path, "", "cannot set both port name & port number"))
    elif port_name:
        errors += check_text(port_name, f"{where}.port.name", find_port_name_faults)
    elif number:
        errors += check_port(number, f"{where}.port.number")
    else:
        errors.append(required(path, "port name or number is required"))
    return errors


def _validate_reference(reference: JsonObject, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if reference.get("apiGroup"):
        errors += check_text(reference["apiGroup"], f"{path}.apiGroup", find_subdomain_faults)
    for field in ("kind", "name"):
        text, where = reference.get(field, ""), f"{path}.{field}"
        errors += check_text(text, where, find_path_segment_faults) if text else [required(where)]
    return errors


def validate_ingress_status(status: JsonObject) -> list[FieldError]:
    """Check where load balancers take traffic in."""
    errors: list[FieldError] = []
    for index, point in enumerate((status.get("loadBalancer") or {}).get("ingress") or ()):
        where = f"status.loadBalancer.ingress[{index}]"
        if point.get("ip"):
            errors += check_ip(point["ip"], f"{where}.ip")
        host = point.get("hostname")
        if host:
            errors += check_text(host, f"{where}.hostname", find_subdomain_faults)
            if parse_ip(host) is not None:
                detail = "must be a DNS name, not an IP address"
                errors.append(invalid_value(f"{where}.hostname", host, detail))
    return errors


def validate_ingress_class(spec: JsonObject) -> list[FieldError]:
    """Check the spec of an IngressClass."""
    controller, path = spec.get("controller", ""), "spec.controller"
    errors = check_text(controller, path, _find_controller_faults) if controller else [required(path)]
    parameters = spec.get("parameters")
    if parameters is None:
        return errors
    where = "spec.parameters"
    errors += _validate_reference(parameters, where)
    scope, namespace = parameters.get("scope"), parameters.get("namespace")
    if scope is None:
        return [*errors, required(f"{where}.scope")]
    errors += check_known(scope, f"{where}.scope", _SCOPES)
    if scope == "Namespace":
        if not namespace:
            detail = "`parameters.scope` is set to 'Namespace'"
            errors.append(required(f"{where}.namespace", detail))
        else:
            errors += check_text(namespace, f"{where}.namespace", find_label_faults)
    elif scope == "Cluster" and namespace is not None:
        detail = "`parameters.scope` is set to 'Cluster'"
        errors.append(forbidden_field(f"{where}.namespace", detail))
    return errors


def _find_controller_faults(name: str) -> list[str]:
    if len(name) > _LONGEST_CONTROLLER:
        return [f"must be no more than {_LONGEST_CONTROLLER} characters"]
    if not _CONTROLLER.match(name):
        return ['must be a domain-prefixed path (such as "acme.io/foo")']
    return find_subdomain_faults(name.partition("/")[0])
