"""What a driver is told of a volume: requests of csi.v1.Node. Pure.

Source: pkg/volume/csi/{csi_attacher,csi_mounter,csi_block,csi_client}.go v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.kubelet.csi.driver import MOUNT_GROUP, MULTI_WRITER

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from k3py.jsontypes import JsonObject
    from k3py.kubelet.csi.source import CsiSource

_MODES: Final = {
    "ReadWriteOnce": "SINGLE_NODE_WRITER",
    "ReadWriteOncePod": "SINGLE_NODE_WRITER",
    "ReadOnlyMany": "MULTI_NODE_READER_ONLY",
    "ReadWriteMany": "MULTI_NODE_MULTI_WRITER",
}
_MULTI_WRITER_MODES: Final = _MODES | {
    "ReadWriteOnce": "SINGLE_NODE_MULTI_WRITER",
    "ReadWriteOncePod": "SINGLE_NODE_SINGLE_WRITER",
}
TOKENS: Final = "csi.storage.k8s.io/serviceAccount.tokens"


def volume_capability(
    source: CsiSource, capabilities: Collection[str], *, fs_group: int | None = None
) -> JsonObject:
    """Return how a volume is used; `fs_group` is told to drivers that give files to a group themselves."""
    modes = _MULTI_WRITER_MODES if MULTI_WRITER in capabilities else _MODES
    wanted = source.access_modes[0] if source.access_modes else "ReadWriteOnce"
    capability: JsonObject = {"access_mode": {"mode": modes[wanted]}}
    if source.is_block:
        capability["block"] = {}
        return capability
    mount: JsonObject = {"fs_type": source.csi.get("fsType") or ""}
    if source.volume is not None:
        mount["mount_flags"] = list(source.volume["spec"].get("mountOptions") or ())
    if fs_group is not None and MOUNT_GROUP in capabilities:
        mount["volume_mount_group"] = str(fs_group)
    capability["mount"] = mount
    return capability


def pod_information(pod: JsonObject, *, is_inline: bool) -> dict[str, str]:
    """Return what a driver that asks for it (podInfoOnMount) hears of the pod."""
    metadata = pod["metadata"]
    return {
        "csi.storage.k8s.io/pod.name": metadata["name"],
        "csi.storage.k8s.io/pod.namespace": metadata["namespace"],
        "csi.storage.k8s.io/pod.uid": metadata["uid"],
        "csi.storage.k8s.io/serviceAccount.name": pod["spec"].get("serviceAccountName") or "",
        "csi.storage.k8s.io/ephemeral": "true" if is_inline else "false",
    }


def stage_request(
    source: CsiSource,
    path: Path,
    capability: JsonObject,
    *,
    publish_context: Mapping[str, str],
    secrets: Mapping[str, str],
) -> JsonObject:
    """Return NodeStageVolumeRequest."""
    return {
        "volume_id": source.handle,
        "publish_context": dict(publish_context),
        "staging_target_path": str(path),
        "volume_capability": capability,
        "secrets": dict(secrets),
        "volume_context": dict(source.csi.get("volumeAttributes") or {}),
    }


def publish_request(
    source: CsiSource,
    target: Path,
    capability: JsonObject,
    *,
    staging: Path | None,
    publish_context: Mapping[str, str],
    secrets: Mapping[str, str],
    context: Mapping[str, str],
) -> JsonObject:
    """Return NodePublishVolumeRequest; `context`: beside the volume's attributes."""
    return {
        "volume_id": source.handle,
        "publish_context": dict(publish_context),
        "staging_target_path": "" if staging is None else str(staging),
        "target_path": str(target),
        "volume_capability": capability,
        "readonly": source.read_only,
        "secrets": dict(secrets),
        "volume_context": {**(source.csi.get("volumeAttributes") or {}), **context},
    }
