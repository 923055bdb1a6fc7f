"""A kubelet writes its own node, its own pods and its own lease, and nothing of them that says where workloads may go.

Source: kubernetes/plugin/pkg/admission/noderestriction v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.resource import CSI_DRIVERS, NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS
from k3py.apiserver.admission.plugins.base import BasePlugin, refuse
from k3py.apiserver.interface import Attributes

if TYPE_CHECKING:
    from k3py.apiserver.admission.lookup import Lookup
    from k3py.apiserver.interface import AdmissionRequest, Authorizer
    from k3py.jsontypes import JsonObject

_PREFIX: Final = "system:node:"
_LEASES: Final = "kube-node-lease"
_ALLOWED: Final = frozenset(
    (
        "kubernetes.io/hostname",
        "kubernetes.io/os",
        "kubernetes.io/arch",
        "beta.kubernetes.io/os",
        "beta.kubernetes.io/arch",
        "beta.kubernetes.io/instance-type",
        "node.kubernetes.io/instance-type",
        "failure-domain.beta.kubernetes.io/zone",
        "failure-domain.beta.kubernetes.io/region",
        "topology.kubernetes.io/zone",
        "topology.kubernetes.io/region",
    )
)
_ALLOWED_DOMAINS: Final = ("kubelet.kubernetes.io", "node.kubernetes.io")


class NodeRestriction(BasePlugin):
    """See the module."""

    name = "NodeRestriction"

    def __init__(self, lookup: Lookup, authorizer: Authorizer) -> None:
        self._lookup = lookup
        self._authorizer = authorizer

    def handles(self, request: AdmissionRequest) -> bool:
        """See the writes of nodes."""
        return "system:nodes" in request.user.groups and request.user.name.startswith(_PREFIX)

    async def admit(self, request: AdmissionRequest) -> None:
        """Refuse what is not the node's own."""
        node = request.user.name.removeprefix(_PREFIX)
        match (request.kind.group, request.kind.plural, request.subresource):
            case ("", "pods", ""):
                await self._check_pod(request, node)
            case ("", "pods", "status"):
                _check_bound(request, node)
            case ("", "pods", "eviction"):
                await self._check_eviction(request, node)
            case ("", "nodes", _):
                _check_node(request, node)
            case ("", "serviceaccounts", "token"):
                await self._check_token(request, node)
            case ("coordination.k8s.io", "leases", _):
                _check_lease(request, node)
            case ("storage.k8s.io", "csinodes", _):
                _check_csi_node(request, node)
            case ("resource.k8s.io", "resourceslices", _):
                _check_resource_slice(request, node)
            case ("", "persistentvolumeclaims", _):
                _check_claim(request, node)

    async def _check_pod(self, request: AdmissionRequest, node: str) -> None:
        if request.operation == "DELETE":
            _check_bound(request, node)
            return
        if request.operation != "CREATE":
            raise refuse(request, f"node {node!r} may only create and delete pods")
        pod = request.obj or {}
        if "kubernetes.io/config.mirror" not in (pod["metadata"].get("annotations") or {}):
            raise refuse(
                request,
                'pod does not have "kubernetes.io/config.mirror" annotation, node may only create mirror pods',
            )
        if (pod.get("spec") or {}).get("nodeName") != node:
            raise refuse(request, f"node {node!r} can only create pods with spec.nodeName set to itself")
        await self._check_mirror_owner(request, node)
        if reference := find_reference(pod["spec"]):
            raise refuse(request, f"node {node!r} can not create pods that reference {reference}")

    async def _check_mirror_owner(self, request: AdmissionRequest, node: str) -> None:
        """A mirror pod is owned by its node, and by that alone."""
        owners = ((request.obj or {}).get("metadata") or {}).get("ownerReferences") or []
        if len(owners) != 1:
            raise refuse(
                request, f"node {node!r} can only create pods with a single owner reference set to itself"
            )
        owner: JsonObject = dict(owners[0])
        if (owner.get("apiVersion"), owner.get("kind"), owner.get("name")) != ("v1", "Node", node):
            raise refuse(request, f"node {node!r} can only create pods with an owner reference set to itself")
        if owner.get("controller") is not True:
            raise refuse(
                request, f"node {node!r} can only create pods with a controller owner reference set to itself"
            )
        if owner.get("blockOwnerDeletion"):
            raise refuse(request, f"node {node!r} must not set blockOwnerDeletion on an owner reference")
        live = await self._lookup.find(NODES, "", node)
        if live is None or live["metadata"]["uid"] != owner.get("uid"):
            raise refuse(request, f"node {node!r} UID mismatch: it can only create pods owned by itself")

    async def _check_eviction(self, request: AdmissionRequest, node: str) -> None:
        pod = await self._lookup.find(PODS, request.namespace, request.name)
        if pod is not None and pod["spec"].get("nodeName") != node:
            raise refuse(request, f"node {node!r} can only evict pods with spec.nodeName set to itself")

    async def _check_token(self, request: AdmissionRequest, node: str) -> None:
        bound = ((request.obj or {}).get("spec") or {}).get("boundObjectRef") or {}
        if bound.get("kind") != "Pod":
            raise refuse(request, "node requested token not bound to a pod")
        pod = await self._lookup.find(PODS, request.namespace, bound.get("name", ""))
        if pod is None or pod["metadata"]["uid"] != bound.get("uid"):
            raise refuse(request, "node requested token bound to a pod that does not exist")
        if pod["spec"].get("nodeName") != node:
            raise refuse(request, "node requested token bound to a pod scheduled on a different node")
        wanted = ((request.obj or {}).get("spec") or {}).get("audiences") or [""]
        allowed = _token_audiences(pod)
        for one in wanted:
            if (
                one not in allowed
                and one not in await self._driver_audiences(pod)
                and not await self._is_granted(request, one)
            ):
                raise refuse(request, f'audience "{one}" not found in pod spec volume, requested by {node!r}')

    async def _driver_audiences(self, pod: JsonObject) -> set[str]:
        """Return the audiences for which CSI drivers of the pod's volumes want tokens."""
        namespace = pod["metadata"].get("namespace", "")
        drivers = set()
        for volume in pod["spec"].get("volumes") or ():
            drivers.add((volume.get("csi") or {}).get("driver"))
            claim_name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
            if volume.get("ephemeral") is not None:
                claim_name = f"{pod['metadata']['name']}-{volume['name']}"
            claim = (
                await self._lookup.find(PERSISTENT_VOLUME_CLAIMS, namespace, claim_name)
                if claim_name
                else None
            )
            name = ((claim or {}).get("spec") or {}).get("volumeName")
            bound = await self._lookup.find(PERSISTENT_VOLUMES, "", name) if name else None
            drivers.add((((bound or {}).get("spec") or {}).get("csi") or {}).get("driver"))
        found = set()
        for driver in drivers - {None}:
            live = await self._lookup.find(CSI_DRIVERS, "", str(driver))
            requests = ((live or {}).get("spec") or {}).get("tokenRequests") or ()
            found |= {one.get("audience") or "" for one in requests}
        return found

    async def _is_granted(self, request: AdmissionRequest, audience: str) -> bool:
        """RBAC may grant a node more audiences of an account."""
        decision = await self._authorizer.authorize(
            Attributes(
                user=request.user,
                verb="request-serviceaccounts-token-audience",
                namespace=request.namespace,
                resource=audience,
                name=request.name,
            )
        )
        return decision.allowed


def find_reference(spec: JsonObject) -> str:
    """Return what a pod refers to and a mirror pod must not, "" = nothing; a static pod could else read what its node may not."""
    if spec.get("serviceAccountName"):
        return "a service account"
    for volume in spec.get("volumes") or ():
        for field, word in _REFERRING_VOLUMES.items():
            if volume.get(field) is not None:
                return word
    if spec.get("resourceClaims"):
        return "resource claims"
    if spec.get("imagePullSecrets"):
        return "secrets"
    for container in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]:
        sources = [*(container.get("envFrom") or ())]
        sources += [one.get("valueFrom") or {} for one in container.get("env") or ()]
        for source in sources:
            for field, word in _REFERRING_SOURCES.items():
                if source.get(field) is not None:
                    return word
    return ""


_REFERRING_VOLUMES: Final = {
    "secret": "secrets",
    "configMap": "configmaps",
    "persistentVolumeClaim": "persistentvolumeclaims",
    "ephemeral": "persistentvolumeclaims",
    "projected": "projected volumes",
}
_REFERRING_SOURCES: Final = {
    "secretRef": "secrets",
    "configMapRef": "configmaps",
    "secretKeyRef": "secrets",
    "configMapKeyRef": "configmaps",
}
_CLAIM_FIELDS: Final = (
    "capacity",
    "conditions",
    "allocatedResources",
    "allocatedResourceStatuses",
    "currentVolumeAttributesClassName",
    "modifyVolumeStatus",
)


def _check_claim(request: AdmissionRequest, node: str) -> None:
    if request.operation != "UPDATE" or request.subresource != "status":
        raise refuse(request, f"node {node!r} may only update PVC status")
    if _claim_core(request.obj or {}) != _claim_core(request.old or {}):
        raise refuse(
            request, f"node {node!r} may not update fields other than status.capacity and status.conditions"
        )


def _claim_core(claim: JsonObject) -> JsonObject:
    """Return what a node may not change of a claim."""
    metadata = {k: v for k, v in claim["metadata"].items() if k not in ("managedFields", "resourceVersion")}
    status = {
        k: v for k, v in (claim.get("status") or {}).items() if k not in _CLAIM_FIELDS and v is not None
    }
    return {"metadata": metadata, "spec": claim.get("spec"), "status": status}


def _token_audiences(pod: JsonObject) -> set[str]:
    """Return the audiences of the pod's projected token volumes; "" stands for the API server's own."""
    return {
        source["serviceAccountToken"].get("audience", "")
        for volume in pod["spec"].get("volumes") or ()
        for source in (volume.get("projected") or {}).get("sources") or ()
        if "serviceAccountToken" in source
    }


def _check_bound(request: AdmissionRequest, node: str) -> None:
    pod = request.old or request.obj or {}
    if (pod.get("spec") or {}).get("nodeName") != node:
        raise refuse(request, f"node {node!r} can only change pods with spec.nodeName set to itself")


def _check_lease(request: AdmissionRequest, node: str) -> None:
    name = request.name or ((request.obj or {}).get("metadata") or {}).get("name")
    if request.namespace != _LEASES or name != node:
        raise refuse(
            request, f"can only access node lease with the same name as the requesting node ({node})"
        )


def _check_csi_node(request: AdmissionRequest, node: str) -> None:
    name = request.name or ((request.obj or {}).get("metadata") or {}).get("name")
    if name != node:
        raise refuse(request, f"can only access CSINode with the same name as the requesting node ({node})")


def _check_resource_slice(request: AdmissionRequest, node: str) -> None:
    """Created by the node, which is then fixed; a deletion says nothing of the object but what it was."""
    slice_ = request.obj if request.operation == "CREATE" else request.old
    own = (((slice_ or {}).get("spec")) or {}).get("nodeName")
    if own != node:
        raise refuse(
            request, f"can only {request.operation.lower()} ResourceSlices of the node itself ({node})"
        )


def _check_node(request: AdmissionRequest, node: str) -> None:
    new, old = request.obj or {}, request.old or {}
    name = request.name or (new.get("metadata") or {}).get("name")
    if name != node:
        raise refuse(request, f"node {node!r} is not allowed to modify node {name!r}")
    if request.operation == "CREATE":
        changed = _find_refused(new, {})
        if changed:
            raise refuse(request, f"is not allowed to set the following labels: {', '.join(changed)}")
    if request.operation == "UPDATE":
        if (new.get("spec") or {}).get("taints") != (old.get("spec") or {}).get("taints"):
            raise refuse(request, f"node {node!r} is not allowed to modify taints")
        if new["metadata"].get("ownerReferences") != old["metadata"].get("ownerReferences"):
            raise refuse(request, f"node {node!r} is not allowed to modify ownerReferences")
        changed = _find_refused(new, old)
        if changed:
            raise refuse(request, f"is not allowed to modify labels: {', '.join(changed)}")


def _find_refused(new: JsonObject, old: JsonObject) -> list[str]:
    """Return the labels that differ and that a kubelet may not write."""
    after = (new.get("metadata") or {}).get("labels") or {}
    before = (old.get("metadata") or {}).get("labels") or {}
    differing = {key for key in {*after, *before} if after.get(key) != before.get(key)}
    return sorted(key for key in differing if not _may_write(key))


def _may_write(label: str) -> bool:
    domain, slash, _ = label.rpartition("/")
    if not slash:
        return True
    if label in _ALLOWED:
        return True
    if any(domain == one or domain.endswith(f".{one}") for one in _ALLOWED_DOMAINS):
        return True
    return not any(domain == one or domain.endswith(f".{one}") for one in ("kubernetes.io", "k8s.io"))
