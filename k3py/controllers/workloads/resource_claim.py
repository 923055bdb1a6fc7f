"""Makes the claims of devices that pods describe by template, and takes claims back from pods that need them no longer.

Source: kubernetes/pkg/controller/resourceclaim v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.object import deep_copy, key_of, split_key
from k3py.api.resource import PODS, RESOURCE_CLAIM_TEMPLATES, RESOURCE_CLAIMS
from k3py.api.status import ApiError
from k3py.client.interface import PatchType
from k3py.controllers.interface import Watch
from k3py.controllers.ownership import find_controller
from k3py.controllers.pod import is_finished

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject

CLAIM_NAME: Final = "resource.kubernetes.io/pod-claim-name"
FINALIZER: Final = "resource.kubernetes.io/delete-protection"
_POD, _CLAIM = "pod:", "claim:"


def make_claim(pod: JsonObject, name: str, template: JsonObject) -> JsonObject:
    """Return the claim that a pod's entry `name` describes by `template`; it goes with the pod."""
    spec, owner = deep_copy(template["spec"]), pod["metadata"]
    metadata = spec.get("metadata") or {}
    made: JsonObject = {
        "generateName": f"{owner['name']}-{name}-",
        "namespace": owner["namespace"],
        "annotations": {**(metadata.get("annotations") or {}), CLAIM_NAME: name},
        "ownerReferences": [
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": owner["name"],
                "uid": owner["uid"],
                "controller": True,
            }
        ],
    }
    if metadata.get("labels"):
        made["labels"] = metadata["labels"]
    return {
        "kind": "ResourceClaim",
        "apiVersion": RESOURCE_CLAIMS.api_version,
        "metadata": made,
        "spec": spec["spec"],
    }


def templates_of(pod: JsonObject) -> Iterator[tuple[str, str]]:
    """Yield (entry, name of its template) of the claims that are made for a pod."""
    for one in pod["spec"].get("resourceClaims") or ():
        if one.get("resourceClaimTemplateName"):
            yield one["name"], one["resourceClaimTemplateName"]


def made_for(pod: JsonObject) -> dict[str, str]:
    """Return entry → name of the claim that was made, as the pod's status has it ("" = none was needed)."""
    statuses = (pod.get("status") or {}).get("resourceClaimStatuses") or ()
    return {one["name"]: one.get("resourceClaimName") or "" for one in statuses}


class ResourceClaimController:
    """See the module."""

    name = "resource-claim-controller"
    workers = 5

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._recorder = context.recorder
        pods = context.informers.informer(PODS)
        claims = context.informers.informer(RESOURCE_CLAIMS)
        templates = context.informers.informer(RESOURCE_CLAIM_TEMPLATES)
        self._pods, self._claims, self._templates = pods.lister, claims.lister, templates.lister
        self.watches = (
            Watch(pods, self._keys_of_pod),
            Watch(claims, self._keys_of_claim),
            Watch(templates, self._keys_of_template),
        )

    def _keys_of_pod(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        pod = new or old
        if pod is None or not pod["spec"].get("resourceClaims"):
            return
        if new is not None and "deletionTimestamp" not in new["metadata"]:
            yield _POD + key_of(new)
        if new is None or is_finished(new):
            names = set(made_for(pod).values())
            names |= {one.get("resourceClaimName") or "" for one in pod["spec"]["resourceClaims"]}
            yield from (f"{_CLAIM}{pod['metadata']['namespace']}/{name}" for name in names if name)

    def _keys_of_claim(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        claim = new or old
        if claim is None:
            return
        if new is not None:
            yield _CLAIM + key_of(new)
        reference = find_controller(claim)
        if reference is not None and reference["kind"] == "Pod":
            yield f"{_POD}{claim['metadata']['namespace']}/{reference['name']}"

    def _keys_of_template(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        """Pods may have waited for a template that is there now."""
        if new is None or old is not None:
            return
        namespace, name = new["metadata"]["namespace"], new["metadata"]["name"]
        for pod in self._pods.list(namespace):
            if any(template == name for _, template in templates_of(pod)):
                yield _POD + key_of(pod)

    async def reconcile(self, key: str) -> float | None:
        """Make the missing claims of a pod, or look whether a claim is still in use."""
        if key.startswith(_POD):
            await self._sync_pod(*split_key(key.removeprefix(_POD)))
        else:
            await self._sync_claim(*split_key(key.removeprefix(_CLAIM)))
        return None

    async def _sync_pod(self, namespace: str, name: str) -> None:
        pod = self._pods.find(namespace, name)
        if pod is None or "deletionTimestamp" in pod["metadata"] or is_finished(pod):
            return
        known = made_for(pod)
        made = {entry: claim for entry, claim in known.items() if claim}
        for entry, template in templates_of(pod):
            claim = known.get(entry)
            if claim is None or (claim and self._claims.find(namespace, claim) is None):
                made[entry] = await self._ensure(pod, entry, template)
        if any(known.get(entry) != claim for entry, claim in made.items()):
            await self._write_status(pod, made)

    async def _ensure(self, pod: JsonObject, entry: str, template_name: str) -> str:
        """Return the name of an entry's claim, which is made when it is not there. Raises ApiError."""
        namespace, uid = pod["metadata"]["namespace"], pod["metadata"]["uid"]
        for claim in self._claims.list(namespace):
            reference = find_controller(claim)
            annotations = claim["metadata"].get("annotations") or {}
            if reference is not None and reference["uid"] == uid and annotations.get(CLAIM_NAME) == entry:
                return str(claim["metadata"]["name"])
        try:
            wanted = make_claim(pod, entry, self._find_template(namespace, template_name))
            claim = await self._client.create(RESOURCE_CLAIMS, wanted, namespace=namespace)
        except ApiError as error:
            message = f"PodResourceClaim {entry}: {error.message}"
            self._recorder.event(pod, "Warning", "FailedResourceClaimCreation", message)
            raise
        return str(claim["metadata"]["name"])

    def _find_template(self, namespace: str, name: str) -> JsonObject:
        template = self._templates.find(namespace, name)
        if template is None:
            text = f'resourceclaimtemplate.resource.k8s.io "{name}" not found'
            raise ApiError(404, "NotFound", text)
        return template

    async def _write_status(self, pod: JsonObject, made: dict[str, str]) -> None:
        metadata = pod["metadata"]
        statuses = [{"name": entry, "resourceClaimName": claim} for entry, claim in sorted(made.items())]
        document: JsonObject = {
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "uid": metadata["uid"],
            },
            "status": {"resourceClaimStatuses": statuses},
        }
        await self._client.patch(
            PODS,
            metadata["name"],
            document,
            patch_type=PatchType.APPLY,
            namespace=metadata["namespace"],
            subresource="status",
            field_manager=f"ResourceClaimController-{metadata['uid']}",
            force=True,
        )

    async def _sync_claim(self, namespace: str, name: str) -> None:
        claim = self._claims.find(namespace, name)
        if claim is None:
            return
        status = claim.get("status") or {}
        consumers = status.get("reservedFor") or []
        kept = [one for one in consumers if not await self._is_over(namespace, one)]
        if len(kept) != len(consumers):
            claim = await self._write_claim(claim, kept)
        if kept:
            return
        reference = find_controller(claim)
        if reference is None or reference["kind"] != "Pod":
            return
        if await self._needs_none(namespace, reference["name"], reference["uid"]):
            await self._delete(claim)

    async def _is_over(self, namespace: str, consumer: JsonObject) -> bool:
        """Say whether who has reserved a claim needs it no longer; of others than pods nothing is known."""
        if consumer.get("apiGroup") or consumer.get("resource") != "pods":
            return False
        return await self._needs_none(namespace, consumer["name"], consumer["uid"])

    async def _needs_none(self, namespace: str, name: str, uid: str) -> bool:
        pod = self._pods.find(namespace, name)
        if pod is None or pod["metadata"]["uid"] != uid:  # we may not have heard of a new one yet
            try:
                pod = await self._client.get(PODS, name, namespace=namespace)
            except ApiError as error:
                if error.code != 404:
                    raise
                return True
        return pod["metadata"]["uid"] != uid or is_finished(pod)

    async def _write_claim(self, claim: JsonObject, kept: list[JsonObject]) -> JsonObject:
        """Write who has it, and give it back with the last one. Raises ApiError."""
        status = {key: value for key, value in claim["status"].items() if key != "reservedFor"}
        if kept:
            status["reservedFor"] = kept
        else:
            status.pop("allocation", None)
            status.pop("devices", None)
        written = await self._client.update(
            RESOURCE_CLAIMS, {**claim, "status": status}, subresource="status"
        )
        finalizers = list(written["metadata"].get("finalizers") or ())
        if kept or FINALIZER not in finalizers:
            return written
        finalizers.remove(FINALIZER)
        metadata = {**written["metadata"], "finalizers": finalizers}
        return await self._client.update(RESOURCE_CLAIMS, {**written, "metadata": metadata})

    async def _delete(self, claim: JsonObject) -> None:
        metadata = claim["metadata"]
        if "deletionTimestamp" in metadata:
            return
        try:
            await self._client.delete(RESOURCE_CLAIMS, metadata["name"], namespace=metadata["namespace"])
        except ApiError as error:
            if error.code != 404:
                raise


def build(context: ControllerContext) -> ResourceClaimController:
    """Make the controller."""
    return ResourceClaimController(context)
