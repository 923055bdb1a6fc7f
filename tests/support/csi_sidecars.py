"""What upstream's external-provisioner, -attacher and -resizer do for a CSI driver, as far as the API sees it; a volume is a folder.

    python -m tests.support.csi_sidecars --name d.example.com --kubeconfig FILE --folder /shared/volumes
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from k3py.api.object import split_key
from k3py.api.quantity import parse_quantity
from k3py.api.registry import KindRegistry
from k3py.api.resource import (
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    STORAGE_CLASSES,
    VOLUME_ATTACHMENTS,
)
from k3py.client.interface import PatchType
from k3py.client.kubeconfig import load_kubeconfig
from k3py.client.reflector import HttpInformerFactory
from k3py.controllers.base import ControllerLoop
from k3py.controllers.interface import ControllerContext, Watch
from k3py.util.supervise import TaskScope
from tests.support.controllers import RecordedEvents

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from k3py.api.resource import Resource
    from k3py.jsontypes import JsonObject

PROVISIONER = "volume.kubernetes.io/storage-provisioner"
SELECTED = "volume.kubernetes.io/selected-node"


def _key(_: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
    if new is None:
        return ()
    return (f"{new['metadata'].get('namespace', '')}/{new['metadata']['name']}",)


class _Sidecar:
    workers = 1
    resource: Resource

    def __init__(self, context: ControllerContext, driver: str, folder: Path) -> None:
        self.name = type(self).__name__
        self.client, self.driver, self.folder = context.client, driver, folder
        informer = context.informers.informer(self.resource)
        self.classes = context.informers.informer(STORAGE_CLASSES)
        self.volumes = context.informers.informer(PERSISTENT_VOLUMES)
        self.lister = informer.lister
        self.watches: Sequence[Watch] = (
            Watch(informer, _key),
            Watch(self.classes, lambda _, __: ()),
            Watch(self.volumes, lambda _, __: ()),
        )

    async def reconcile(self, key: str) -> float | None:
        """Do one object's part."""
        namespace, name = split_key(key)
        found = self.lister.find(namespace, name)
        if found is not None:
            await self.act(found)
        return None

    async def act(self, obj: JsonObject) -> None:
        """Do what is to be done for an object."""
        raise NotImplementedError

    async def patch(self, obj: JsonObject, patch: JsonObject, subresource: str = "") -> None:
        """Patch an object."""
        metadata = obj["metadata"]
        await self.client.patch(
            self.resource,
            metadata["name"],
            patch,
            patch_type=PatchType.MERGE,
            namespace=metadata.get("namespace", ""),
            subresource=subresource,
        )


class Provisioner(_Sidecar):
    """Makes volumes for claims."""

    resource = PERSISTENT_VOLUME_CLAIMS

    async def act(self, obj: JsonObject) -> None:
        """Make a claim's volume."""
        metadata, spec = obj["metadata"], obj["spec"]
        annotations = metadata.get("annotations") or {}
        if spec.get("volumeName") or annotations.get(PROVISIONER) != self.driver:
            return
        chosen = self.classes.lister.find("", spec.get("storageClassName") or "")
        waits = chosen is not None and chosen.get("volumeBindingMode") == "WaitForFirstConsumer"
        if chosen is None or (waits and SELECTED not in annotations):
            return
        name = f"pvc-{metadata['uid']}"
        (self.folder / name).mkdir(parents=True, exist_ok=True)
        reference = {"kind": "PersistentVolumeClaim", "apiVersion": "v1", **{key: metadata[key] for key in ("namespace", "name", "uid")}}
        volume = {
            "kind": "PersistentVolume",
            "apiVersion": "v1",
            "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": self.driver}},
            "spec": {
                "capacity": {"storage": spec["resources"]["requests"]["storage"]},
                "accessModes": spec["accessModes"],
                "claimRef": reference,
                "storageClassName": chosen["metadata"]["name"],
                "persistentVolumeReclaimPolicy": chosen.get("reclaimPolicy", "Delete"),
                "volumeMode": spec.get("volumeMode", "Filesystem"),
                "mountOptions": chosen.get("mountOptions") or [],
                "csi": {"driver": self.driver, "volumeHandle": name, "fsType": "ext4"},
            },
        }
        await self.client.create(PERSISTENT_VOLUMES, volume)


class Deleter(_Sidecar):
    """Removes volumes whose claim is gone."""

    resource = PERSISTENT_VOLUMES

    async def act(self, obj: JsonObject) -> None:
        """Remove a released volume."""
        spec = obj["spec"]
        mine = (obj["metadata"].get("annotations") or {}).get("pv.kubernetes.io/provisioned-by") == self.driver
        released = (obj.get("status") or {}).get("phase") == "Released" and spec["persistentVolumeReclaimPolicy"] == "Delete"
        if mine and released and "deletionTimestamp" not in obj["metadata"]:
            shutil.rmtree(self.folder / spec["csi"]["volumeHandle"], ignore_errors=True)
            await self.client.delete(PERSISTENT_VOLUMES, obj["metadata"]["name"])


class Attacher(_Sidecar):
    """Does what VolumeAttachments say."""

    resource = VOLUME_ATTACHMENTS

    async def act(self, obj: JsonObject) -> None:
        """Attach or detach."""
        if obj["spec"]["attacher"] != self.driver:
            return
        finalizer = f"external-attacher/{self.driver.replace('.', '-')}"
        finalizers = obj["metadata"].get("finalizers") or []
        if "deletionTimestamp" in obj["metadata"]:
            if finalizer in finalizers:
                await self.patch(obj, {"metadata": {"finalizers": [one for one in finalizers if one != finalizer]}})
            return
        if finalizer not in finalizers:
            await self.patch(obj, {"metadata": {"finalizers": [*finalizers, finalizer]}})
        if not (obj.get("status") or {}).get("attached"):
            status = {"attached": True, "attachmentMetadata": {"slot": "3"}}
            await self.patch(obj, {"status": status}, "status")


class Resizer(_Sidecar):
    """Lets volumes grow."""

    resource = PERSISTENT_VOLUME_CLAIMS

    async def act(self, obj: JsonObject) -> None:
        """Grow a claim's volume and leave its file system to the node."""
        volume = self.volumes.lister.find("", obj["spec"].get("volumeName") or "")
        wanted = obj["spec"]["resources"]["requests"]["storage"]
        if volume is None or (volume["spec"].get("csi") or {}).get("driver") != self.driver:
            return
        if parse_quantity(wanted) <= parse_quantity(volume["spec"]["capacity"]["storage"]):
            return
        patch = {"spec": {"capacity": {"storage": wanted}}}
        await self.client.patch(PERSISTENT_VOLUMES, volume["metadata"]["name"], patch, patch_type=PatchType.MERGE)
        pending = {
            "conditions": [{"type": "FileSystemResizePending", "status": "True"}],
            "allocatedResourceStatuses": {"storage": "NodeResizePending"},
        }
        await self.patch(obj, {"status": pending}, "status")


async def _run(name: str, kubeconfig: Path, folder: Path) -> None:
    async with load_kubeconfig(kubeconfig).make_client(user_agent="sidecars") as client, TaskScope() as scope:
        informers = HttpInformerFactory(client)
        context = ControllerContext(client=client, informers=informers, recorder=RecordedEvents(), kinds=KindRegistry(()))
        loops = [ControllerLoop(one(context, name, folder)) for one in (Provisioner, Deleter, Attacher, Resizer)]
        _ = scope.spawn(informers.run(lambda: None), name="informers")
        for loop in loops:
            _ = scope.spawn(loop.run(lambda: None), name=loop.name)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    arguments = parser.parse_args()
    asyncio.run(_run(arguments.name, arguments.kubeconfig, arguments.folder))
