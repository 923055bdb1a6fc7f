"""Gives pods their service account, its pull secrets and the volume with token, root certificate and namespace.

Source: kubernetes/plugin/pkg/admission/serviceaccount v1.35.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from k3py.api.object import deep_copy
from k3py.api.resource import SERVICE_ACCOUNTS
from k3py.apiserver.admission.plugins.base import BasePlugin, is_for, refuse

if TYPE_CHECKING:
    from k3py.apiserver.admission.lookup import Lookup
    from k3py.apiserver.interface import AdmissionRequest
    from k3py.jsontypes import JsonObject

MOUNT_PATH: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
TOKEN_EXPIRATION_S: Final = 3607
_MIRROR: Final = "kubernetes.io/config.mirror"
_ENFORCE: Final = "kubernetes.io/enforce-mountable-secrets"
_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"


class ServiceAccountAdmission(BasePlugin):
    """See the module."""

    name = "ServiceAccount"

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def handles(self, request: AdmissionRequest) -> bool:
        """See creates of pods."""
        return is_for(request, "", "pods", ("CREATE",))

    async def admit(self, request: AdmissionRequest) -> None:
        """Fill in account, pull secrets and token volume."""
        pod = request.obj
        if pod is None:
            return
        spec = pod.setdefault("spec", {})
        if _MIRROR in (pod["metadata"].get("annotations") or {}):
            return
        if not spec.get("serviceAccountName"):
            spec["serviceAccountName"] = "default"
        account = await self._find(request, spec["serviceAccountName"])
        spec["serviceAccount"] = spec["serviceAccountName"]
        if wants_token(account, spec):
            _mount_token(spec)
        if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
            spec["imagePullSecrets"] = deep_copy(account["imagePullSecrets"])

    async def validate(self, request: AdmissionRequest) -> None:
        """A mirror pod may use no account; any other one's must exist."""
        spec = (request.obj or {}).get("spec") or {}
        if _MIRROR in ((request.obj or {}).get("metadata", {}).get("annotations") or {}):
            if spec.get("serviceAccountName"):
                raise refuse(request, "a mirror pod may not reference service accounts")
            return
        account = await self._find(request, spec.get("serviceAccountName", ""))
        if (account["metadata"].get("annotations") or {}).get(_ENFORCE) == "true":
            _check_secrets(request, spec, {one.get("name") for one in account.get("secrets") or ()})

    async def _find(self, request: AdmissionRequest, name: str) -> JsonObject:
        account = await self._lookup.find(SERVICE_ACCOUNTS, request.namespace, name)
        if account is None:
            raise refuse(
                request,
                f'error looking up service account {request.namespace}/{name}: serviceaccount "{name}" not found',
            )
        return account


def _check_secrets(request: AdmissionRequest, spec: JsonObject, allowed: set[str]) -> None:
    """Refuse secrets that the account does not list."""
    for volume in spec.get("volumes") or ():
        name = (volume.get("secret") or {}).get("secretName")
        if name and name not in allowed:
            raise refuse(
                request,
                f'volume with secret.secretName="{name}" is not allowed because service account '
                f"{spec.get('serviceAccountName', '')} does not reference that secret",
            )
    for field in ("initContainers", "containers"):
        for container in spec.get(field) or ():
            names = [
                ((one.get("valueFrom") or {}).get("secretKeyRef") or {}).get("name")
                for one in container.get("env") or ()
            ]
            names += [(one.get("secretRef") or {}).get("name") for one in container.get("envFrom") or ()]
            for name in names:
                if name and name not in allowed:
                    raise refuse(
                        request,
                        f"container {container.get('name', '')} with secret {name} is not allowed because service "
                        f"account {spec.get('serviceAccountName', '')} does not reference that secret",
                    )


def wants_token(account: JsonObject, spec: JsonObject) -> bool:
    """Say whether the token is mounted: the pod's word counts before the account's; the default is yes."""
    if spec.get("automountServiceAccountToken") is not None:
        return bool(spec["automountServiceAccountToken"])
    return account.get("automountServiceAccountToken") is not False


def _mount_token(spec: JsonObject) -> None:
    names = {one["name"] for one in spec.get("volumes") or ()}
    known = next((name for name in names if name.startswith("kube-api-access-")), None)
    name = known or _new_name(names)
    used = False
    for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        mounts = container.get("volumeMounts") or []
        if any(one.get("mountPath") == MOUNT_PATH for one in mounts):
            continue
        container["volumeMounts"] = [*mounts, {"name": name, "readOnly": True, "mountPath": MOUNT_PATH}]
        used = True
    if used and known is None:
        spec["volumes"] = [*(spec.get("volumes") or ()), _token_volume(name)]


def _new_name(taken: set[str]) -> str:
    while True:
        name = "kube-api-access-" + "".join(secrets.choice(_ALPHABET) for _ in range(5))
        if name not in taken:
            return name


def _token_volume(name: str) -> JsonObject:
    namespace_field = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}
    return {
        "name": name,
        "projected": {
            "sources": [
                {"serviceAccountToken": {"expirationSeconds": TOKEN_EXPIRATION_S, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": namespace_field}]}},
            ],
            "defaultMode": 0o644,
        },
    }
