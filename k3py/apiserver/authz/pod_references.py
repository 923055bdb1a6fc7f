"""What a pod refers to: the objects that the kubelet of its node may read. Source: plugin/pkg/auth/authorizer/node/graph.go v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from k3py.jsontypes import JsonObject

_SECRET_REF_VOLUMES: Final = ("cephfs", "flexVolume", "iscsi", "rbd", "scaleIO", "storageos")
Reference = tuple[str, str]


def iter_references(pod: JsonObject) -> Iterator[Reference]:
    """Yield (plural, name) of secrets, configmaps, claims, resource claims and the service account, all in the pod's namespace."""
    spec = pod.get("spec") or {}
    if account := spec.get("serviceAccountName"):
        yield "serviceaccounts", account
    for secret in spec.get("imagePullSecrets") or ():
        if secret.get("name"):
            yield "secrets", secret["name"]
    for field in ("containers", "initContainers", "ephemeralContainers"):
        for container in spec.get(field) or ():
            yield from _iter_environment(container)
    for volume in spec.get("volumes") or ():
        yield from _iter_volume(volume, pod["metadata"]["name"])
    for status in (pod.get("status") or {}).get("resourceClaimStatuses") or ():
        if status.get("resourceClaimName"):
            yield "resourceclaims", status["resourceClaimName"]
    for claim in spec.get("resourceClaims") or ():
        if claim.get("resourceClaimName"):
            yield "resourceclaims", claim["resourceClaimName"]


def _iter_environment(container: JsonObject) -> Iterator[Reference]:
    for variable in container.get("env") or ():
        source = variable.get("valueFrom") or {}
        for key, plural in (("secretKeyRef", "secrets"), ("configMapKeyRef", "configmaps")):
            if name := (source.get(key) or {}).get("name"):
                yield plural, name
    for source in container.get("envFrom") or ():
        for key, plural in (("secretRef", "secrets"), ("configMapRef", "configmaps")):
            if name := (source.get(key) or {}).get("name"):
                yield plural, name


def _iter_volume(volume: JsonObject, pod_name: str) -> Iterator[Reference]:
    if name := (volume.get("secret") or {}).get("secretName"):
        yield "secrets", name
    if name := (volume.get("configMap") or {}).get("name"):
        yield "configmaps", name
    if name := (volume.get("persistentVolumeClaim") or {}).get("claimName"):
        yield "persistentvolumeclaims", name
    if volume.get("ephemeral"):
        yield "persistentvolumeclaims", f"{pod_name}-{volume['name']}"
    for source in (volume.get("projected") or {}).get("sources") or ():
        if name := (source.get("secret") or {}).get("name"):
            yield "secrets", name
        if name := (source.get("configMap") or {}).get("name"):
            yield "configmaps", name
    if name := (volume.get("azureFile") or {}).get("secretName"):
        yield "secrets", name
    if name := ((volume.get("csi") or {}).get("nodePublishSecretRef") or {}).get("name"):
        yield "secrets", name
    for key in _SECRET_REF_VOLUMES:
        if name := ((volume.get(key) or {}).get("secretRef") or {}).get("name"):
            yield "secrets", name


def iter_token_audiences(pod: JsonObject) -> Iterator[str]:
    """Yield the audiences of the pod's token volumes; "" = the default one."""
    for volume in (pod.get("spec") or {}).get("volumes") or ():
        for source in (volume.get("projected") or {}).get("sources") or ():
            token = source.get("serviceAccountToken")
            if token is not None:
                yield token.get("audience") or ""
        for request in (volume.get("csi") or {}).get("tokenRequests") or ():
            yield request.get("audience") or ""
