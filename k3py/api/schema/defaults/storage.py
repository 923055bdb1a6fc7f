"""Conditional defaults of storage.k8s.io/v1. Source: k8s.io/kubernetes/pkg/apis/storage/v1/defaults.go v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject


def _default_csi_driver(obj: JsonObject) -> None:
    spec = obj["spec"]
    spec.setdefault("attachRequired", True)
    for field in ("podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount"):
        spec.setdefault(field, False)
    spec.setdefault("fsGroupPolicy", "ReadWriteOnceWithFSType")
    if not spec.get("volumeLifecycleModes"):
        spec["volumeLifecycleModes"] = ["Persistent"]


HOOKS: Final = {"CSIDriver": _default_csi_driver}
