"""Keeps VolumeAttachments as pods need them; the driver's external attacher does what they say.

A volume is attached where a pod that uses it has its node, and detached when no pod there does and the kubelet says that it is not in
use any more. A node whose kubelet is not there keeps it: for six minutes, or until somebody taints it as out of service.

Source: kubernetes/pkg/controller/volume/attachdetach v1.35.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from k3py.api.csi import unique_name
from k3py.api.object import key_of
from k3py.api.resource import (
    CSI_DRIVERS,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    VOLUME_ATTACHMENTS,
)
from k3py.api.status import ApiError
from k3py.client.interface import PatchType
from k3py.controllers.interface import Watch
from k3py.controllers.pod import is_finished
from k3py.controllers.storage.attach_detach.plan import Wanted, csi_of, is_healthy, plan_node
from k3py.controllers.storage.claims_of_pods import USED_CLAIM_INDEX, claim_names_of, index_by_claim
from k3py.util import clock
from k3py.util.metrics import Counter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from k3py.controllers.interface import ControllerContext
    from k3py.controllers.storage.attach_detach.plan import AttachPlan
    from k3py.jsontypes import JsonObject

log = logging.getLogger(__name__)

FORCE_S: Final = 360.0
_NODE_INDEX: Final = "node-of-claims"
_ATTACHMENT_INDEX: Final = "attachment-node"
_VOLUME_INDEX: Final = "attachment-volume"


def _index_pod(pod: JsonObject) -> Sequence[str]:
    node = (pod.get("spec") or {}).get("nodeName")
    return (node,) if node and any(claim_names_of(pod)) else ()


def _index_attachment(attachment: JsonObject) -> Sequence[str]:
    return (attachment["spec"]["nodeName"],)


def _index_volume(attachment: JsonObject) -> Sequence[str]:
    name = (attachment["spec"].get("source") or {}).get("persistentVolumeName")
    return (name,) if name else ()


class AttachDetachController:
    """See the module."""

    name = "attachdetach-controller"
    workers = 4

    def __init__(self, context: ControllerContext) -> None:
        self._client, self._recorder = context.client, context.recorder
        informers = context.informers
        pods, nodes = informers.informer(PODS), informers.informer(NODES)
        claims, volumes = informers.informer(PERSISTENT_VOLUME_CLAIMS), informers.informer(PERSISTENT_VOLUMES)
        attachments, drivers = informers.informer(VOLUME_ATTACHMENTS), informers.informer(CSI_DRIVERS)
        pods.add_index(_NODE_INDEX, _index_pod)
        pods.add_index(USED_CLAIM_INDEX, index_by_claim)
        attachments.add_index(_ATTACHMENT_INDEX, _index_attachment)
        attachments.add_index(_VOLUME_INDEX, _index_volume)
        self._pods, self._nodes, self._claims = pods.lister, nodes.lister, claims.lister
        self._volumes, self._attachments, self._drivers = volumes.lister, attachments.lister, drivers.lister
        self._unwanted_s: dict[str, float] = {}  # since when attachments wait for their kubelet, monotonic
        self._told: dict[str, str] = {}
        self._forced = Counter(
            "attachdetach_controller_forced_detaches",
            "Volumes that were detached though their node did not say that it had let go of them.",
            ("reason",),
        )
        context.metrics.add(self._forced)
        self.watches = (
            Watch(pods, self._keys_of_pod),
            Watch(nodes, self._keys_of_node),
            Watch(claims, self._keys_of_claim),
            Watch(volumes, self._keys_of_volume),
            Watch(attachments, self._keys_of_attachment),
            Watch(drivers, self._keys_of_driver),
        )

    # --- what wakes it ------------------------------------------------------------------------------------------------

    def _keys_of_pod(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        if old is not None and new is not None and _index_pod(old) and is_finished(old) == is_finished(new):
            return ()
        return {node for one in (old, new) if one is not None for node in _index_pod(one)}

    def _keys_of_node(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        if old is not None and new is not None and _decisive(old) == _decisive(new):
            return ()
        return [one["metadata"]["name"] for one in (old, new) if one is not None]

    def _keys_of_claim(self, _: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        return () if new is None else self._nodes_of_claim(key_of(new))

    def _keys_of_volume(self, _: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        return () if new is None else self._nodes_of_volume(new)

    def _keys_of_attachment(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        one = new or old
        if one is None:
            return ()
        keys = {*_index_attachment(one)}
        if new is None:  # whoever waits to have the volume may have it now
            for name in _index_volume(one):
                volume = self._volumes.find("", name)
                keys |= set() if volume is None else set(self._nodes_of_volume(volume))
        return keys

    def _keys_of_driver(self, _: JsonObject | None, __: JsonObject | None) -> Iterable[str]:
        return [one["metadata"]["name"] for one in self._nodes.list()]

    def _nodes_of_volume(self, volume: JsonObject) -> Iterable[str]:
        claim = volume["spec"].get("claimRef") or {}
        return self._nodes_of_claim(f"{claim.get('namespace', '')}/{claim.get('name', '')}")

    def _nodes_of_claim(self, key: str) -> Iterable[str]:
        return {one["spec"]["nodeName"] for one in self._pods.by_index(USED_CLAIM_INDEX, key)}

    # --- what it does -------------------------------------------------------------------------------------------------

    async def reconcile(self, key: str) -> float | None:
        """Attach and detach what one node needs."""
        node = self._nodes.find("", key)
        wanted = self._wanted(key)
        attachments = self._attachments.by_index(_ATTACHMENT_INDEX, key)
        if not wanted and not attachments and not ((node or {}).get("status") or {}).get("volumesAttached"):
            return None
        elsewhere = {}
        for one in wanted:
            name = one.volume["metadata"]["name"]
            found = self._attachments.by_index(_VOLUME_INDEX, name)
            elsewhere[name] = [other for other in found if other["spec"]["nodeName"] != key]
        overdue = frozenset() if is_healthy(node) else self._overdue()
        plan = plan_node(key, node, wanted, attachments, elsewhere, overdue)
        self._tell(node, plan, wanted, attachments)
        await self._write_attached(node, plan)
        for identity, one in plan.attach.items():
            await self._attach(identity, one, key)
        for attachment in plan.detach:
            await self._detach(attachment, plan, overdue)
        return self._wait(plan, attachments, healthy=is_healthy(node))

    def _wanted(self, node: str) -> list[Wanted]:
        """Return the volumes that pods of a node use and that are attached by somebody."""
        found: dict[str, tuple[JsonObject, list[JsonObject]]] = {}
        for pod in self._pods.by_index(_NODE_INDEX, node):
            if is_finished(pod):
                continue
            for name in claim_names_of(pod):
                volume = self._volume_of(pod["metadata"]["namespace"], name)
                if volume is not None:
                    found.setdefault(volume["metadata"]["name"], (volume, []))[1].append(pod)
        return [Wanted(volume, pods) for volume, pods in found.values()]

    def _volume_of(self, namespace: str, claim_name: str) -> JsonObject | None:
        claim = self._claims.find(namespace, claim_name)
        if claim is None or (claim.get("status") or {}).get("phase") != "Bound":
            return None
        volume = self._volumes.find("", claim["spec"].get("volumeName") or "")
        if volume is None or not volume["spec"].get("csi"):
            return None
        if (volume["spec"].get("claimRef") or {}).get("uid") not in (None, claim["metadata"]["uid"]):
            return None
        driver = self._drivers.find("", volume["spec"]["csi"]["driver"])
        attaches = True if driver is None else driver["spec"].get("attachRequired", True)
        return volume if attaches else None

    async def _attach(self, identity: str, wanted: Wanted, node: str) -> None:
        volume = wanted.volume
        attachment = {
            "kind": "VolumeAttachment",
            "apiVersion": "storage.k8s.io/v1",
            "metadata": {"name": identity},
            "spec": {
                "attacher": csi_of(volume)["driver"],
                "nodeName": node,
                "source": {"persistentVolumeName": volume["metadata"]["name"]},
            },
        }
        try:
            await self._client.create(VOLUME_ATTACHMENTS, attachment)
        except ApiError as error:
            if error.code != 409:
                self._tell_pods(wanted, "FailedAttachVolume", _failed(volume, error.message))
                raise

    async def _detach(self, attachment: JsonObject, plan: AttachPlan, overdue: frozenset[str]) -> None:
        metadata = attachment["metadata"]
        if metadata["name"] in plan.forced:
            reason = "timeout" if metadata["name"] in overdue else "out-of-service"
            log.warning(
                "volume is detached by force",
                extra={"attachment": metadata["name"], "node": attachment["spec"]["nodeName"], "why": reason},
            )
            self._forced.add(reason)
        try:
            await self._client.delete(VOLUME_ATTACHMENTS, metadata["name"], uid=metadata["uid"])
        except ApiError as error:
            if error.code not in (404, 409):
                raise

    async def _write_attached(self, node: JsonObject | None, plan: AttachPlan) -> None:
        """Tell the kubelet what it may mount; what is about to be detached is taken off first."""
        if node is None:
            return
        old = (node.get("status") or {}).get("volumesAttached") or []
        if sorted(old, key=lambda one: str(one["name"])) == plan.attached:
            return
        # An empty list would be dropped from the patch's result; null removes the field.
        patch = {"status": {"volumesAttached": plan.attached or None}}
        await self._client.patch(
            NODES,
            node["metadata"]["name"],
            patch,
            patch_type=PatchType.MERGE,
            subresource="status",
        )

    # --- waiting and telling ------------------------------------------------------------------------------------------

    def _overdue(self) -> frozenset[str]:
        now_s = clock.monotonic_s()
        return frozenset(one for one, since_s in self._unwanted_s.items() if now_s >= since_s + FORCE_S)

    def _wait(self, plan: AttachPlan, attachments: Sequence[JsonObject], *, healthy: bool) -> float | None:
        """Note since when detaching waits; return when to look again."""
        now_s = clock.monotonic_s()
        for one in attachments:
            if one["metadata"]["name"] not in plan.waiting:
                self._unwanted_s.pop(one["metadata"]["name"], None)
        for identity in plan.waiting:
            self._unwanted_s.setdefault(identity, now_s)
        if healthy or not plan.waiting:
            return None
        return max(1.0, min(self._unwanted_s[one] for one in plan.waiting) + FORCE_S - now_s)

    def _tell(
        self,
        node: JsonObject | None,
        plan: AttachPlan,
        wanted: Sequence[Wanted],
        attachments: Sequence[JsonObject],
    ) -> None:
        """Tell pods how their volumes fare, each thing once."""
        by_volume = {one.volume["metadata"]["name"]: one for one in wanted}
        known = {one["name"] for one in ((node or {}).get("status") or {}).get("volumesAttached") or ()}
        for attachment in attachments:
            name = (attachment["spec"].get("source") or {}).get("persistentVolumeName") or ""
            one = by_volume.get(name)
            identity = attachment["metadata"]["name"]
            status = attachment.get("status") or {}
            error = (status.get("attachError") or {}).get("message", "")
            if one is None:
                self._told.pop(identity, None)
            elif status.get("attached"):
                csi = csi_of(one.volume)
                if unique_name(csi["driver"], csi["volumeHandle"]) not in known:  # else it was told before
                    message = f'AttachVolume.Attach succeeded for volume "{name}" '
                    self._tell_once(identity, one, "Normal", "SuccessfulAttachVolume", message)
            elif error:
                self._tell_once(identity, one, "Warning", "FailedAttachVolume", _failed(one.volume, error))
        for one, nodes in plan.blocked:
            volume = one.volume["metadata"]["name"]
            message = (
                f'Multi-Attach error for volume "{volume}" Volume is already exclusively attached to one node and can\'t be '
                f"attached to another ({', '.join(nodes)})"
            )
            where = one.pods[0]["spec"]["nodeName"]
            self._tell_once(f"{volume} {where}", one, "Warning", "FailedAttachVolume", message)

    def _tell_once(self, key: str, wanted: Wanted, kind: str, reason: str, message: str) -> None:
        if self._told.get(key) != message:
            self._told[key] = message
            self._tell_pods(wanted, reason, message, kind)

    def _tell_pods(self, wanted: Wanted, reason: str, message: str, kind: str = "Warning") -> None:
        for pod in wanted.pods:
            self._recorder.event(pod, kind, reason, message)


def _failed(volume: JsonObject, message: str) -> str:
    return f'AttachVolume.Attach failed for volume "{volume["metadata"]["name"]}" : {message}'


def _decisive(node: JsonObject) -> tuple[object, ...]:
    status = node.get("status") or {}
    return (
        status.get("volumesInUse"),
        status.get("volumesAttached"),
        (node.get("spec") or {}).get("taints"),
        is_healthy(node),
        bool(node["metadata"].get("annotations")),
    )


def build(context: ControllerContext) -> AttachDetachController:
    """Make the controller."""
    return AttachDetachController(context)
