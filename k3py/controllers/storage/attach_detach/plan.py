"""What is to be attached to a node and detached from it. Pure.

Source: kubernetes/pkg/controller/volume/attachdetach/reconciler/reconciler.go v1.35.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from k3py.api.csi import attachment_name, attachment_of, is_attachment_name, unique_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from k3py.jsontypes import JsonObject

MANAGED: Final = "volumes.kubernetes.io/controller-managed-attach-detach"
OUT_OF_SERVICE: Final = "node.kubernetes.io/out-of-service"
_SHARED: Final = frozenset(("ReadWriteMany", "ReadOnlyMany"))


@dataclass(frozen=True, slots=True)
class Wanted:
    """A volume that pods of a node use."""

    volume: JsonObject
    pods: Sequence[JsonObject]


@dataclass(slots=True)
class AttachPlan:
    """What to do for a node.

    attach: volumes to attach, by the attachment's name.
    detach: attachments to delete.
    waiting: attachments that would be deleted, were the volumes not in use.
    blocked: volumes that are attached elsewhere and may not be attached twice: (wanted, the other attachments' nodes).
    attached: status.volumesAttached.
    forced: those of `detach` whose volumes are in use.
    """

    attach: dict[str, Wanted] = field(default_factory=dict)
    detach: list[JsonObject] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    blocked: list[tuple[Wanted, Sequence[str]]] = field(default_factory=list)
    attached: list[JsonObject] = field(default_factory=list)
    forced: set[str] = field(default_factory=set)


def csi_of(volume: JsonObject) -> JsonObject:
    """Return the part of a PersistentVolume that is about CSI."""
    found: JsonObject = volume["spec"]["csi"]
    return found


def is_managed(node: JsonObject | None) -> bool:
    """Say whether the node's kubelet leaves attaching to the controller."""
    return MANAGED in (((node or {}).get("metadata") or {}).get("annotations") or {})


def is_healthy(node: JsonObject | None) -> bool:
    """Say whether the node's kubelet reports to be ready."""
    conditions = ((node or {}).get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def is_out_of_service(node: JsonObject | None) -> bool:
    """Say whether somebody vouches for that the node is off."""
    taints = ((node or {}).get("spec") or {}).get("taints") or ()
    return any(one["key"] == OUT_OF_SERVICE for one in taints)


def plan_node(
    name: str,
    node: JsonObject | None,
    wanted: Iterable[Wanted],
    attachments: Sequence[JsonObject],
    elsewhere: Mapping[str, Sequence[JsonObject]],
    overdue: frozenset[str],
) -> AttachPlan:
    """Return what to do for a node.

    Args:
        name: the node's.
        node: the Node, None = it is gone: what it used counts as in use until `overdue`.
        wanted: what its pods use.
        attachments: its VolumeAttachments.
        elsewhere: other nodes' VolumeAttachments by PersistentVolume.
        overdue: attachments that have waited for long enough for a kubelet that is not there.
    """
    plan = AttachPlan()
    status = (node or {}).get("status") or {}
    in_use = {attachment_of(one, name) for one in status.get("volumesInUse") or ()}
    before = {attachment_of(one["name"], name): one for one in status.get("volumesAttached") or ()}
    ours = (one for one in attachments if is_attachment_name(one["metadata"]["name"]))
    existing = {one["metadata"]["name"]: one for one in ours}
    needed = {}
    for one in wanted if is_managed(node) else ():
        csi = csi_of(one.volume)
        needed[attachment_name(csi["driver"], csi["volumeHandle"], name)] = one
    for identity, one in needed.items():
        others = elsewhere.get(one.volume["metadata"]["name"], ())
        if identity in existing:
            continue
        if others and not _SHARED.intersection(one.volume["spec"].get("accessModes") or ()):
            plan.blocked.append((one, sorted({other["spec"]["nodeName"] for other in others})))
        else:
            plan.attach[identity] = one
    free = is_out_of_service(node)
    for identity, attachment in existing.items():
        deleted = "deletionTimestamp" in attachment["metadata"]
        if identity in needed or deleted:
            if not deleted and (attachment.get("status") or {}).get("attached"):
                csi = csi_of(needed[identity].volume)
                known = unique_name(csi["driver"], csi["volumeHandle"])
                plan.attached.append(before.get(identity) or {"name": known, "devicePath": ""})
            continue
        used = identity in in_use or node is None
        if used and not free and identity not in overdue:
            plan.waiting.append(identity)
            if identity in before:
                plan.attached.append(before[identity])
            continue
        if used:
            plan.forced.add(identity)
        plan.detach.append(attachment)
    plan.attached += [one for identity, one in before.items() if not identity]  # not ours
    plan.attached.sort(key=lambda one: str(one["name"]))
    return plan
