"""Labels and annotations by which sandboxes and containers are found again after a restart of the kubelet.

Upstream's names, so that crictl and log collectors understand them. Source: pkg/kubelet/kuberuntime/labels.go,
k8s.io/cri-api v0.35 (data/kubelet.tsv "cri").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.kubelet.pod import container_hash

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject

POD_NAME: Final = "io.kubernetes.pod.name"
POD_NAMESPACE: Final = "io.kubernetes.pod.namespace"
POD_UID: Final = "io.kubernetes.pod.uid"
CONTAINER_NAME: Final = "io.kubernetes.container.name"

HASH: Final = "io.kubernetes.container.hash"
RESTART_COUNT: Final = "io.kubernetes.container.restartCount"
MESSAGE_PATH: Final = "io.kubernetes.container.terminationMessagePath"
MESSAGE_POLICY: Final = "io.kubernetes.container.terminationMessagePolicy"
POD_GRACE: Final = "io.kubernetes.pod.terminationGracePeriod"


def pod_labels(pod: JsonObject) -> dict[str, str]:
    """Return the three labels that name a pod."""
    metadata = pod["metadata"]
    return {POD_NAME: metadata["name"], POD_NAMESPACE: metadata["namespace"], POD_UID: metadata["uid"]}


def sandbox_labels(pod: JsonObject) -> dict[str, str]:
    """Return a sandbox's labels: the pod's own and its name."""
    return {**(pod["metadata"].get("labels") or {}), **pod_labels(pod)}


def sandbox_annotations(pod: JsonObject) -> dict[str, str]:
    """Return a sandbox's annotations: the pod's own and where it came from."""
    own = pod["metadata"].get("annotations") or {}
    return {
        **own,
        "kubernetes.io/config.source": own.get("kubernetes.io/config.source", "api"),
        "kubernetes.io/config.seen": str(pod["metadata"].get("creationTimestamp", "")),
    }


def container_labels(pod: JsonObject, name: str) -> dict[str, str]:
    """Return a container's labels."""
    return {**pod_labels(pod), CONTAINER_NAME: name}


def container_annotations(pod: JsonObject, container: JsonObject, *, attempt: int) -> dict[str, str]:
    """Return a container's annotations: what must be known of it even when its pod is gone."""
    grace = pod["spec"].get("terminationGracePeriodSeconds")
    return {
        HASH: container_hash(container),
        RESTART_COUNT: str(attempt),
        MESSAGE_PATH: container.get("terminationMessagePath") or "/dev/termination-log",
        MESSAGE_POLICY: container.get("terminationMessagePolicy") or "File",
        POD_GRACE: str(30 if grace is None else grace),
    }
