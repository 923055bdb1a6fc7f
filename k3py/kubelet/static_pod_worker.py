"""The life of a static pod, and its mirror: a pod in the API that shows what the node runs and decides nothing.

Source: pkg/kubelet/pod/mirror_client.go, pkg/kubelet/kubelet.go tryReconcileMirrorPods v1.35.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from k3py.api.resource import PODS
from k3py.api.status import ApiError
from k3py.kubelet.operations import STATUS
from k3py.kubelet.pod import CONFIG_MIRROR, is_deleted, is_mirror
from k3py.kubelet.pod_status_sending import patch_status, version_of
from k3py.kubelet.pod_worker import PodWorker
from k3py.kubelet.status import status_patch
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3py.jsontypes import JsonObject
    from k3py.kubelet.node_context import NodeContext
    from k3py.kubelet.pod_operations import PodOperations
    from k3py.kubelet.probes import Prober

log = logging.getLogger(__name__)


class StaticPodWorker(PodWorker):
    """Works on a static pod until its file is gone; the API's state of it is the mirror's.

    Args:
        node: the node.
        pod: as `static_pods` read it.
        node_object: returns the Node as the API has it, which owns the mirror.
    """

    def __init__(
        self, node: NodeContext, pod: JsonObject, node_object: Callable[[], JsonObject | None]
    ) -> None:
        super().__init__(node, pod)
        self._node_object = node_object
        self.mirror: JsonObject | None = None

    def see_mirror(self, mirror: JsonObject | None) -> None:
        """Take in the mirror as the API has it, None = it is gone."""
        self.mirror = mirror
        self.changed.set()

    async def run(self) -> None:
        """Work until the pod is gone; then its mirror goes."""
        await super().run()
        if self.mirror is not None:
            try:
                await self._delete(self.mirror)
            except ApiError as error:
                log.warning("mirror pod stays", extra={"pod": self.uid, "error": error.message})

    def _tell(self, prober: Prober, operations: PodOperations) -> None:
        """Remember the status, as the API does for other pods, and bring the mirror up to date."""
        if self.removed or STATUS in operations or operations.gone:
            return
        status = self.compute_status()
        self.pod = {**self.pod, "status": status}
        mirror = self.mirror
        if mirror is not None and self._is_current(mirror):
            patch = status_patch(mirror.get("status") or {}, status)
            if not patch or (patch, version_of(mirror)) == self._sent:
                return
        if operations.status_retry_s > clock.wall_s():
            self._wake_at(operations.status_retry_s)
        else:
            operations.send_status()

    def _is_current(self, mirror: JsonObject) -> bool:
        return _hash_of(mirror) == self.uid and not is_deleted(mirror)

    async def send_status(self) -> None:
        """Make the mirror if need be, and patch its status until it says what is the case.

        Raises:
            ApiError: refused; the caller tries again later.
        """
        for _ in range(3):
            mirror = await self._ensure_mirror()
            patch = status_patch(mirror.get("status") or {}, self.compute_status())
            if not patch or (patch, version_of(mirror)) == self._sent:
                return
            answer = await patch_status(self.node.client, mirror, patch)
            if answer is None:
                if self.mirror is mirror:
                    self.mirror = None
                continue
            if self.mirror is mirror:  # else what was seen meanwhile is newer: a deletion, perhaps
                self.mirror = answer
            self._sent = (patch, version_of(answer))

    async def _ensure_mirror(self) -> JsonObject:
        """Return the mirror; one that is being deleted, or shows another file, is replaced."""
        if self.mirror is not None and not self._is_current(self.mirror):
            await self._delete(self.mirror)
            self.mirror = None
        if self.mirror is None:
            wanted = self._make_mirror()
            try:
                made = await self.node.client.create(PODS, wanted)
            except ApiError as error:
                if error.code != 409:
                    raise
                made = await self._take_over(wanted, error)
            if self.mirror is None:
                self.mirror = made
        return self.mirror

    async def _take_over(self, wanted: JsonObject, conflict: ApiError) -> JsonObject:
        """Use the mirror that is there, or put the right one in its place. Raises `conflict`: it is no mirror."""
        metadata = wanted["metadata"]
        live = await self.node.client.get(PODS, metadata["name"], namespace=metadata["namespace"])
        if not is_mirror(live):
            raise conflict
        if self._is_current(live):
            return live
        await self._delete(live)
        return await self.node.client.create(PODS, wanted)

    def _make_mirror(self) -> JsonObject:
        node, metadata = self._node_object(), self.pod["metadata"]
        if node is None:
            raise ApiError(503, "ServiceUnavailable", "the Node is not known yet")
        owner = {
            "apiVersion": "v1",
            "kind": "Node",
            "name": node["metadata"]["name"],
            "uid": node["metadata"]["uid"],
            "controller": True,
        }
        annotations = {**metadata["annotations"], CONFIG_MIRROR: self.uid}
        kept = {key: metadata[key] for key in ("name", "namespace", "labels") if key in metadata}
        return {
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {**kept, "annotations": annotations, "ownerReferences": [owner]},
            "spec": self.pod["spec"],
        }

    async def _delete(self, mirror: JsonObject) -> None:
        await delete_mirror(self.node, mirror)


def _hash_of(mirror: JsonObject) -> str:
    return str((mirror["metadata"].get("annotations") or {}).get(CONFIG_MIRROR) or "")


async def delete_mirror(node: NodeContext, mirror: JsonObject) -> None:
    """Delete a mirror at once. Raises ApiError, but for one that is gone or another by now."""
    metadata = mirror["metadata"]
    try:
        await node.client.delete(
            PODS,
            metadata["name"],
            namespace=metadata["namespace"],
            grace_period_s=0,
            uid=metadata["uid"],
        )
    except ApiError as error:
        if error.code not in (404, 409):
            raise
