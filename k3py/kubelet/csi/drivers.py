"""The CSI drivers of the node: registered by their sockets, told of in the CSINode object and on the Node.

Source: pkg/volume/csi/csi_plugin.go, pkg/volume/csi/nodeinfomanager v1.35.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

import orjson

from k3py.api.resource import CSI_NODES, NODES
from k3py.api.status import ApiError
from k3py.client.interface import PatchType
from k3py.kubelet.csi.driver import CsiDriver
from k3py.kubelet.plugins.interface import PluginRefused
from k3py.runtime.errors import RuntimeFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from k3py.client.interface import Client
    from k3py.jsontypes import JsonObject

log = logging.getLogger(__name__)

NODE_ID: Final = "csi.volume.kubernetes.io/nodeid"
MIGRATED: Final = "storage.alpha.kubernetes.io/migrated-plugins"
MIGRATED_PLUGINS: Final = ",".join(
    f"kubernetes.io/{one}"
    for one in (
        "aws-ebs",
        "azure-disk",
        "azure-file",
        "cinder",
        "gce-pd",
        "portworx-volume",
        "vsphere-volume",
    )
)
_INFO_S: Final = 30.0
_TRIES: Final = 5


class CsiDrivers:
    """Drivers by name; a `PluginHandler`.

    Args:
        client: the API, as the node.
        node_name: of the node.
        node: returns the Node as the API has it.
        changed: called when a driver came.
    """

    kind = "CSIPlugin"

    def __init__(
        self,
        client: Client,
        node_name: str,
        node: Callable[[], JsonObject | None],
        changed: Callable[[], None],
    ) -> None:
        self._client = client
        self._node_name = node_name
        self._node = node
        self._changed = changed
        self._drivers: dict[str, CsiDriver] = {}
        self._writing = asyncio.Lock()

    def find(self, name: str) -> CsiDriver | None:
        """Return a registered driver."""
        return self._drivers.get(name)

    async def register(self, name: str, endpoint: Path, versions: Sequence[str]) -> None:
        """Take a driver and tell the cluster that it is here."""
        if not any(one.lstrip("v").split(".")[0] == "1" for one in versions):
            raise PluginRefused(
                f"validation failed for CSI Driver {name} at endpoint {endpoint}: no supported version in "
                f"{list(versions)}, known are 1.x"
            )
        driver = CsiDriver(name, endpoint)
        try:
            info = await driver.call("NodeGetInfo", {}, timeout_s=_INFO_S)
            if not info["node_id"]:
                raise PluginRefused(f"driver {name} did not tell its node ID")
            await self._write(lambda drivers: [*drivers, csi_node_driver(name, info)], name)
            await self._label(name, info)
        except (RuntimeFailure, ApiError) as error:
            raise PluginRefused(
                f"error updating CSINode object with CSI driver node info: {error}"
            ) from error
        self._drivers[name] = driver
        self._changed()

    async def deregister(self, name: str) -> None:
        """Let go of a driver: nothing new comes to this node."""
        self._drivers.pop(name, None)
        try:
            await self._write(list, name)
            await self._label(name, None)
        except ApiError as error:
            log.warning("driver is still told of", extra={"driver": name, "error": error.message})

    async def introduce(self) -> None:
        """Make the node's CSINode, before any driver is there. Raises ApiError."""
        await self._write(None, "")

    async def _write(
        self, change: Callable[[Sequence[JsonObject]], Sequence[JsonObject]] | None, name: str
    ) -> None:
        """Bring the CSINode to what `change` makes of its other drivers; several drivers may come at once."""
        async with self._writing:
            for left in reversed(range(_TRIES)):
                try:
                    await self._write_once(change, name)
                except ApiError as error:
                    if error.code not in (404, 409) or not left:
                        raise
                else:
                    return

    async def _write_once(
        self, change: Callable[[Sequence[JsonObject]], Sequence[JsonObject]] | None, name: str
    ) -> None:
        try:
            found = await self._client.get(CSI_NODES, self._node_name)
        except ApiError as error:
            if error.code != 404:
                raise
            drivers = [] if change is None else list(change([]))
            await self._client.create(CSI_NODES, await self._new_csi_node(drivers))
            return
        old = found["spec"].get("drivers") or []
        others = [one for one in old if one["name"] != name]
        drivers = old if change is None else list(change(others))
        if sorted(drivers, key=_name) != sorted(old, key=_name):
            before = next((one for one in old if one["name"] == name), None)
            new = next((one for one in drivers if one["name"] == name), None)
            if before and new and _fixed(before) != _fixed(new):
                # A driver's identity cannot be changed in place: it goes and comes.
                found = await self._client.update(CSI_NODES, {**found, "spec": {"drivers": others}})
            await self._client.update(CSI_NODES, {**found, "spec": {"drivers": drivers}})

    async def _new_csi_node(self, drivers: Sequence[JsonObject]) -> JsonObject:
        node = self._node() or await self._client.get(NODES, self._node_name)
        owner = {"apiVersion": "v1", "kind": "Node", "name": self._node_name, "uid": node["metadata"]["uid"]}
        return {
            "kind": "CSINode",
            "apiVersion": "storage.k8s.io/v1",
            "metadata": {
                "name": self._node_name,
                "annotations": {MIGRATED: MIGRATED_PLUGINS},
                "ownerReferences": [owner],
            },
            "spec": {"drivers": list(drivers)},
        }

    async def _label(self, name: str, info: JsonObject | None) -> None:
        """Note a driver's id of this node and the node's place on the Node."""
        node = await self._client.get(NODES, self._node_name)
        text = (node["metadata"].get("annotations") or {}).get(NODE_ID) or "{}"
        identities: dict[str, str] = orjson.loads(text)
        labels: Mapping[str, str] = {}
        if info is None:
            identities.pop(name, None)
        else:
            identities[name] = info["node_id"]
            labels = (info.get("accessible_topology") or {}).get("segments") or {}
        new = orjson.dumps(identities, option=orjson.OPT_SORT_KEYS).decode() if identities else None
        patch = {"metadata": {"annotations": {NODE_ID: new}, "labels": dict(labels)}}
        await self._client.patch(NODES, self._node_name, patch, patch_type=PatchType.MERGE)


def csi_node_driver(name: str, info: JsonObject) -> JsonObject:
    """Return what a CSINode says of a driver, from its NodeGetInfo."""
    segments = (info.get("accessible_topology") or {}).get("segments") or {}
    driver: JsonObject = {"name": name, "nodeID": info["node_id"], "topologyKeys": sorted(segments)}
    if info.get("max_volumes_per_node", 0) > 0:
        driver["allocatable"] = {"count": info["max_volumes_per_node"]}
    return driver


def _name(driver: JsonObject) -> str:
    return str(driver["name"])


def _fixed(driver: JsonObject) -> JsonObject:
    return {key: value for key, value in driver.items() if key != "allocatable" and value}
