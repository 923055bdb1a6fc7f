"""Names by which the cluster and its nodes speak of volumes of CSI drivers. Source: pkg/volume/csi/csi_util.go v1.35."""

from __future__ import annotations

import hashlib
import re
from typing import Final

PLUGIN: Final = "kubernetes.io/csi"
_ATTACHMENT: Final = re.compile("csi-[0-9a-f]{64}")


def unique_name(driver: str, handle: str) -> str:
    """Return what a Node's status calls a volume (volumesInUse, volumesAttached)."""
    return f"{PLUGIN}/{driver}^{handle}"


def attachment_name(driver: str, handle: str, node: str) -> str:
    """Return the name of the VolumeAttachment of a volume to a node."""
    return f"csi-{hashlib.sha256(f'{handle}{driver}{node}'.encode()).hexdigest()}"


def is_attachment_name(name: str) -> bool:
    """Say whether a VolumeAttachment is called as `attachment_name` calls them: others are somebody else's."""
    return _ATTACHMENT.fullmatch(name) is not None


def attachment_of(name: str, node: str) -> str:
    """Return the name of the VolumeAttachment of a volume that a Node's status names, "" = it is of no CSI driver."""
    prefix, _, rest = name.partition(f"{PLUGIN}/")
    driver, separator, handle = rest.partition("^")
    return "" if prefix or not separator else attachment_name(driver, handle, node)
