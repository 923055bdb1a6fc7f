"""Containers, init containers and ephemeral containers.

Source: kubernetes/pkg/apis/core/validation/validation.go v1.35 (api-machinery.md §3.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import duplicate, forbidden_field, invalid_value, not_supported, required
from k3py.api.names import find_label_faults
from k3py.api.validation.environment import validate_environment
from k3py.api.validation.mount import validate_mounts
from k3py.api.validation.probe import validate_lifecycle, validate_probe
from k3py.api.validation.resources import validate_resources
from k3py.api.validation.scalar import (
    PROTOCOLS,
    check_choice,
    check_known,
    check_port,
    check_text,
    find_port_name_faults,
    not_found,
    too_many,
)
from k3py.api.validation.security import validate_security_context

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject, JsonValue

_PULL: Final = ("Always", "IfNotPresent", "Never")
_TERMINATION: Final = ("FallbackToLogsOnError", "File")
_RESTART: Final = ("Always", "Never", "OnFailure")
_RESIZE: Final = ("NotRequired", "RestartContainer")
_PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")
_MOST_RULES: Final = 20
_MOST_EXIT_CODES: Final = 255
_NOT_EPHEMERAL: Final = (
    "ports",
    "lifecycle",
    *_PROBES,
    "resizePolicy",
    "restartPolicy",
    "restartPolicyRules",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PodFacts:
    """What the checks of a container need to know of its pod; volumes by name, claims by the names the pod gives them."""

    volumes: Mapping[str, JsonObject]
    claims: AbstractSet[str]
    grace_s: int
    restart_policy: str
    host_users: bool
    host_network: bool


def validate_containers(containers: JsonValue, path: str, pod: PodFacts) -> list[FieldError]:
    """Check the regular containers."""
    if not containers:
        return [required(path)]
    errors: list[FieldError] = []
    names: set[str] = set()
    host_ports: set[str] = set()
    for index, one in enumerate(containers):
        where = f"{path}[{index}]"
        errors += _validate_shared(one, where, pod)
        errors += _check_name(one, where, names)
        errors += _validate_life(one, where, pod)
        errors += _validate_restarts(one, where)
        errors += _check_host_ports(one, where, host_ports)
    return errors


def validate_init_containers(
    containers: JsonValue, path: str, pod: PodFacts, regular: JsonValue
) -> list[FieldError]:
    """Check the init containers; their names must differ from those of the `regular` ones, too."""
    errors: list[FieldError] = []
    names = {one.get("name", "") for one in regular} - {""}
    for index, one in enumerate(containers):
        where = f"{path}[{index}]"
        errors += _validate_shared(one, where, pod)
        errors += _check_name(one, where, names)
        errors += _check_host_ports(one, where, set())
        if one.get("restartPolicy") == "Always":
            errors += _validate_life(one, where, pod)
        else:
            detail = "may not be set for init containers without restartPolicy=Always"
            errors += [
                forbidden_field(f"{where}.{field}", detail)
                for field in ("lifecycle", *_PROBES)
                if one.get(field) is not None
            ]
            if one.get("resizePolicy"):
                at = f"{where}.resizePolicy"
                errors.append(invalid_value(at, one["resizePolicy"], "must not be set for init containers"))
        errors += _validate_restarts(one, where)
    return errors


def validate_ephemeral_containers(
    containers: JsonValue, path: str, pod: PodFacts, others: JsonValue
) -> list[FieldError]:
    """Check the ephemeral containers; `others`: all other containers of the pod."""
    errors: list[FieldError] = []
    other_names = {one.get("name", "") for one in others} - {""}
    names = set(other_names)
    detail = "cannot be set for an Ephemeral Container"
    for index, one in enumerate(containers):
        where = f"{path}[{index}]"
        errors += _validate_shared(one, where, pod)
        errors += _check_name(one, where, names)
        target = one.get("targetContainerName")
        if target and target not in other_names:
            errors.append(not_found(f"{where}.targetContainerName", target))
        errors += [forbidden_field(f"{where}.{field}", detail) for field in _NOT_EPHEMERAL if one.get(field)]
        if any((one.get("resources") or {}).values()):
            errors.append(forbidden_field(f"{where}.resources", detail))
        for number, mount in enumerate(one.get("volumeMounts") or ()):
            errors += [
                forbidden_field(f"{where}.volumeMounts[{number}].{field}", detail)
                for field in ("subPath", "subPathExpr")
                if mount.get(field)
            ]
    return errors


def _check_name(container: JsonObject, path: str, names: set[str]) -> list[FieldError]:
    name = container.get("name", "")
    if name in names:
        return [duplicate(f"{path}.name", name)]
    if name:
        names.add(name)
    return []


def _validate_shared(container: JsonObject, path: str, pod: PodFacts) -> list[FieldError]:
    """What holds for every container of whatever sort."""
    name = container.get("name", "")
    errors = check_text(name, f"{path}.name", find_label_faults) if name else [required(f"{path}.name")]
    if not container.get("image"):
        errors.append(required(f"{path}.image"))
    errors += check_choice(
        container.get("terminationMessagePolicy", "File"), f"{path}.terminationMessagePolicy", _TERMINATION
    )
    errors += _validate_ports(container.get("ports") or (), f"{path}.ports", host_network=pod.host_network)
    errors += validate_environment(container, path, pod.volumes)
    errors += validate_mounts(container, path, pod.volumes)
    errors += check_choice(container.get("imagePullPolicy", "Always"), f"{path}.imagePullPolicy", _PULL)
    errors += validate_resources(container.get("resources") or {}, f"{path}.resources", pod.claims)
    errors += _validate_resize_policy(container, f"{path}.resizePolicy", pod)
    if container.get("securityContext") is not None:
        errors += validate_security_context(
            container["securityContext"], f"{path}.securityContext", host_users=pod.host_users
        )
    return errors


def _validate_life(container: JsonObject, path: str, pod: PodFacts) -> list[FieldError]:
    errors: list[FieldError] = []
    if container.get("lifecycle") is not None:
        errors += validate_lifecycle(container["lifecycle"], f"{path}.lifecycle", grace_s=pod.grace_s)
    for probe in _PROBES:
        if container.get(probe) is not None:
            errors += validate_probe(container[probe], f"{path}.{probe}", kind=probe, grace_s=pod.grace_s)
    return errors


def _validate_ports(ports: JsonValue, path: str, *, host_network: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    names: set[str] = set()
    for index, port in enumerate(ports):
        where = f"{path}[{index}]"
        name = port.get("name", "")
        if name:
            faults = check_text(name, f"{where}.name", find_port_name_faults)
            if not faults and name in names:
                faults.append(duplicate(f"{where}.name", name))
            names.add(name)
            errors += faults
        number, host = port.get("containerPort") or 0, port.get("hostPort") or 0
        at = f"{where}.containerPort"
        errors += check_port(number, at) if number else [required(at)]
        if host:
            errors += check_port(host, f"{where}.hostPort")
        if host_network and host != number:
            detail = "must match `containerPort` when `hostNetwork` is true"
            errors.append(invalid_value(f"{where}.hostPort", host, detail))
        errors += check_choice(port.get("protocol", "TCP"), f"{where}.protocol", PROTOCOLS)
    return errors


def _check_host_ports(container: JsonObject, path: str, taken: set[str]) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, port in enumerate(container.get("ports") or ()):
        if not port.get("hostPort"):
            continue
        key = f"{port.get('protocol', 'TCP')}/{port.get('hostIP', '')}/{port['hostPort']}"
        if key in taken:
            errors.append(duplicate(f"{path}.ports[{index}].hostPort", key))
        taken.add(key)
    return errors


def _validate_resize_policy(container: JsonObject, path: str, pod: PodFacts) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, one in enumerate(container.get("resizePolicy") or ()):
        name, policy = one.get("resourceName", ""), one.get("restartPolicy", "")
        if name in seen:
            errors.append(duplicate(f"{path}[{index}]", name))
        seen.add(name)
        errors += check_choice(name, path, ("cpu", "memory"))
        errors += check_choice(policy, path, _RESIZE)
        if pod.restart_policy == "Never" and policy != "NotRequired":
            detail = "must be 'NotRequired' when `restartPolicy` is 'Never'"
            errors.append(invalid_value(path, policy, detail))
    return errors


def _validate_restarts(container: JsonObject, path: str) -> list[FieldError]:
    """The restart policy of a single container and its rules by exit code."""
    errors: list[FieldError] = []
    policy, rules = container.get("restartPolicy"), container.get("restartPolicyRules") or ()
    if policy is not None:
        errors += check_known(policy, f"{path}.restartPolicy", _RESTART)
    if rules and policy is None:
        errors.append(
            required(f"{path}.restartPolicy", "must specify restartPolicy when restart rules are used")
        )
    where = f"{path}.restartPolicyRules"
    if len(rules) > _MOST_RULES:
        errors.append(too_many(where, _MOST_RULES, len(rules)))
    for index, rule in enumerate(rules):
        at = f"{where}[{index}]"
        errors += check_choice(rule.get("action", ""), f"{at}.action", ("Restart",))
        codes = rule.get("exitCodes")
        if codes is None:
            errors.append(required(f"{at}.exitCodes", "must be specified"))
            continue
        if codes.get("operator") not in ("In", "NotIn"):
            errors.append(
                not_supported(f"{at}.exitCodes.operator", codes.get("operator", ""), ("In", "NotIn"))
            )
        values = codes.get("values") or ()
        if not values:
            errors.append(required(f"{at}.exitCodes.values", "must have at least one value"))
        elif len(values) > _MOST_EXIT_CODES:
            errors.append(too_many(f"{at}.exitCodes.values", _MOST_EXIT_CODES, len(values)))
    return errors
