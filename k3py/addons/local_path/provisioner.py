"""Makes volumes for claims of the class `local-path`, and removes those that nobody claims any more.

A claim that waits for its first pod gets its volume on the node that the scheduler chose: the node's kubelet is asked to make the folder,
then the PersistentVolume is made. A released volume with the reclaim policy Delete goes the other way round. Both steps are found done
after a crash. Source: rancher/local-path-provisioner provisioner.go; sig-storage-lib-external-provisioner v11 controller.go.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Final, Protocol

import orjson

from k3py.addons.local_path.settings import CONFIG_MAP, SettingsError, parse_settings
from k3py.addons.retries import Retries
from k3py.api.object import key_of, split_key
from k3py.api.resource import (
    CONFIG_MAPS,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    STORAGE_CLASSES,
)
from k3py.api.status import ApiError
from k3py.api.volume_matching import class_of
from k3py.controllers.interface import Watch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from k3py.addons.local_path.settings import LocalPathSettings
    from k3py.client.interface import Client, InformerFactory
    from k3py.controllers.interface import Recorder
    from k3py.jsontypes import JsonObject

PROVISIONER: Final = "rancher.io/local-path"
NAMESPACE: Final = "kube-system"
_PROVISIONED_BY: Final = "pv.kubernetes.io/provisioned-by"
_SELECTED_NODE: Final = "volume.kubernetes.io/selected-node"
_STORAGE_PROVISIONER: Final = "volume.kubernetes.io/storage-provisioner"
_NODE: Final = "local.path.provisioner/selected-node"
_HOSTNAME: Final = "kubernetes.io/hostname"
_CLAIM: Final = "claim:"
_VOLUME: Final = "volume:"
_ASK_S: Final = 60.0
_FIRST_RETRY_S: Final = 15.0
_LONGEST_RETRY_S: Final = 600.0
_ONE_NODE: Final = frozenset(("ReadWriteOnce", "ReadWriteOncePod"))


class Nodes(Protocol):
    """The way to kubelets."""

    async def send(self, node: JsonObject, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Return status and body of a kubelet's answer. Raises OSError, TimeoutError."""


class ProvisioningFailed(Exception):
    """A volume cannot be made or removed now; the text is its event's."""


class LocalPathProvisioner:
    """A controller; see the module."""

    name = "local-path-provisioner"
    workers = 4

    def __init__(self, client: Client, informers: InformerFactory, recorder: Recorder, nodes: Nodes) -> None:
        self._client = client
        self._recorder = recorder
        self._kubelets = nodes
        self._retries = Retries(first_s=_FIRST_RETRY_S, cap_s=_LONGEST_RETRY_S)
        claims = informers.informer(PERSISTENT_VOLUME_CLAIMS)
        volumes = informers.informer(PERSISTENT_VOLUMES)
        classes = informers.informer(STORAGE_CLASSES)
        nodes_informer = informers.informer(NODES)
        self._claims, self._volumes, self._classes = claims.lister, volumes.lister, classes.lister
        self._nodes = nodes_informer.lister
        self.watches: Sequence[Watch] = (
            Watch(claims, self._keys_of_claim),
            Watch(volumes, self._keys_of_volume),
            Watch(classes, self._keys_of_class),
        )

    def _keys_of_claim(self, _: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        return (_CLAIM + key_of(new),) if new is not None and _is_ours(new) else ()

    def _keys_of_volume(self, _: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        if new is None or _annotation(new, _PROVISIONED_BY) != PROVISIONER:
            return ()
        return (_VOLUME + new["metadata"]["name"],)

    def _keys_of_class(self, _: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        if new is None or new.get("provisioner") != PROVISIONER:
            return ()
        name = new["metadata"]["name"]
        return [
            _CLAIM + key_of(one) for one in self._claims.list() if _is_ours(one) and class_of(one) == name
        ]

    async def reconcile(self, key: str) -> float | None:
        """Make or remove one volume."""
        try:
            if key.startswith(_VOLUME):
                await self._reconcile_volume(key.removeprefix(_VOLUME))
            else:
                await self._reconcile_claim(key.removeprefix(_CLAIM))
        except ProvisioningFailed:
            return self._retries.next_s(key)
        self._retries.forget(key)
        return None

    async def _reconcile_volume(self, name: str) -> None:
        volume = self._volumes.find("", name)
        if volume is None or not _is_to_go(volume):
            return
        try:
            await self._remove(volume)
        except ProvisioningFailed as error:
            self._recorder.event(volume, "Warning", "VolumeFailedDelete", str(error))
            raise

    async def _reconcile_claim(self, key: str) -> None:
        claim = self._claims.find(*split_key(key))
        if claim is None or not _is_ours(claim):
            return
        found = self._classes.find("", class_of(claim))
        if found is None or found.get("provisioner") != PROVISIONER:
            return
        try:
            await self._provision(claim, found)
        except (ProvisioningFailed, SettingsError) as error:
            message = f'failed to provision volume with StorageClass "{class_of(claim)}": {error}'
            self._recorder.event(claim, "Warning", "ProvisioningFailed", message)
            raise ProvisioningFailed(message) from error

    async def _provision(self, claim: JsonObject, storage_class: JsonObject) -> None:
        metadata, spec = claim["metadata"], claim["spec"]
        name = f"pvc-{metadata['uid']}"
        if self._volumes.find("", name) is not None:
            return  # the binder's turn
        node_name = _annotation(claim, _SELECTED_NODE)
        if not node_name and storage_class.get("volumeBindingMode") == "WaitForFirstConsumer":
            return
        settings = await self._settings()
        _check(spec, settings)
        folder = f"{name}_{metadata['namespace']}_{metadata['name']}"
        node = self._nodes.find("", node_name) if node_name else None
        if settings.shared:
            path = f"{settings.shared}/{folder}"
            node = node or next(iter(self._nodes.list()), None)
        elif not node_name:
            raise ProvisioningFailed(
                "configuration error, no node was specified: set volumeBindingMode to WaitForFirstConsumer"
            )
        elif node is None:
            await self._reschedule(claim, node_name)
            return
        else:
            path = f"{_choose(settings, node_name, storage_class)}/{folder}"
        if node is None:
            raise ProvisioningFailed("there is no node")
        message = f'External provisioner is provisioning volume for claim "{key_of(claim)}"'
        self._recorder.event(claim, "Normal", "Provisioning", message)
        await self._ask(node, "make", path)
        volume = _make_volume(claim, storage_class, path=path, node=None if settings.shared else node)
        try:
            await self._client.create(PERSISTENT_VOLUMES, volume)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
        message = f"Successfully provisioned volume {name}"
        self._recorder.event(claim, "Normal", "ProvisioningSucceeded", message)

    async def _reschedule(self, claim: JsonObject, node_name: str) -> None:
        """Let the scheduler choose again: the node that it chose is gone."""
        await self._client.patch(
            PERSISTENT_VOLUME_CLAIMS,
            claim["metadata"]["name"],
            {"metadata": {"annotations": {_SELECTED_NODE: None}}},
            namespace=claim["metadata"]["namespace"],
        )
        message = f'node "{node_name}" is gone: the pod is scheduled anew'
        self._recorder.event(claim, "Warning", "ProvisioningFailed", message)

    async def _remove(self, volume: JsonObject) -> None:
        spec, metadata = volume["spec"], volume["metadata"]
        path = (spec.get("local") or spec.get("hostPath") or {}).get("path", "")
        node_name = _annotation(volume, _NODE)
        node = self._nodes.find("", node_name) if node_name else next(iter(self._nodes.list()), None)
        if node is not None and path:  # with its node a volume's data is gone
            await self._ask(node, "remove", path)
        try:
            await self._client.delete(PERSISTENT_VOLUMES, metadata["name"], uid=metadata["uid"])
        except ApiError as error:
            if error.code != 404:
                raise

    async def _ask(self, node: JsonObject, action: str, path: str) -> None:
        body = orjson.dumps({"action": action, "path": path})
        try:
            async with asyncio.timeout(_ASK_S):
                status, answer = await self._kubelets.send(node, "POST", "/localPath", body)
        except (OSError, TimeoutError) as error:
            raise ProvisioningFailed(f"node {node['metadata']['name']} does not answer: {error}") from error
        if status != 200:
            text = answer.decode(errors="replace").strip()
            raise ProvisioningFailed(f"node {node['metadata']['name']}: {text}")

    async def _settings(self) -> LocalPathSettings:
        try:
            found = await self._client.get(CONFIG_MAPS, CONFIG_MAP, namespace=NAMESPACE)
        except ApiError as error:
            if error.code != 404:
                raise
            raise ProvisioningFailed(f"ConfigMap {NAMESPACE}/{CONFIG_MAP} is missing") from error
        return parse_settings((found.get("data") or {}).get("config.json", ""))


def _annotation(obj: JsonObject, name: str) -> str:
    return str((obj["metadata"].get("annotations") or {}).get(name, ""))


def _is_ours(claim: JsonObject) -> bool:
    """Say whether a claim waits for this provisioner."""
    return (
        not claim["spec"].get("volumeName")
        and "deletionTimestamp" not in claim["metadata"]
        and _annotation(claim, _STORAGE_PROVISIONER) == PROVISIONER
    )


def _is_to_go(volume: JsonObject) -> bool:
    return (
        _annotation(volume, _PROVISIONED_BY) == PROVISIONER
        and (volume.get("status") or {}).get("phase") == "Released"
        and volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete"
        and "deletionTimestamp" not in volume["metadata"]
    )


def _check(spec: JsonObject, settings: LocalPathSettings) -> None:
    if spec.get("selector"):
        raise ProvisioningFailed("claim.Spec.Selector is not supported")
    if spec.get("volumeMode", "Filesystem") != "Filesystem":
        raise ProvisioningFailed("block volume provisioning is not supported")
    if not settings.shared and not _ONE_NODE.issuperset(spec.get("accessModes") or ()):
        raise ProvisioningFailed(
            "NodePath only supports ReadWriteOnce and ReadWriteOncePod (1.22+) access modes"
        )


def _choose(settings: LocalPathSettings, node: str, storage_class: JsonObject) -> str:
    paths = settings.folders_of(node)
    wanted = (storage_class.get("parameters") or {}).get("nodePath", "")
    if not wanted:
        return secrets.choice(paths)
    if wanted not in paths:
        raise SettingsError(f"config doesn't contain path {wanted} on node {node}")
    return str(wanted)


def _make_volume(
    claim: JsonObject, storage_class: JsonObject, *, path: str, node: JsonObject | None
) -> JsonObject:
    """Return the PersistentVolume; node None: every node reaches it."""
    metadata, spec = claim["metadata"], claim["spec"]
    kind = (_annotation(claim, "volumeType") or _annotation(storage_class, "defaultVolumeType")).lower()
    annotations = {_PROVISIONED_BY: PROVISIONER}
    volume: JsonObject = {
        "capacity": {"storage": spec["resources"]["requests"]["storage"]},
        "accessModes": list(spec.get("accessModes") or ()),
        "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy", "Delete"),
        "storageClassName": class_of(claim),
        "volumeMode": "Filesystem",
        "claimRef": {
            "kind": "PersistentVolumeClaim",
            "apiVersion": "v1",
            **{key: metadata[key] for key in ("namespace", "name", "uid", "resourceVersion")},
        },
    }
    if storage_class.get("mountOptions"):
        volume["mountOptions"] = list(storage_class["mountOptions"])
    if node is not None:
        annotations[_NODE] = node["metadata"]["name"]
        host = (node["metadata"].get("labels") or {}).get(_HOSTNAME) or node["metadata"]["name"]
        terms = [{"matchExpressions": [{"key": _HOSTNAME, "operator": "In", "values": [host]}]}]
        volume["nodeAffinity"] = {"required": {"nodeSelectorTerms": terms}}
    if kind == "local" and node is not None:
        volume["local"] = {"path": path}
    else:
        volume["hostPath"] = {"path": path, "type": "DirectoryOrCreate"}
    return {
        "kind": "PersistentVolume",
        "apiVersion": "v1",
        "metadata": {"name": f"pvc-{metadata['uid']}", "annotations": annotations},
        "spec": volume,
    }
