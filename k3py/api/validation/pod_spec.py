"""Pod specs, of pods and of templates. Source: kubernetes/pkg/apis/core/validation/validation.go v1.35 (api-machinery.md §3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import duplicate, forbidden_field, invalid_value, not_supported, required
from k3py.api.names import find_label_faults, find_subdomain_faults
from k3py.api.validation.container import validate_container
from k3py.api.validation.selector import validate_labels
from k3py.api.validation.volume import validate_volume

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject

_RESTART: Final = ("Always", "OnFailure", "Never")
_DNS: Final = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_EFFECTS: Final = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_MOST_DEADLINE: Final = 2**31 - 1


def validate_pod_spec(spec: JsonObject, path: str) -> list[FieldError]:
    """Check a pod spec that defaults were filled into."""
    errors: list[FieldError] = []
    volumes = _validate_volumes(spec, path, errors)
    errors += _validate_containers(spec, path, volumes)
    if spec.get("restartPolicy", "Always") not in _RESTART:
        errors.append(not_supported(f"{path}.restartPolicy", spec["restartPolicy"], _RESTART))
    if spec.get("dnsPolicy", "ClusterFirst") not in _DNS:
        errors.append(not_supported(f"{path}.dnsPolicy", spec["dnsPolicy"], _DNS))
    if spec.get("dnsPolicy") == "None" and not (spec.get("dnsConfig") or {}).get("nameservers"):
        errors.append(
            required(
                f"{path}.dnsConfig.nameservers",
                "must provide at least one DNS nameserver when `dnsPolicy` is None",
            )
        )
    errors += validate_labels(spec.get("nodeSelector"), f"{path}.nodeSelector")
    errors += _validate_names(spec, path)
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 0 < deadline <= _MOST_DEADLINE:
        errors.append(
            invalid_value(
                f"{path}.activeDeadlineSeconds",
                deadline,
                f"must be between 1 and {_MOST_DEADLINE}, inclusive",
            )
        )
    errors += _validate_tolerations(spec, path)
    return errors


def _validate_volumes(spec: JsonObject, path: str, errors: list[FieldError]) -> set[str]:
    names: set[str] = set()
    for index, volume in enumerate(spec.get("volumes") or ()):
        where = f"{path}.volumes[{index}]"
        name = volume.get("name", "")
        if not name:
            errors.append(required(f"{where}.name"))
        else:
            errors += [invalid_value(f"{where}.name", name, fault) for fault in find_label_faults(name)]
        if name in names:
            errors.append(duplicate(f"{where}.name", name))
        names.add(name)
        errors += validate_volume(volume, where)
    return names


def _validate_containers(spec: JsonObject, path: str, volumes: set[str]) -> list[FieldError]:
    errors: list[FieldError] = []
    names: set[str] = set()
    host_ports: set[tuple[str, int, str]] = set()
    if not spec.get("containers"):
        errors.append(required(f"{path}.containers"))
    host_network = bool(spec.get("hostNetwork"))
    for field in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(field) or ()):
            where = f"{path}.{field}[{index}]"
            errors += validate_container(container, where, volumes, init=field == "initContainers")
            name = container.get("name", "")
            if name and name in names:
                errors.append(duplicate(f"{where}.name", name))
            names.add(name)
            errors += _validate_host_ports(container, where, host_ports, host_network=host_network)
    return errors


def _validate_host_ports(
    container: JsonObject, where: str, taken: set[tuple[str, int, str]], *, host_network: bool
) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, port in enumerate(container.get("ports") or ()):
        number = port.get("hostPort", 0)
        if not number:
            continue
        path = f"{where}.ports[{index}]"
        if host_network and number != port.get("containerPort"):
            errors.append(
                invalid_value(
                    f"{path}.hostPort", number, "must match `containerPort` when `hostNetwork` is true"
                )
            )
        key = (port.get("protocol", "TCP"), number, port.get("hostIP", ""))
        if key in taken:
            errors.append(duplicate(f"{path}.hostPort", f"{key[0]}/{key[2]}/{key[1]}"))
        taken.add(key)
    return errors


def _validate_names(spec: JsonObject, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for field in ("hostname", "subdomain"):
        if spec.get(field):
            errors += [
                invalid_value(f"{path}.{field}", spec[field], fault)
                for fault in find_label_faults(spec[field])
            ]
    for field in ("serviceAccountName", "nodeName", "priorityClassName", "runtimeClassName"):
        if spec.get(field):
            errors += [
                invalid_value(f"{path}.{field}", spec[field], fault)
                for fault in find_subdomain_faults(spec[field])
            ]
    seen: set[str] = set()
    for index, gate in enumerate(spec.get("schedulingGates") or ()):
        if gate.get("name") in seen:
            errors.append(duplicate(f"{path}.schedulingGates[{index}]", gate.get("name")))
        seen.add(gate.get("name", ""))
    if spec.get("schedulingGates") and spec.get("nodeName"):
        errors.append(
            forbidden_field(f"{path}.nodeName", "cannot be set until all schedulingGates have been cleared")
        )
    return errors


def _validate_tolerations(spec: JsonObject, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, one in enumerate(spec.get("tolerations") or ()):
        where = f"{path}.tolerations[{index}]"
        operator = one.get("operator") or "Equal"
        if not one.get("key") and operator != "Exists":
            errors.append(
                invalid_value(
                    f"{where}.operator",
                    one.get("operator", ""),
                    'operator must be Exists when `key` is empty, which means "match all values and all keys"',
                )
            )
        if operator not in ("Equal", "Exists"):
            errors.append(not_supported(f"{where}.operator", operator, ("Equal", "Exists")))
        if operator == "Exists" and one.get("value"):
            errors.append(
                invalid_value(f"{where}.operator", one, "value must be empty when `operator` is 'Exists'")
            )
        if one.get("effect") and one["effect"] not in _EFFECTS:
            errors.append(not_supported(f"{where}.effect", one["effect"], _EFFECTS))
        if one.get("tolerationSeconds") is not None and one.get("effect") != "NoExecute":
            errors.append(
                invalid_value(
                    f"{where}.effect",
                    one.get("effect", ""),
                    "effect must be 'NoExecute' when `tolerationSeconds` is set",
                )
            )
    return errors
