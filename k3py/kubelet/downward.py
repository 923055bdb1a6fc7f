"""The downward API: what fieldRef and resourceFieldRef resolve to. Pure.

Source: pkg/fieldpath, pkg/api/v1/resource/helpers.go v1.35; data/kubelet.tsv "downward".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from k3py.errors import K3pyError
from k3py.kubelet.amounts import divide
from k3py.kubelet.pod import find_container

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from k3py.jsontypes import JsonObject

_SUBSCRIPT: Final = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")
_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


class UnresolvableField(K3pyError):
    """A fieldRef or resourceFieldRef that names nothing."""


def field_value(
    pod: JsonObject, path: str, *, host_ips: Sequence[str] = (), pod_ips: Sequence[str] = ()
) -> str:
    """Return the text of a fieldRef.

    Args:
        pod: the pod.
        path: e.g. "metadata.labels['app']", "status.podIP".
        host_ips: the node's addresses.
        pod_ips: the pod's addresses, known once it has a sandbox.

    Raises:
        UnresolvableField: no such field.
    """
    metadata, spec = pod["metadata"], pod["spec"]
    if match := _SUBSCRIPT.fullmatch(path):
        return str((metadata.get(match[1]) or {}).get(match[2], ""))
    match path:
        case "metadata.name" | "metadata.namespace" | "metadata.uid":
            return str(metadata[path.partition(".")[2]])
        case "metadata.labels" | "metadata.annotations":
            return format_map(metadata.get(path.partition(".")[2]) or {})
        case "spec.nodeName" | "spec.serviceAccountName":
            return str(spec.get(path.partition(".")[2]) or "")
        case "status.hostIP":
            return host_ips[0] if host_ips else ""
        case "status.hostIPs":
            return ",".join(host_ips)
        case "status.podIP":
            return pod_ips[0] if pod_ips else ""
        case "status.podIPs":
            return ",".join(pod_ips)
    raise UnresolvableField(f"unsupported fieldPath: {path}")


def format_map(values: Mapping[str, str]) -> str:
    """Write labels as sorted key="value" lines."""
    return "\n".join(f'{key}="{_escape(value)}"' for key, value in sorted(values.items()))


def _escape(text: str) -> str:
    return "".join(_ESCAPES.get(one, one) for one in text)


def resource_value(
    pod: JsonObject, reference: JsonObject, allocatable: Mapping[str, str], *, container_name: str = ""
) -> str:
    """Return the text of a resourceFieldRef; a limit that is not set is the node's allocatable, a request 0.

    Raises:
        UnresolvableField: no such container or resource.
    """
    name = reference.get("containerName") or container_name
    found = find_container(pod, name)
    if found is None:
        raise UnresolvableField(f"container {name} not found")
    part, _, resource = str(reference["resource"]).partition(".")
    if part not in ("limits", "requests"):
        raise UnresolvableField(f"unsupported container resource : {reference['resource']}")
    amounts = (found[1].get("resources") or {}).get(part) or {}
    amount = amounts.get(resource)
    if amount is None:
        amount = allocatable.get(resource, "0") if part == "limits" else "0"
    return str(divide(amount, reference.get("divisor") or "0"))


def changes_files(before: JsonObject, after: JsonObject) -> bool:
    """Say whether files of a pod's downward volumes have other content after an update: labels, annotations, resources.

    Source: data/kubelet.tsv "downward"; pkg/kubelet/volumemanager remounts at each sync, so that files follow the pod.
    """
    if not any(_shows_pod(one) for one in after["spec"].get("volumes") or ()):
        return False
    return _shown(before) != _shown(after)


def _shows_pod(volume: JsonObject) -> bool:
    sources = (volume.get("projected") or {}).get("sources") or ()
    return "downwardAPI" in volume or any("downwardAPI" in one for one in sources)


def _shown(pod: JsonObject) -> tuple[object, ...]:
    metadata, spec = pod["metadata"], pod["spec"]
    return (
        metadata.get("labels"),
        metadata.get("annotations"),
        [one.get("resources") for key in ("initContainers", "containers") for one in spec.get(key) or ()],
    )
