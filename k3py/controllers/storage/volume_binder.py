"""Binds PersistentVolumeClaims to PersistentVolumes and releases volumes whose claim is gone.

Source: kubernetes/pkg/controller/volume/persistentvolume/pv_controller.go v1.35; no in-tree volume plugin provisions or deletes here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.object import key_of, split_key
from k3py.api.resource import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, STORAGE_CLASSES
from k3py.api.status import ApiError
from k3py.api.volume_matching import class_of, find_mismatch, find_volume, is_for
from k3py.controllers.interface import Watch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject

BIND_COMPLETED: Final = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER: Final = "pv.kubernetes.io/bound-by-controller"
PROVISIONED_BY: Final = "pv.kubernetes.io/provisioned-by"
SELECTED_NODE: Final = "volume.kubernetes.io/selected-node"
PROVISIONERS: Final = (
    "volume.beta.kubernetes.io/storage-provisioner",
    "volume.kubernetes.io/storage-provisioner",
)
CLAIM_REF_INDEX: Final = "claim-ref"
_CLAIM: Final = "claim:"
_VOLUME: Final = "volume:"


def _index_by_claim(volume: JsonObject) -> Sequence[str]:
    reference = volume["spec"].get("claimRef")
    return (f"{reference.get('namespace', '')}/{reference.get('name', '')}",) if reference else ()


def _annotations(obj: JsonObject) -> dict[str, str]:
    return dict(obj["metadata"].get("annotations") or {})


def _with_annotations(obj: JsonObject, annotations: dict[str, str]) -> JsonObject:
    metadata = {**obj["metadata"], "annotations": annotations}
    if not annotations:
        del metadata["annotations"]
    return {**obj, "metadata": metadata}


def is_bound(claim: JsonObject) -> bool:
    """Say whether the claim was bound once."""
    return BIND_COMPLETED in _annotations(claim)


class VolumeBinder:
    """See the module; one worker, so that no two claims look at the same volume at once."""

    name = "persistentvolume-binder-controller"
    workers = 1

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._recorder = context.recorder
        claims = context.informers.informer(PERSISTENT_VOLUME_CLAIMS)
        volumes = context.informers.informer(PERSISTENT_VOLUMES)
        classes = context.informers.informer(STORAGE_CLASSES)
        volumes.add_index(CLAIM_REF_INDEX, _index_by_claim)
        self._claims, self._volumes, self._classes = claims.lister, volumes.lister, classes.lister
        self._pods = context.informers.informer(PODS).lister
        self.watches = (
            Watch(claims, self._keys_of_claim),
            Watch(volumes, self._keys_of_volume),
            Watch(classes, self._keys_of_class),
        )

    def _keys_of_claim(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        obj = new or old
        if obj is None:
            return ()
        volumes = [one["metadata"]["name"] for one in self._volumes.by_index(CLAIM_REF_INDEX, key_of(obj))]
        if obj["spec"].get("volumeName"):
            volumes.append(obj["spec"]["volumeName"])
        return [_CLAIM + key_of(obj), *(_VOLUME + name for name in dict.fromkeys(volumes))]

    def _keys_of_volume(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        obj = new or old
        if obj is None:
            return ()
        keys = [_VOLUME + obj["metadata"]["name"]]
        keys += [_CLAIM + one for each in (old, new) if each is not None for one in _index_by_claim(each)]
        for claim in self._claims.list():
            name = claim["spec"].get("volumeName")
            waiting = not name and not is_bound(claim) and class_of(claim) == class_of(obj)
            if waiting or name == obj["metadata"]["name"]:
                keys.append(_CLAIM + key_of(claim))
        return dict.fromkeys(keys)

    def _keys_of_class(self, _: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        if new is None:
            return ()
        name = new["metadata"]["name"]
        return [
            _CLAIM + key_of(one) for one in self._claims.list() if not is_bound(one) and class_of(one) == name
        ]

    async def reconcile(self, key: str) -> float | None:
        """Bring one claim or one volume a step on."""
        if key.startswith(_VOLUME):
            volume = self._volumes.find("", key.removeprefix(_VOLUME))
            if volume is not None:
                await self._sync_volume(volume)
            return None
        claim = self._claims.find(*split_key(key.removeprefix(_CLAIM)))
        if claim is None:
            return None
        if is_bound(claim):
            await self._sync_bound(claim)
        elif "deletionTimestamp" not in claim["metadata"]:
            await self._sync_unbound(claim)
        return None

    async def _sync_unbound(self, claim: JsonObject) -> None:
        name = claim["spec"].get("volumeName")
        if not name:
            delayed = self._is_delayed(claim)
            volume = find_volume(claim, self._volumes.list(), delayed=delayed)
            if volume is not None:
                await self._bind(volume, claim)
            elif delayed:
                self._tell_waiting(claim)
            elif class_of(claim):
                await self._ask_provisioner(claim)
            else:
                message = "no persistent volumes available for this claim and no storage class is set"
                self._recorder.event(claim, "Normal", "FailedBinding", message)
            return
        volume = self._volumes.find("", name)
        if volume is None:
            return
        if volume["spec"].get("claimRef") and not is_for(volume, claim):
            message = f'volume "{name}" already bound to a different claim.'
            self._recorder.event(claim, "Warning", "FailedBinding", message)
            return
        mismatch = find_mismatch(volume, claim)
        if mismatch:
            message = f'Cannot bind to requested volume "{name}": {mismatch}'
            self._recorder.event(claim, "Warning", "VolumeMismatch", message)
            return
        await self._bind(volume, claim)

    def _is_delayed(self, claim: JsonObject) -> bool:
        found = self._classes.find("", class_of(claim)) if class_of(claim) else None
        waits = found is not None and found.get("volumeBindingMode") == "WaitForFirstConsumer"
        return waits and SELECTED_NODE not in _annotations(claim)

    def _tell_waiting(self, claim: JsonObject) -> None:
        name = claim["metadata"]["name"]
        for pod in self._pods.list(claim["metadata"]["namespace"]):
            for one in pod["spec"].get("volumes") or ():
                if (one.get("persistentVolumeClaim") or {}).get("claimName") == name:
                    message = f"waiting for pod {pod['metadata']['name']} to be scheduled"
                    self._recorder.event(claim, "Normal", "WaitForPodScheduled", message)
                    return
        message = "waiting for first consumer to be created before binding"
        self._recorder.event(claim, "Normal", "WaitForFirstConsumer", message)

    async def _ask_provisioner(self, claim: JsonObject) -> None:
        """Mark the claim for the provisioner of its class."""
        found = self._classes.find("", class_of(claim))
        if found is None:
            message = f'storageclass.storage.k8s.io "{class_of(claim)}" not found'
            self._recorder.event(claim, "Warning", "ProvisioningFailed", message)
            return
        provisioner = str(found["provisioner"])
        if provisioner.startswith("kubernetes.io/"):
            message = f"no volume plugin matched name: {provisioner}"
            self._recorder.event(claim, "Warning", "ProvisioningFailed", message)
            return
        annotations = _annotations(claim)
        if any(annotations.get(one) != provisioner for one in PROVISIONERS):
            annotations.update(dict.fromkeys(PROVISIONERS, provisioner))
            claim = await self._client.update(PERSISTENT_VOLUME_CLAIMS, _with_annotations(claim, annotations))
        message = (
            f"Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the system "
            "administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered."
        )
        self._recorder.event(claim, "Normal", "ExternalProvisioning", message)

    async def _sync_bound(self, claim: JsonObject) -> None:
        name = claim["spec"].get("volumeName")
        if not name:
            await self._lose(
                claim,
                "ClaimLost",
                "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!",
            )
            return
        volume = self._volumes.find("", name)
        if volume is None:
            await self._lose(
                claim, "ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
            )
        elif not volume["spec"].get("claimRef") or is_for(volume, claim):
            await self._bind(volume, claim)
        else:
            await self._lose(
                claim,
                "ClaimMisbound",
                "Two claims are bound to the same volume, this one is bound incorrectly",
            )

    async def _lose(self, claim: JsonObject, reason: str, message: str) -> None:
        if (claim.get("status") or {}).get("phase") == "Lost":
            return
        status = {"phase": "Lost"}
        await self._client.update(PERSISTENT_VOLUME_CLAIMS, {**claim, "status": status}, subresource="status")
        self._recorder.event(claim, "Warning", reason, message)

    async def _bind(self, volume: JsonObject, claim: JsonObject) -> None:
        """Point the volume at the claim, then the claim at the volume; each step is found done after a crash."""
        metadata = claim["metadata"]
        old = volume["spec"].get("claimRef")
        if not old or old.get("uid") != metadata["uid"]:
            reference = {
                "kind": "PersistentVolumeClaim",
                "apiVersion": "v1",
                **{key: metadata[key] for key in ("namespace", "name", "uid", "resourceVersion")},
            }
            annotations = _annotations(volume)
            if not old:
                annotations[BOUND_BY_CONTROLLER] = "yes"
            changed = {**volume, "spec": {**volume["spec"], "claimRef": reference}}
            volume = await self._client.update(PERSISTENT_VOLUMES, _with_annotations(changed, annotations))
        await self._set_phase(volume, "Bound")
        name, annotations = volume["metadata"]["name"], _annotations(claim)
        if claim["spec"].get("volumeName") != name or BIND_COMPLETED not in annotations:
            if claim["spec"].get("volumeName") != name:
                annotations[BOUND_BY_CONTROLLER] = "yes"
            annotations[BIND_COMPLETED] = "yes"
            changed = {**claim, "spec": {**claim["spec"], "volumeName": name}}
            claim = await self._client.update(
                PERSISTENT_VOLUME_CLAIMS, _with_annotations(changed, annotations)
            )
        status = dict(claim.get("status") or {})
        if status.get("phase") != "Bound":
            status["capacity"] = {
                **(status.get("capacity") or {}),
                "storage": (volume["spec"].get("capacity") or {}).get("storage", "0"),
            }
        status |= {"phase": "Bound", "accessModes": list(volume["spec"].get("accessModes") or ())}
        if status != (claim.get("status") or {}):
            await self._client.update(
                PERSISTENT_VOLUME_CLAIMS, {**claim, "status": status}, subresource="status"
            )

    async def _set_phase(self, volume: JsonObject, phase: str, message: str = "") -> JsonObject:
        old = volume.get("status") or {}
        if old.get("phase") == phase and old.get("message", "") == message:
            return volume
        status = {key: value for key, value in old.items() if key not in ("message", "reason")}
        status["phase"] = phase
        if message:
            status["message"] = message
        return await self._client.update(
            PERSISTENT_VOLUMES, {**volume, "status": status}, subresource="status"
        )

    async def _sync_volume(self, volume: JsonObject) -> None:
        reference = volume["spec"].get("claimRef")
        if not reference or not reference.get("uid"):
            await self._set_phase(volume, "Available")
            return
        claim = await self._live_claim(reference)
        if claim is None:
            await self._release(volume)
        elif claim["spec"].get("volumeName") == volume["metadata"]["name"]:
            if is_bound(claim):
                await self._set_phase(volume, "Bound")
        elif claim["spec"].get("volumeName"):
            await self._unbind(volume)

    async def _live_claim(self, reference: JsonObject) -> JsonObject | None:
        """Return the claim unless it is really gone: a volume must not be released because an informer is behind."""
        claim = self._claims.find(reference.get("namespace", ""), reference["name"])
        if claim is None or claim["metadata"]["uid"] != reference["uid"]:
            try:
                claim = await self._client.get(
                    PERSISTENT_VOLUME_CLAIMS, reference["name"], namespace=reference.get("namespace", "")
                )
            except ApiError as error:
                if error.code != 404:
                    raise
                return None
        return claim if claim["metadata"]["uid"] == reference["uid"] else None

    async def _unbind(self, volume: JsonObject) -> None:
        """The claim went to another volume: be free again, or wait for the claim that the user reserved it for."""
        annotations = _annotations(volume)
        spec = dict(volume["spec"])
        if annotations.pop(BOUND_BY_CONTROLLER, None):
            del spec["claimRef"]
        else:
            spec["claimRef"] = {
                key: value for key, value in spec["claimRef"].items() if key not in ("uid", "resourceVersion")
            }
        volume = await self._client.update(
            PERSISTENT_VOLUMES, _with_annotations({**volume, "spec": spec}, annotations)
        )
        await self._set_phase(volume, "Available")

    async def _release(self, volume: JsonObject) -> None:
        phase = (volume.get("status") or {}).get("phase")
        if phase not in ("Released", "Failed"):
            volume = await self._set_phase(volume, "Released")
        policy = volume["spec"].get("persistentVolumeReclaimPolicy", "Retain")
        if policy == "Retain" or "deletionTimestamp" in volume["metadata"]:
            return
        if volume["spec"].get("csi") or _annotations(volume).get(PROVISIONED_BY):
            return  # its own driver deletes it
        name = volume["metadata"]["name"]
        reason, verb = (
            ("VolumeFailedRecycle", "recyclable")
            if policy == "Recycle"
            else ("VolumeFailedDelete", "deletable")
        )
        message = f'error getting volume plugin for volume "{name}": no {verb} volume plugin matched'
        if (volume.get("status") or {}).get("phase") == "Failed":
            return
        await self._set_phase(volume, "Failed", message)
        self._recorder.event(volume, "Warning", reason, message)


def build(context: ControllerContext) -> VolumeBinder:
    """Make the controller."""
    return VolumeBinder(context)
