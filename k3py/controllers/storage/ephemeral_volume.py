"""Makes the claims of pods' ephemeral volumes.

Source: kubernetes/pkg/controller/volume/ephemeral v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.object import deep_copy, key_of, split_key
from k3py.api.resource import PERSISTENT_VOLUME_CLAIMS, PODS
from k3py.api.status import ApiError
from k3py.controllers.interface import Watch
from k3py.controllers.ownership import find_controller, make_controller_reference
from k3py.controllers.storage.claims_of_pods import ephemeral_claim_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject


def make_claim(pod: JsonObject, volume: JsonObject) -> JsonObject:
    """Return the claim of an ephemeral volume; it goes with its pod."""
    template = deep_copy(volume["ephemeral"]["volumeClaimTemplate"])
    metadata = template.get("metadata") or {}
    return {
        "kind": "PersistentVolumeClaim",
        "apiVersion": "v1",
        "metadata": {
            "name": ephemeral_claim_name(pod, volume),
            "namespace": pod["metadata"]["namespace"],
            **{key: metadata[key] for key in ("labels", "annotations") if metadata.get(key)},
            "ownerReferences": [make_controller_reference(pod, PODS)],
        },
        "spec": template["spec"],
    }


class EphemeralVolumeController:
    """See the module."""

    name = "ephemeral-volume-controller"
    workers = 5

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._recorder = context.recorder
        pods = context.informers.informer(PODS)
        claims = context.informers.informer(PERSISTENT_VOLUME_CLAIMS)
        self._pods, self._claims = pods.lister, claims.lister
        self.watches = (Watch(pods, self._keys_of_pod), Watch(claims, self._keys_of_claim))

    def _keys_of_pod(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        if new is None or old is not None or "deletionTimestamp" in new["metadata"]:
            return ()
        has_any = any(one.get("ephemeral") for one in new["spec"].get("volumes") or ())
        return (key_of(new),) if has_any else ()

    def _keys_of_claim(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        """A claim that is gone is made again while its pod is there."""
        reference = find_controller(old) if old is not None and new is None else None
        if old is None or reference is None or reference["kind"] != "Pod":
            return ()
        return (f"{old['metadata']['namespace']}/{reference['name']}",)

    async def reconcile(self, key: str) -> float | None:
        """Make the missing claims of one pod."""
        pod = self._pods.find(*split_key(key))
        if pod is None or "deletionTimestamp" in pod["metadata"]:
            return None
        for volume in pod["spec"].get("volumes") or ():
            if volume.get("ephemeral"):
                await self._ensure(pod, volume)
        return None

    async def _ensure(self, pod: JsonObject, volume: JsonObject) -> None:
        namespace, name = pod["metadata"]["namespace"], ephemeral_claim_name(pod, volume)
        claim = self._claims.find(namespace, name)
        if claim is not None:
            reference = find_controller(claim)
            if reference is None or reference["uid"] != pod["metadata"]["uid"]:
                message = (
                    f"ephemeral volume {volume['name']}: PVC {namespace}/{name} was not created for pod {namespace}/"
                    f"{pod['metadata']['name']} (pod is not owner)"
                )
                self._recorder.event(pod, "Warning", "FailedBinding", message)
            return
        try:
            await self._client.create(PERSISTENT_VOLUME_CLAIMS, make_claim(pod, volume), namespace=namespace)
        except ApiError as error:
            message = f"ephemeral volume {volume['name']}: create PVC {name}: {error.message}"
            self._recorder.event(pod, "Warning", "FailedBinding", message)
            raise


def build(context: ControllerContext) -> EphemeralVolumeController:
    """Make the controller."""
    return EphemeralVolumeController(context)
