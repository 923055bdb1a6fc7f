"""One CSI driver of the node: its calls as documents.

Source: container-storage-interface/spec v1.12; pkg/volume/csi/csi_client.go v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.kubelet.plugins.channel import open_plugin

if TYPE_CHECKING:
    from pathlib import Path

    from k3py.jsontypes import JsonObject

_NODE: Final = "/csi.v1.Node/"
CALL_S: Final = 120.0

STAGE: Final = "STAGE_UNSTAGE_VOLUME"
STATS: Final = "GET_VOLUME_STATS"
EXPAND: Final = "EXPAND_VOLUME"
MULTI_WRITER: Final = "SINGLE_NODE_MULTI_WRITER"
MOUNT_GROUP: Final = "VOLUME_MOUNT_GROUP"


class CsiDriver:
    """A registered driver.

    Attributes:
        name: as in PersistentVolumes.
        endpoint: its socket.
    """

    def __init__(self, name: str, endpoint: Path) -> None:
        self.name = name
        self.endpoint = endpoint
        self._capabilities: frozenset[str] | None = None

    async def call(self, method: str, request: JsonObject, *, timeout_s: float = CALL_S) -> JsonObject:
        """Call a method of csi.v1.Node.

        Raises:
            RuntimeFailure: the driver's answer.
        """
        # A connection a call, as upstream's kubelet has it: an idle node keeps none.
        with open_plugin(self.endpoint) as channel:
            return await channel.call(_NODE + method, request, timeout_s=timeout_s)

    async def capabilities(self) -> frozenset[str]:
        """Return what the driver can do on a node."""
        if self._capabilities is None:
            answer = await self.call("NodeGetCapabilities", {})
            found = (one.get("rpc") or {} for one in answer["capabilities"])
            self._capabilities = frozenset(str(one.get("type", "UNKNOWN")) for one in found)
        return self._capabilities
