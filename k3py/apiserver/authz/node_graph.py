"""Which objects belong to which node, through the pods that are bound to it.

Source: k8s.io/kubernetes/plugin/pkg/auth/authorizer/node/graph.go v1.35, as plain dicts: node → pods → references.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3py.apiserver.authz.pod_references import iter_references

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3py.apiserver.follower import Key
    from k3py.jsontypes import JsonObject

Target = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class _Placement:
    node: str
    targets: frozenset[Target]


class NodeGraph:
    """References of bound pods by node; persistent volumes and attachments by what they say themselves."""

    def __init__(self) -> None:
        self._pods: dict[Key, _Placement] = {}
        self._counts: dict[tuple[str, Target], int] = {}
        self._volumes: dict[str, Key] = {}
        self._volume_secrets: dict[str, frozenset[Key]] = {}
        self._attachments: dict[str, str] = {}
        self._slices: dict[str, str] = {}

    def handlers(self) -> dict[tuple[str, str], Callable[[Key, JsonObject | None], None]]:
        """Return what to call for objects of each kind, by (group, plural)."""
        return {
            ("", "pods"): self.set_pod,
            ("", "persistentvolumes"): self.set_volume,
            ("storage.k8s.io", "volumeattachments"): self.set_attachment,
            ("resource.k8s.io", "resourceslices"): self.set_resource_slice,
        }

    def set_pod(self, key: Key, pod: JsonObject | None) -> None:
        """Take a pod's state, None = gone; what a finished or unbound pod refers to counts for no node."""
        node = ((pod or {}).get("spec") or {}).get("nodeName") or ""
        placement = None
        if pod is not None and node and (pod.get("status") or {}).get("phase") not in ("Failed", "Succeeded"):
            targets = frozenset((plural, key[0], name) for plural, name in iter_references(pod))
            placement = _Placement(node, targets | {("pods", *key)})
        old = self._pods.get(key)
        if old == placement:
            return
        if old is not None:
            for target in old.targets:
                self._count(old.node, target, -1)
        if placement is None:
            self._pods.pop(key, None)
            return
        self._pods[key] = placement
        for target in placement.targets:
            self._count(placement.node, target, 1)

    def set_volume(self, key: Key, volume: JsonObject | None) -> None:
        """Take a PersistentVolume's state, None = gone."""
        spec = (volume or {}).get("spec") or {}
        claim = spec.get("claimRef") or {}
        if not claim.get("name"):
            self._volumes.pop(key[1], None)
            self._volume_secrets.pop(key[1], None)
            return
        home = (claim.get("namespace", ""), claim["name"])
        self._volumes[key[1]] = home
        secrets = frozenset(_iter_volume_secrets(spec, home[0]))
        if secrets:
            self._volume_secrets[key[1]] = secrets
        else:
            self._volume_secrets.pop(key[1], None)

    def set_attachment(self, key: Key, attachment: JsonObject | None) -> None:
        """Take a VolumeAttachment's state, None = gone."""
        _set_node(self._attachments, key[1], attachment)

    def set_resource_slice(self, key: Key, resource_slice: JsonObject | None) -> None:
        """Take a ResourceSlice's state, None = gone; of the node's own devices only."""
        _set_node(self._slices, key[1], resource_slice)

    def has(self, node: str, plural: str, namespace: str, name: str) -> bool:
        """Say whether a pod of `node` leads to the object."""
        if plural == "persistentvolumes":
            claim = self._volumes.get(name)
            return claim is not None and self.has(node, "persistentvolumeclaims", *claim)
        if plural == "volumeattachments":
            return self._attachments.get(name) == node
        if plural == "resourceslices":
            return self._slices.get(name) == node
        if (node, (plural, namespace, name)) in self._counts:
            return True
        return plural == "secrets" and any(
            (namespace, name) in secrets and self.has(node, "persistentvolumes", "", volume)
            for volume, secrets in self._volume_secrets.items()
        )

    def _count(self, node: str, target: Target, change: int) -> None:
        count = self._counts.get((node, target), 0) + change
        if count > 0:
            self._counts[node, target] = count
        else:
            self._counts.pop((node, target), None)


def _set_node(nodes: dict[str, str], name: str, obj: JsonObject | None) -> None:
    node = ((obj or {}).get("spec") or {}).get("nodeName") or ""
    if node:
        nodes[name] = node
    else:
        nodes.pop(name, None)


def _iter_volume_secrets(spec: JsonObject, claim_namespace: str) -> list[Key]:
    csi = spec.get("csi") or {}
    references = [
        csi.get(key)
        for key in (
            "nodePublishSecretRef",
            "nodeStageSecretRef",
            "nodeExpandSecretRef",
            "controllerPublishSecretRef",
            "controllerExpandSecretRef",
        )
    ]
    references += [
        (spec.get(key) or {}).get("secretRef") for key in ("cephfs", "flexVolume", "iscsi", "rbd", "scaleIO")
    ]
    found: list[Key] = [
        (reference.get("namespace") or claim_namespace, reference["name"])
        for reference in references
        if reference and reference.get("name")
    ]
    azure = spec.get("azureFile") or {}
    if azure.get("secretName"):
        found.append((azure.get("secretNamespace") or claim_namespace, azure["secretName"]))
    return found
