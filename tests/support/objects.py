"""Builders of API objects for tests: small, valid, with what a test cares about as arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject

OLD = "2026-01-01T00:00:00Z"


def pod(
    name: str = "p",
    *,
    node: str = "",
    ready: bool = False,
    phase: str = "Running",
    owner: JsonObject | None = None,
    labels: dict[str, str] | None = None,
    created: str = OLD,
    deleting: bool = False,
    cpu: str = "",
    spec: JsonObject | None = None,
) -> JsonObject:
    """Return a pod in namespace "default" whose uid is uid-<name>."""
    metadata: JsonObject = {
        "name": name,
        "namespace": "default",
        "uid": f"uid-{name}",
        "creationTimestamp": created,
        "labels": labels or {},
    }
    if owner is not None:
        metadata["ownerReferences"] = [owner]
    if deleting:
        metadata["deletionTimestamp"] = created
    container: JsonObject = {"name": "c", "image": "i"}
    if cpu:
        container["resources"] = {"requests": {"cpu": cpu}}
    status: JsonObject = {"phase": phase}
    if ready:
        status["conditions"] = [{"type": "Ready", "status": "True", "lastTransitionTime": created}]
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": metadata,
        "spec": {"containers": [container], **({"nodeName": node} if node else {}), **(spec or {})},
        "status": status,
    }


def node(name: str = "n", *, cpu: str = "4", memory: str = "8Gi", pods: str = "110", **spec: object) -> JsonObject:
    """Return a ready node."""
    return {
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "creationTimestamp": OLD,
            "labels": {"kubernetes.io/hostname": name},
        },
        "spec": dict(spec),
        "status": {
            "allocatable": {"cpu": cpu, "memory": memory, "pods": pods},
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": OLD}],
        },
    }


def deployment(name: str = "d", *, replicas: int = 2, image: str = "i:1", **spec: object) -> JsonObject:
    """Return a Deployment with defaults filled as the API server does."""
    return {
        "kind": "Deployment",
        "apiVersion": "apps/v1",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "c", "image": image}]},
            },
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
            },
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 600,
            **spec,
        },
    }
