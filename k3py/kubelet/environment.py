"""The environment of a container: service variables, envFrom, env. Pure; the caller brings the referenced objects.

Source: pkg/kubelet/kubelet_pods.go makeEnvironmentVariables, pkg/kubelet/envvars v1.35.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from k3py.errors import K3pyError
from k3py.kubelet.downward import field_value, resource_value
from k3py.kubelet.expansion import expand

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from k3py.jsontypes import JsonObject


class ContainerConfigError(K3pyError):
    """A container cannot be configured (a missing ConfigMap, key or user): the waiting reason CreateContainerConfigError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentSources:
    """What variables may refer to.

    config_maps, secrets: by name, of the pod's namespace; a missing one is left out.
    services: those visible to the pod (its namespace, and default/kubernetes).
    """

    config_maps: Mapping[str, JsonObject] = field(default_factory=dict)
    secrets: Mapping[str, JsonObject] = field(default_factory=dict)
    services: Sequence[JsonObject] = ()
    allocatable: Mapping[str, str] = field(default_factory=dict)
    host_ips: Sequence[str] = ()
    pod_ips: Sequence[str] = ()


def references(container: JsonObject) -> Iterator[tuple[str, str]]:
    """Yield ("ConfigMap" | "Secret", name) of every object that a container's environment refers to."""
    for source in container.get("envFrom") or ():
        for key, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            if key in source:
                yield kind, source[key]["name"]
    for variable in container.get("env") or ():
        value_from = variable.get("valueFrom") or {}
        for key, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
            if key in value_from:
                yield kind, value_from[key]["name"]


def make_environment(pod: JsonObject, container: JsonObject, sources: EnvironmentSources) -> dict[str, str]:
    """Return the variables in order; env wins over envFrom, that over service variables.

    Raises:
        ContainerConfigError: a referenced object or key is missing and not optional.
    """
    services = {}
    links = pod["spec"].get("enableServiceLinks", True)
    namespace = pod["metadata"]["namespace"]
    for service in sources.services:
        metadata = service["metadata"]
        is_api = metadata["namespace"] == "default" and metadata["name"] == "kubernetes"
        if is_api or (links and metadata["namespace"] == namespace):
            services.update(service_variables(service))
    result: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        prefix = source.get("prefix", "")
        result.update({prefix + key: value for key, value in _from(source, sources).items()})
    # References resolve to what stands before them, service variables included.
    scope = services | result
    for variable in container.get("env") or ():
        name = variable["name"]
        if "valueFrom" in variable:
            value = _value_from(pod, container, variable["valueFrom"], sources)
            if value is None:
                continue
        else:
            value = expand(variable.get("value", ""), scope)
        result[name] = scope[name] = value
    return {name: value for name, value in services.items() if name not in result} | result


def _from(source: JsonObject, sources: EnvironmentSources) -> dict[str, str]:
    if "configMapRef" in source:
        return _data("configmap", source["configMapRef"], sources.config_maps)
    if "secretRef" in source:
        found = _data("secret", source["secretRef"], sources.secrets)
        return {key: _decode(value) for key, value in found.items()}
    return {}


def _data(kind: str, reference: JsonObject, objects: Mapping[str, JsonObject]) -> dict[str, str]:
    found = objects.get(reference["name"])
    if found is None:
        if reference.get("optional"):
            return {}
        raise ContainerConfigError(f'{kind} "{reference["name"]}" not found')
    return found.get("data") or {}


def _decode(value: str) -> str:
    return base64.b64decode(value).decode("utf-8", "surrogateescape")


def _value_from(
    pod: JsonObject, container: JsonObject, source: JsonObject, sources: EnvironmentSources
) -> str | None:
    namespace = pod["metadata"]["namespace"]
    if "fieldRef" in source:
        path = source["fieldRef"]["fieldPath"]
        return field_value(pod, path, host_ips=sources.host_ips, pod_ips=sources.pod_ips)
    if "resourceFieldRef" in source:
        reference = source["resourceFieldRef"]
        return resource_value(pod, reference, sources.allocatable, container_name=container["name"])
    for key, kind, objects in (
        ("configMapKeyRef", "ConfigMap", sources.config_maps),
        ("secretKeyRef", "Secret", sources.secrets),
    ):
        if key in source:
            reference = source[key]
            data = _data(kind.lower(), reference, objects)
            if reference["key"] in data:
                value = data[reference["key"]]
                return _decode(value) if kind == "Secret" else value
            if reference.get("optional"):
                return None
            raise ContainerConfigError(
                f"couldn't find key {reference['key']} in {kind} {namespace}/{reference['name']}"
            )
    raise ContainerConfigError("valueFrom names no source that is supported")


def service_variables(service: JsonObject) -> dict[str, str]:
    """Return the variables of a service with a cluster IP. Source: pkg/kubelet/envvars/envvars.go v1.35."""
    spec = service["spec"]
    address = spec.get("clusterIP")
    ports = spec.get("ports") or ()
    if not address or address == "None" or not ports or spec.get("type") == "ExternalName":
        return {}
    prefix = service["metadata"]["name"].upper().replace("-", "_")
    result = {f"{prefix}_SERVICE_HOST": address, f"{prefix}_SERVICE_PORT": str(ports[0]["port"])}
    for port in ports:
        if port.get("name"):
            result[f"{prefix}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(port["port"])
    host = f"[{address}]" if ":" in address else address
    for index, port in enumerate(ports):
        protocol = str(port.get("protocol") or "TCP")
        number = str(port["port"])
        url = f"{protocol.lower()}://{host}:{number}"
        if index == 0:
            result[f"{prefix}_PORT"] = url
        one = f"{prefix}_PORT_{number}_{protocol}"
        result |= {one: url, f"{one}_PROTO": protocol.lower(), f"{one}_PORT": number, f"{one}_ADDR": address}
    return result


def visible_services(services: Iterable[JsonObject], namespace: str) -> list[JsonObject]:
    """Return the services that a pod's environment may show, by name."""
    found = [
        one
        for one in services
        if one["metadata"]["namespace"] == namespace
        or (one["metadata"]["namespace"] == "default" and one["metadata"]["name"] == "kubernetes")
    ]
    return sorted(found, key=lambda one: (one["metadata"]["namespace"] == namespace, one["metadata"]["name"]))
