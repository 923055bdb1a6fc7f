"""Claims of a StatefulSet's pods: made with them, owned as the retention policy says.

Source: stateful_pod_control.go and stateful_set_utils.go in kubernetes/pkg/controller/statefulset v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.resource import PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS
from k3py.api.status import ApiError
from k3py.controllers.ownership import make_controller_reference
from k3py.controllers.workloads.stateful_set.identity import in_range, make_claims, ordinal_of

if TYPE_CHECKING:
    from k3py.client.interface import Client, Lister
    from k3py.controllers.interface import Recorder
    from k3py.jsontypes import JsonObject


def plan_owners(stateful_set: JsonObject, pod: JsonObject, claim: JsonObject) -> list[JsonObject] | None:
    """Return the owner references that the claim shall have, or None when they are right already.

    The set owns claims that go with it, a pod that is scaled away owns claims that go with it; only when the policy says "Delete".
    """
    policy = stateful_set["spec"].get("persistentVolumeClaimRetentionPolicy") or {}
    scaled_away = not in_range(stateful_set, ordinal_of(pod))
    by_pod = policy.get("whenScaled", "Retain") == "Delete" and scaled_away
    by_set = policy.get("whenDeleted", "Retain") == "Delete" and not by_pod
    old = claim["metadata"].get("ownerReferences") or []
    ours = {stateful_set["metadata"]["uid"], pod["metadata"].get("uid", "")}
    wanted = [one for one in old if one["uid"] not in ours]
    if by_set:
        wanted.append(make_controller_reference(stateful_set, STATEFUL_SETS))
    if by_pod and pod["metadata"].get("uid"):
        wanted.append(make_controller_reference(pod, PODS))
    return None if wanted == old else wanted


def has_other_controller(stateful_set: JsonObject, pod: JsonObject, claim: JsonObject) -> bool:
    """Say whether somebody else manages the claim."""
    ours = {stateful_set["metadata"]["uid"], pod["metadata"].get("uid", "")}
    name = pod["metadata"]["name"]
    return any(
        one.get("controller")
        and one["uid"] not in ours
        and not (one["kind"] == "Pod" and one["name"] == name)
        for one in claim["metadata"].get("ownerReferences") or ()
    )


def is_stale(claim: JsonObject, pod_name: str) -> bool:
    """Say whether the claim still belongs to an earlier pod of that name and will go with it."""
    return any(
        one["kind"] == "Pod" and one["name"] == pod_name
        for one in claim["metadata"].get("ownerReferences") or ()
    )


class ClaimControl:
    """Creates claims and keeps their owners as they should be."""

    def __init__(self, client: Client, lister: Lister, recorder: Recorder) -> None:
        self._client = client
        self._lister = lister
        self._recorder = recorder

    def has_stale(self, stateful_set: JsonObject, ordinal: int) -> bool:
        """Say whether the new pod of an ordinal has to wait for claims of the old one to go."""
        namespace = stateful_set["metadata"]["namespace"]
        name = f"{stateful_set['metadata']['name']}-{ordinal}"
        for wanted in make_claims(stateful_set, ordinal):
            claim = self._lister.find(namespace, wanted["metadata"]["name"])
            if claim is not None and is_stale(claim, name):
                return True
        return False

    async def ensure(self, stateful_set: JsonObject, pod: JsonObject) -> None:
        """Create what is missing.

        Raises:
            ApiError: as the API answers; 409 while a claim is being deleted.
        """
        namespace = stateful_set["metadata"]["namespace"]
        for wanted in make_claims(stateful_set, ordinal_of(pod)):
            name = wanted["metadata"]["name"]
            claim = self._lister.find(namespace, name)
            if claim is not None:
                if "deletionTimestamp" in claim["metadata"]:
                    raise ApiError(409, "Conflict", f"pvc {name} is being deleted")
                continue
            who = f"Claim {name}%s Pod {pod['metadata']['name']} in StatefulSet {stateful_set['metadata']['name']}"
            try:
                await self._client.create(PERSISTENT_VOLUME_CLAIMS, wanted, namespace=namespace)
            except ApiError as error:
                if error.reason == "AlreadyExists":
                    continue
                message = f"create {who % ' for'} failed error: {error.message}"
                self._recorder.event(stateful_set, "Warning", "FailedCreate", message)
                raise
            self._recorder.event(stateful_set, "Normal", "SuccessfulCreate", f"create {who % ''} success")

    async def settle_owners(self, stateful_set: JsonObject, pod: JsonObject) -> None:
        """Write owner references where the retention policy asks for others.

        Raises:
            ApiError: as the API answers.
        """
        namespace = stateful_set["metadata"]["namespace"]
        for wanted in make_claims(stateful_set, ordinal_of(pod)):
            claim = self._lister.find(namespace, wanted["metadata"]["name"])
            if claim is None:
                continue
            owners = plan_owners(stateful_set, pod, claim)
            if owners is None:
                continue
            if has_other_controller(stateful_set, pod, claim):
                message = (
                    f"PersistentVolumeClaim {claim['metadata']['name']} has a conflicting OwnerReference that acts as a "
                    "managing controller, the retention policy is ignored for this claim"
                )
                self._recorder.event(stateful_set, "Warning", "ConflictingController", message)
                continue
            metadata = {**claim["metadata"], "ownerReferences": owners}
            await self._client.update(PERSISTENT_VOLUME_CLAIMS, {**claim, "metadata": metadata})
