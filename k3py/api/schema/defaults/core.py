"""Conditional defaults of core/v1. Source: k8s.io/kubernetes/pkg/apis/core/v1/defaults.go v1.35."""

from __future__ import annotations

import base64
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from k3py.api import quantity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from k3py.jsontypes import JsonObject

_OVERCOMMITTABLE: Final = ("cpu", "memory")


def _pull_policy(image: str) -> str:
    """Return Always for the tag latest or no tag, IfNotPresent for another tag or a digest."""
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    if tag:
        return "Always" if tag == "latest" else "IfNotPresent"
    return "IfNotPresent" if digest else "Always"


def _default_container(obj: JsonObject) -> None:
    if not obj.get("imagePullPolicy"):
        obj["imagePullPolicy"] = _pull_policy(obj.get("image", ""))


def _default_image_volume(obj: JsonObject) -> None:
    if not obj.get("pullPolicy"):
        obj["pullPolicy"] = _pull_policy(obj.get("reference", ""))


def _default_volume(obj: JsonObject) -> None:
    if len(obj) == 1 and "name" in obj:
        obj["emptyDir"] = {}


def _containers(spec: JsonObject) -> Iterator[JsonObject]:
    yield from spec.get("containers") or ()
    yield from spec.get("initContainers") or ()


def _default_pod(obj: JsonObject) -> None:
    spec = obj["spec"]
    for container in _containers(spec):
        resources = container["resources"]
        if limits := resources.get("limits"):
            requests = resources.setdefault("requests", {})
            for name, limit in limits.items():
                requests.setdefault(name, limit)
    if spec.get("resources") is not None:
        _default_pod_resources(spec)
    spec.setdefault("enableServiceLinks", True)
    if spec.get("hostNetwork"):
        for container in _containers(spec):
            for port in container.get("ports") or ():
                port["hostPort"] = port.get("hostPort") or port["containerPort"]


def _default_pod_resources(spec: JsonObject) -> None:
    """Fill pod-level requests from the containers' sums, then from the pod's limits; hugepages limits from the sums too."""
    resources = spec["resources"]
    requested = _sum_resources(spec, "requests")
    limited = _sum_resources(spec, "limits")
    pod_limits = resources.get("limits")
    if pod_limits:
        requests = resources.setdefault("requests", {})
        for name, total in requested.items():
            if name in _OVERCOMMITTABLE or name.startswith("hugepages-"):
                requests.setdefault(name, total)
        for name, limit in pod_limits.items():
            requests.setdefault(name, limit)
    requests = resources.get("requests") or {}
    for name, total in limited.items():
        if name.startswith("hugepages-") and name not in requests and name not in (pod_limits or {}):
            resources.setdefault("limits", {})[name] = total
            resources.setdefault("requests", {})[name] = total


def _sum_resources(spec: JsonObject, side: str) -> dict[str, str]:
    """Return what the containers need together: the running ones' sum, or an init container's maximum."""
    totals: dict[str, Decimal] = {}
    formats: dict[str, quantity.QuantityFormat] = {}

    def add(container: JsonObject, into: dict[str, Decimal]) -> None:
        for name, text in (container["resources"].get(side) or {}).items():
            formats.setdefault(name, quantity.format_of(text))
            into[name] = into.get(name, Decimal(0)) + quantity.parse_quantity(text)

    for container in spec.get("containers") or ():
        add(container, totals)
    sidecars: dict[str, Decimal] = {}
    peaks: dict[str, Decimal] = {}
    for container in spec.get("initContainers") or ():
        at_once = dict(sidecars)
        add(container, at_once)
        if container.get("restartPolicy") == "Always":
            sidecars = at_once
        for name, value in at_once.items():
            peaks[name] = max(peaks.get(name, value), value)
    for name, value in sidecars.items():
        totals[name] = totals.get(name, Decimal(0)) + value
    for name, value in peaks.items():
        totals[name] = max(totals.get(name, value), value)
    return {name: quantity.format_quantity(value, formats[name]) for name, value in totals.items()}


def _default_pod_spec(obj: JsonObject) -> None:
    """Keep the old name of the service account equal."""
    name = obj.get("serviceAccountName") or obj.get("serviceAccount")
    if name:
        obj["serviceAccountName"] = obj["serviceAccount"] = name


def _default_pod_status(obj: JsonObject) -> None:
    """Keep podIP the first of podIPs; where they differ, podIP counts."""
    address, addresses = obj.get("podIP"), obj.get("podIPs")
    if address and (not addresses or addresses[0].get("ip") != address):
        obj["podIPs"] = [{"ip": address}]
    elif addresses and not address:
        obj["podIP"] = addresses[0].get("ip", "")


def _default_node_spec(obj: JsonObject) -> None:
    """Keep podCIDR the first of podCIDRs; where they differ, podCIDR counts."""
    block, blocks = obj.get("podCIDR"), obj.get("podCIDRs")
    if block and (not blocks or blocks[0] != block):
        obj["podCIDRs"] = [block]
    elif blocks and not block:
        obj["podCIDR"] = blocks[0]


def _default_secret(obj: JsonObject) -> None:
    texts = obj.pop("stringData", None)
    if texts:
        data = obj.setdefault("data", {})
        for key, text in texts.items():
            data[key] = base64.b64encode(text.encode()).decode()


def _default_service(obj: JsonObject) -> None:
    spec = obj["spec"]
    kind = spec["type"] = spec.get("type") or "ClusterIP"
    affinity = spec["sessionAffinity"] = spec.get("sessionAffinity") or "None"
    if affinity == "None":
        spec.pop("sessionAffinityConfig", None)
    elif affinity == "ClientIP":
        config = spec.setdefault("sessionAffinityConfig", {}).setdefault("clientIP", {})
        config.setdefault("timeoutSeconds", 10800)
    for port in spec.get("ports") or ():
        if not port.get("targetPort"):
            port["targetPort"] = port["port"]
    external = kind in ("NodePort", "LoadBalancer") or (kind == "ClusterIP" and spec.get("externalIPs"))
    if external and not spec.get("externalTrafficPolicy"):
        spec["externalTrafficPolicy"] = "Cluster"
    if kind in ("ClusterIP", "NodePort", "LoadBalancer"):
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
        for ingress in (obj.get("status", {}).get("loadBalancer") or {}).get("ingress") or ():
            if ingress.get("ip"):
                ingress.setdefault("ipMode", "VIP")


def _default_namespace(obj: JsonObject) -> None:
    name = obj["metadata"].get("name")
    if name:
        obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = name


def _default_node(obj: JsonObject) -> None:
    status = obj["status"]
    if status.get("allocatable") is None and status.get("capacity"):
        status["allocatable"] = dict(status["capacity"])


def _default_replication_controller(obj: JsonObject) -> None:
    spec = obj["spec"]
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    if labels:
        if not spec.get("selector"):
            spec["selector"] = dict(labels)
        if not obj["metadata"].get("labels"):
            obj["metadata"]["labels"] = dict(labels)
    spec.setdefault("replicas", 1)


def _default_persistent_volume(obj: JsonObject) -> None:
    obj["spec"].setdefault("persistentVolumeReclaimPolicy", "Retain")
    obj["spec"].setdefault("volumeMode", "Filesystem")
    obj["status"].setdefault("phase", "Pending")


def _default_persistent_volume_claim(obj: JsonObject) -> None:
    obj["status"].setdefault("phase", "Pending")


def _default_limit_range_item(obj: JsonObject) -> None:
    if obj.get("type") != "Container":
        return
    limits = obj.setdefault("default", {})
    for name, value in (obj.get("max") or {}).items():
        limits.setdefault(name, value)
    requests = obj.setdefault("defaultRequest", {})
    for name, value in limits.items():
        requests.setdefault(name, value)
    for name, value in (obj.get("min") or {}).items():
        requests.setdefault(name, value)
    for key in ("default", "defaultRequest"):
        if not obj[key]:
            del obj[key]


def _default_storage_sources(**defaults: str) -> Callable[[JsonObject], None]:
    def default(obj: JsonObject) -> None:
        for field, value in defaults.items():
            if not obj.get(field):
                obj[field] = value

    return default


HOOKS: Final = {
    "Container": _default_container,
    "EphemeralContainerCommon": _default_container,
    "ImageVolumeSource": _default_image_volume,
    "Volume": _default_volume,
    "Pod": _default_pod,
    "PodSpec": _default_pod_spec,
    "PodStatus": _default_pod_status,
    "NodeSpec": _default_node_spec,
    "Secret": _default_secret,
    "Service": _default_service,
    "Namespace": _default_namespace,
    "Node": _default_node,
    "ReplicationController": _default_replication_controller,
    "PersistentVolume": _default_persistent_volume,
    "PersistentVolumeClaim": _default_persistent_volume_claim,
    "LimitRangeItem": _default_limit_range_item,
    "ISCSIPersistentVolumeSource": _default_storage_sources(iscsiInterface="default"),
    "RBDPersistentVolumeSource": _default_storage_sources(
        pool="rbd", user="admin", keyring="/etc/ceph/keyring"
    ),
    "ScaleIOPersistentVolumeSource": _default_storage_sources(storageMode="ThinProvisioned", fsType="xfs"),
}
