"""How far a rollout is, in kubectl's words. Source: kubectl v0.35 pkg/polymorphichelpers/rollout_status.go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.errors import K3pyError

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject


def progress_of(kind: str, obj: JsonObject, revision: int = 0) -> tuple[str, bool]:
    """Return a line about a Deployment, DaemonSet or StatefulSet and whether its rollout is done.

    Raises:
        K3pyError: it will not come to an end.
    """
    match kind:
        case "Deployment":
            return _deployment(obj, revision)
        case "DaemonSet":
            return _daemon_set(obj)
        case _:
            return _stateful_set(obj)


def _is_observed(obj: JsonObject) -> bool:
    return bool(
        (obj.get("status") or {}).get("observedGeneration", 0) >= obj["metadata"].get("generation", 0)
    )


def _deployment(obj: JsonObject, revision: int) -> tuple[str, bool]:
    name, status = obj["metadata"]["name"], obj.get("status") or {}
    if revision:
        found = int((obj["metadata"].get("annotations") or {}).get("deployment.kubernetes.io/revision", "0"))
        if found != revision:
            raise K3pyError(f"desired revision ({revision}) is different from the running revision ({found})")
    if not _is_observed(obj):
        return "Waiting for deployment spec update to be observed...", False
    progressing: JsonObject = next(
        (one for one in status.get("conditions") or () if one["type"] == "Progressing"), {}
    )
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        raise K3pyError(f'deployment "{name}" exceeded its progress deadline')
    wanted = obj["spec"].get("replicas", 1)
    updated, total, available = (
        status.get(key, 0) for key in ("updatedReplicas", "replicas", "availableReplicas")
    )
    begin = f'Waiting for deployment "{name}" rollout to finish:'
    if updated < wanted:
        return f"{begin} {updated} out of {wanted} new replicas have been updated...", False
    if total > updated:
        return f"{begin} {total - updated} old replicas are pending termination...", False
    if available < updated:
        return f"{begin} {available} of {updated} updated replicas are available...", False
    return f'deployment "{name}" successfully rolled out', True


def _daemon_set(obj: JsonObject) -> tuple[str, bool]:
    name, status = obj["metadata"]["name"], obj.get("status") or {}
    if (obj["spec"].get("updateStrategy") or {}).get("type") != "RollingUpdate":
        raise K3pyError("rollout status is only available for RollingUpdate strategy type")
    if not _is_observed(obj):
        return "Waiting for daemon set spec update to be observed...", False
    wanted, updated, available = (
        status.get(key, 0) for key in ("desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable")
    )
    begin = f'Waiting for daemon set "{name}" rollout to finish:'
    if updated < wanted:
        return f"{begin} {updated} out of {wanted} new pods have been updated...", False
    if available < wanted:
        return f"{begin} {available} of {wanted} updated pods are available...", False
    return f'daemon set "{name}" successfully rolled out', True


def _stateful_set(obj: JsonObject) -> tuple[str, bool]:
    status, spec = obj.get("status") or {}, obj["spec"]
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") != "RollingUpdate":
        raise K3pyError("rollout status is only available for RollingUpdate strategy type")
    if not status.get("observedGeneration") or not _is_observed(obj):
        return "Waiting for statefulset spec update to be observed...", False
    wanted, ready, updated = (
        spec.get("replicas", 1),
        status.get("readyReplicas", 0),
        status.get("updatedReplicas", 0),
    )
    if ready < wanted:
        return f"Waiting for {wanted - ready} pods to be ready...", False
    partition = (strategy.get("rollingUpdate") or {}).get("partition")
    if partition:
        if updated < wanted - partition:
            return (
                f"Waiting for partitioned roll out to finish: {updated} out of {wanted - partition} new pods have been updated...",
                False,
            )
        return f"partitioned roll out complete: {updated} new pods have been updated...", True
    if status.get("updateRevision") != status.get("currentRevision"):
        return (
            f"waiting for statefulset rolling update to complete {updated} pods at revision {status.get('updateRevision', '')}...",
            False,
        )
    return (
        f"statefulset rolling update complete {status.get('currentReplicas', 0)} pods at revision {status.get('currentRevision', '')}...",
        True,
    )
