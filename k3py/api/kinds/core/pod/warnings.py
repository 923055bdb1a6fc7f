"""Warnings about pods that are accepted. Source: kubernetes/pkg/api/pod/warnings.go v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.quantity import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from k3py.jsontypes import JsonObject

_APPARMOR: Final = "container.apparmor.security.beta.kubernetes.io/"
_SECCOMP: Final = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP_CONTAINER: Final = "container.seccomp.security.alpha.kubernetes.io/"
_OLD_NODE_LABELS: Final = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
    "failure-domain.beta.kubernetes.io/zone": 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
    "beta.kubernetes.io/instance-type": 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
}
_OLD_VOLUMES: Final = {
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "gitRepo": "deprecated in v1.11, and disabled by default in v1.33+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "flocker": "deprecated in v1.22, non-functional in v1.25+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "quobyte": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}


def find_warnings(pod: JsonObject, prefix: str, old: JsonObject | None) -> list[str]:
    """Return texts for a pod or a template, whose fields lie below `prefix` ("" or "spec.template."); only news of an update."""
    if old is not None and old.get("spec") == pod.get("spec"):
        return []
    spec = pod.get("spec") or {}
    at = f"{prefix}spec"
    return [
        *_of_scheduling(spec, at),
        *_of_annotations(pod, prefix),
        *_of_volumes(spec, at),
        *_of_lists(spec, at),
        *_of_containers(spec, at),
    ]


def _of_scheduling(spec: JsonObject, at: str) -> Iterator[str]:
    for key in spec.get("nodeSelector") or ():
        if key in _OLD_NODE_LABELS:
            yield f"{at}.nodeSelector[{key}]: {_OLD_NODE_LABELS[key]}"
    if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
        yield f"{at}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"


def _of_annotations(pod: JsonObject, prefix: str) -> Iterator[str]:
    spec = pod.get("spec") or {}
    annotations = (pod.get("metadata") or {}).get("annotations") or {}
    has_apparmor = (spec.get("securityContext") or {}).get("appArmorProfile") is not None
    for key in sorted(annotations):
        if key.startswith(_APPARMOR) and not has_apparmor:
            yield f'{prefix}metadata.annotations[{key}]: deprecated since v1.30; use the "appArmorProfile" field instead'
        if key == _SECCOMP or key.startswith(_SECCOMP_CONTAINER):
            yield f'{prefix}metadata.annotations[{key}]: non-functional in v1.27+; use the "seccompProfile" field instead'


def _of_volumes(spec: JsonObject, at: str) -> Iterator[str]:
    for index, volume in enumerate(spec.get("volumes") or ()):
        for field, text in _OLD_VOLUMES.items():
            if volume.get(field) is not None:
                yield f"{at}.volumes[{index}].{field}: {text}"


def _of_lists(spec: JsonObject, at: str) -> Iterator[str]:
    seen: set[str] = set()
    for index, secret in enumerate(spec.get("imagePullSecrets") or ()):
        name, where = secret.get("name", ""), f"{at}.imagePullSecrets[{index}].name"
        if not name:
            yield f'{at}.imagePullSecrets[{index}]: invalid empty name ""'
        elif name in seen:
            yield f'{where}: duplicate name "{name}"'
        seen.add(name)
    hosts: set[str] = set()
    for index, alias in enumerate(spec.get("hostAliases") or ()):
        address = alias.get("ip", "")
        if address in hosts:
            yield f'{at}.hostAliases[{index}].ip: duplicate ip "{address}"'
        hosts.add(address)


def _of_containers(spec: JsonObject, at: str) -> Iterator[str]:
    ports: dict[str, str] = {}
    for field in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(field) or ()):
            where = f"{at}.{field}[{index}]"
            yield from _of_environment(container, where)
            yield from _of_memory(container, where)
            if field == "containers":
                yield from _of_ports(container, where, ports)


def _of_environment(container: JsonObject, where: str) -> Iterator[str]:
    seen: set[str] = set()
    for index, one in enumerate(container.get("env") or ()):
        name, value = one.get("name", ""), one.get("value", "")
        if name in seen and f"$({name})" not in value:
            yield f'{where}.env[{index}]: hides previous definition of "{name}", which may be dropped when using apply'
        seen.add(name)


def _of_memory(container: JsonObject, where: str) -> Iterator[str]:
    for part in ("limits", "requests"):
        for name in ("memory", "ephemeral-storage"):
            text = ((container.get("resources") or {}).get(part) or {}).get(name)
            if text is not None and (amount := parse_quantity(str(text))) != amount.to_integral_value():
                yield f'{where}.resources.{part}[{name}]: fractional byte value "{text}" is invalid, must be an integer'


def _of_ports(container: JsonObject, where: str, seen: dict[str, str]) -> Iterator[str]:
    for index, port in enumerate(container.get("ports") or ()):
        path = f"{where}.ports[{index}]"
        key = f"{port.get('containerPort')}/{port.get('protocol', 'TCP')}/{port.get('hostIP', '')}/{port.get('hostPort', 0)}"
        if key in seen:
            yield f"{path}: duplicate port definition with {seen[key]}"
        else:
            seen[key] = path
