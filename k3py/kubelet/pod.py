"""What the kubelet reads out of a Pod document: small pure accessors, so that nobody repeats a default.

Pods come from the informer and are read-only. Model: pkg/kubelet/util, pkg/api/v1/pod v1.35.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, Literal

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from k3py.jsontypes import JsonObject

Role = Literal["init", "regular", "ephemeral"]

DEFAULT_GRACE_S: Final = 30
CONFIG_SOURCE: Final = "kubernetes.io/config.source"
CONFIG_HASH: Final = "kubernetes.io/config.hash"
CONFIG_MIRROR: Final = "kubernetes.io/config.mirror"
CRITICAL_PRIORITY: Final = 2_000_000_000


def uid_of(pod: JsonObject) -> str:
    """Return metadata.uid."""
    return str(pod["metadata"]["uid"])


def describe(pod: JsonObject) -> str:
    """Return "name_namespace(uid)", as upstream writes a pod in messages."""
    metadata = pod["metadata"]
    return f"{metadata['name']}_{metadata['namespace']}({metadata['uid']})"


def init_containers(pod: JsonObject) -> Sequence[JsonObject]:
    """Return spec.initContainers, sidecars among them."""
    found: Sequence[JsonObject] = pod["spec"].get("initContainers") or ()
    return found


def containers(pod: JsonObject) -> Sequence[JsonObject]:
    """Return spec.containers."""
    found: Sequence[JsonObject] = pod["spec"].get("containers") or ()
    return found


def ephemeral_containers(pod: JsonObject) -> Sequence[JsonObject]:
    """Return spec.ephemeralContainers."""
    found: Sequence[JsonObject] = pod["spec"].get("ephemeralContainers") or ()
    return found


def iter_containers(pod: JsonObject) -> Iterator[tuple[Role, JsonObject]]:
    """Yield every container with its role: init, regular, ephemeral."""
    for container in init_containers(pod):
        yield "init", container
    for container in containers(pod):
        yield "regular", container
    for container in ephemeral_containers(pod):
        yield "ephemeral", container


def find_container(pod: JsonObject, name: str) -> tuple[Role, JsonObject] | None:
    """Return role and document of the container with this name."""
    return next(((role, one) for role, one in iter_containers(pod) if one["name"] == name), None)


def field_path(pod: JsonObject, name: str) -> str:
    """Return the fieldPath that Events about a container carry, e.g. "spec.containers{web}"."""
    found = find_container(pod, name)
    if found is None:
        return ""
    part = {"init": "initContainers", "regular": "containers", "ephemeral": "ephemeralContainers"}[found[0]]
    return f"spec.{part}{{{name}}}"


def is_sidecar(container: JsonObject) -> bool:
    """Say whether an init container is restartable (a sidecar)."""
    return container.get("restartPolicy") == "Always"


def restart_policy(pod: JsonObject) -> str:
    """Return spec.restartPolicy, "Always" by default."""
    return str(pod["spec"].get("restartPolicy") or "Always")


def is_host_network(pod: JsonObject) -> bool:
    """Say whether the pod shares the node's network."""
    return bool(pod["spec"].get("hostNetwork"))


def is_deleted(pod: JsonObject) -> bool:
    """Say whether deletion was asked for."""
    return "deletionTimestamp" in pod["metadata"]


def is_finished(pod: JsonObject) -> bool:
    """Say whether the API holds a phase that never changes again."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def is_mirror(pod: JsonObject) -> bool:
    """Say whether the pod is a mirror of a static pod."""
    return CONFIG_MIRROR in (pod["metadata"].get("annotations") or {})


def is_static(pod: JsonObject) -> bool:
    """Say whether the pod comes from a file of the node, or is a mirror of such a one."""
    return is_mirror(pod) or (pod["metadata"].get("annotations") or {}).get(CONFIG_SOURCE) == "file"


def is_critical(pod: JsonObject) -> bool:
    """Say whether the pod is node-critical."""
    return int(pod["spec"].get("priority") or 0) >= CRITICAL_PRIORITY


def grace_period_s(pod: JsonObject) -> int:
    """Return the seconds that containers have to end: the deletion's, else the spec's; at least 1.

    Source: pkg/kubelet/pod_workers.go calculateEffectiveGracePeriod v1.35.
    """
    metadata = pod["metadata"]
    if "deletionTimestamp" in metadata and metadata.get("deletionGracePeriodSeconds") is not None:
        return max(1, int(metadata["deletionGracePeriodSeconds"]))
    given = pod["spec"].get("terminationGracePeriodSeconds")
    return max(1, DEFAULT_GRACE_S if given is None else int(given))


def hostname_of(pod: JsonObject) -> str:
    """Return the pod's host name: spec.hostname, else its name cut to 63 characters without trailing dots or dashes."""
    spec = pod["spec"]
    if spec.get("hostnameOverride"):
        return str(spec["hostnameOverride"])
    return str(spec.get("hostname") or pod["metadata"]["name"][:63].rstrip("-."))


def host_domain_of(pod: JsonObject, cluster_domain: str) -> str:
    """Return "<subdomain>.<ns>.svc.<domain>" of a pod with a subdomain, else ""."""
    subdomain = pod["spec"].get("subdomain")
    return f"{subdomain}.{pod['metadata']['namespace']}.svc.{cluster_domain}" if subdomain else ""


def container_hash(container: JsonObject) -> str:
    """Return a hash of what a restart is needed for when it changes: name and image (resources are resized in place).

    Source: pkg/kubelet/container/helpers.go HashContainer v1.35 (name and image since 1.33).
    """
    return hashlib.sha256(orjson.dumps([container["name"], container.get("image", "")])).hexdigest()[:8]
