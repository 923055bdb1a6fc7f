"""Keeps pods with names, in order, with claims of their own.

Source: kubernetes/pkg/controller/statefulset v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.object import key_of, split_key
from k3py.api.resource import CONTROLLER_REVISIONS, PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS
from k3py.api.selectors import selector_from_object
from k3py.api.status import ApiError
from k3py.controllers.interface import Watch
from k3py.controllers.ownership import (
    CONTROLLER_INDEX,
    ORPHAN_INDEX,
    claim,
    find_controller,
    index_by_controller,
    index_orphans,
)
from k3py.controllers.workloads.revisions import ensure_revision, hash_revision, plan_trim
from k3py.controllers.workloads.stateful_set.claims import ClaimControl
from k3py.controllers.workloads.stateful_set.identity import (
    has_identity,
    is_member,
    make_set_pod,
    revision_of,
    with_identity,
)
from k3py.controllers.workloads.stateful_set.plan import Verb, View, plan_status, plan_steps
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from k3py.controllers.interface import ControllerContext
    from k3py.controllers.workloads.stateful_set.plan import Step
    from k3py.jsontypes import JsonObject

HASH_LABEL = "controller.kubernetes.io/hash"


class StatefulSetController:
    """See the module."""

    name = "statefulset-controller"
    workers = 5

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._recorder = context.recorder
        sets = context.informers.informer(STATEFUL_SETS)
        revisions = context.informers.informer(CONTROLLER_REVISIONS)
        pods = context.informers.informer(PODS)
        claims = context.informers.informer(PERSISTENT_VOLUME_CLAIMS)
        for informer in (revisions, pods):
            informer.add_index(CONTROLLER_INDEX, index_by_controller)
            informer.add_index(ORPHAN_INDEX, index_orphans)
        self._sets, self._revisions, self._pods = sets.lister, revisions.lister, pods.lister
        self._claims = ClaimControl(context.client, claims.lister, context.recorder)
        self.watches = (
            Watch(sets, self._keys_of_set),
            Watch(revisions, self._keys_of_owned),
            Watch(pods, self._keys_of_owned),
            Watch(claims, self._keys_of_claim),
        )

    def _keys_of_set(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        obj = new or old
        return (key_of(obj),) if obj is not None else ()

    def _keys_of_owned(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        keys = set()
        for one in (old, new):
            if one is None:
                continue
            reference = find_controller(one)
            namespace = one["metadata"]["namespace"]
            if reference is not None:
                if reference["kind"] == "StatefulSet":
                    keys.add(f"{namespace}/{reference['name']}")
            elif one is new:
                labels = one["metadata"].get("labels") or {}
                keys.update(
                    key_of(stateful_set)
                    for stateful_set in self._sets.list(namespace)
                    if labels and selector_from_object(stateful_set["spec"].get("selector")).matches(labels)
                )
        return keys

    def _keys_of_claim(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        """A claim that is gone can be made again, and a pod that waited for that too."""
        if new is not None or old is None:
            return ()
        name = old["metadata"]["name"]
        return [
            key_of(one)
            for one in self._sets.list(old["metadata"]["namespace"])
            if one["spec"].get("volumeClaimTemplates") and f"-{one['metadata']['name']}-" in name
        ]

    async def reconcile(self, key: str) -> float | None:
        """Take the next steps of one set, then tell its status."""
        namespace, name = split_key(key)
        stateful_set = self._sets.find(namespace, name)
        if stateful_set is None:
            return None
        revisions = await self._claim(stateful_set, revisions=True)
        update, collisions = await ensure_revision(
            self._client,
            owner=stateful_set,
            resource=STATEFUL_SETS,
            revisions=revisions,
            hash_label=HASH_LABEL,
            hash_of=hash_revision,
            collisions=(stateful_set.get("status") or {}).get("collisionCount", 0),
        )
        wanted = (stateful_set.get("status") or {}).get("currentRevision")
        current = next((one for one in revisions if one["metadata"]["name"] == wanted), update)
        view = View(
            stateful_set=stateful_set,
            pods=await self._claim(stateful_set, revisions=False),
            current=current["metadata"]["name"],
            update=update["metadata"]["name"],
            now=clock.now(),
        )
        failure: ApiError | None = None
        try:
            for step in plan_steps(view):
                if not await self._take(stateful_set, step, update if step.updated else current):
                    break
        except ApiError as error:
            failure = error
        status, wait_s = plan_status(view, collisions)
        if status != (stateful_set.get("status") or {}):
            await self._client.update(STATEFUL_SETS, {**stateful_set, "status": status}, subresource="status")
        if failure is not None:
            raise failure
        await self._trim(stateful_set, revisions, view)
        return wait_s

    async def _claim(self, stateful_set: JsonObject, *, revisions: bool) -> list[JsonObject]:
        lister = self._revisions if revisions else self._pods
        metadata = stateful_set["metadata"]
        orphans: Iterable[JsonObject] = lister.by_index(ORPHAN_INDEX, metadata["namespace"])
        if not revisions:
            orphans = [one for one in orphans if is_member(stateful_set, one)]
        return await claim(
            self._client,
            owner=stateful_set,
            owner_resource=STATEFUL_SETS,
            resource=CONTROLLER_REVISIONS if revisions else PODS,
            selector=selector_from_object(stateful_set["spec"]["selector"]),
            candidates=[*lister.by_index(CONTROLLER_INDEX, metadata["uid"]), *orphans],
        )

    async def _take(self, stateful_set: JsonObject, step: Step, revision: JsonObject) -> bool:
        """Take one step; returns False when the round ends here."""
        if step.verb is Verb.CREATE:
            return await self._create(stateful_set, step.ordinal, revision)
        pod = step.pod
        if pod is None:
            return True
        if step.verb is Verb.DELETE:
            await self._delete(stateful_set, pod)
        elif step.verb is Verb.CLAIMS:
            if (pod.get("status") or {}).get("phase", "Pending") == "Pending":
                await self._claims.ensure(stateful_set, pod)
            await self._claims.settle_owners(stateful_set, pod)
        else:
            await self._keep(stateful_set, pod)
        return True

    async def _create(self, stateful_set: JsonObject, ordinal: int, revision: JsonObject) -> bool:
        if self._claims.has_stale(stateful_set, ordinal):
            return False
        pod = make_set_pod(stateful_set, revision, ordinal)
        await self._claims.ensure(stateful_set, pod)
        await self._claims.settle_owners(stateful_set, pod)
        try:
            await self._client.create(PODS, pod, namespace=stateful_set["metadata"]["namespace"])
        except ApiError as error:
            if error.has_cause("NamespaceTerminating"):
                return False  # everything in the namespace goes, this set too
            if error.reason != "AlreadyExists":
                self._tell(stateful_set, "create", pod, error)
            raise
        self._tell(stateful_set, "create", pod)
        return True

    async def _delete(self, stateful_set: JsonObject, pod: JsonObject) -> None:
        metadata = pod["metadata"]
        try:
            await self._client.delete(
                PODS, metadata["name"], namespace=metadata["namespace"], uid=metadata["uid"]
            )
        except ApiError as error:
            if error.code == 404:
                return
            self._tell(stateful_set, "delete", pod, error)
            raise
        self._tell(stateful_set, "delete", pod)

    async def _keep(self, stateful_set: JsonObject, pod: JsonObject) -> None:
        await self._claims.settle_owners(stateful_set, pod)
        if has_identity(stateful_set, pod):
            return
        await self._claims.ensure(stateful_set, pod)
        try:
            await self._client.update(PODS, with_identity(stateful_set, pod))
        except ApiError as error:
            if error.code != 409:
                self._tell(stateful_set, "update", pod, error)
            raise
        self._tell(stateful_set, "update", pod)

    def _tell(
        self, stateful_set: JsonObject, verb: str, pod: JsonObject, error: ApiError | None = None
    ) -> None:
        what = f"{verb} Pod {pod['metadata']['name']} in StatefulSet {stateful_set['metadata']['name']}"
        if error is None:
            self._recorder.event(stateful_set, "Normal", f"Successful{verb.title()}", f"{what} successful")
        else:
            self._recorder.event(
                stateful_set, "Warning", f"Failed{verb.title()}", f"{what} failed error: {error.message}"
            )

    async def _trim(self, stateful_set: JsonObject, revisions: Sequence[JsonObject], view: View) -> None:
        live = {view.current, view.update, *(revision_of(pod) for pod in view.pods)}
        limit = stateful_set["spec"].get("revisionHistoryLimit", 10)
        for one in plan_trim(revisions, live, limit, by_hash=False):
            metadata = one["metadata"]
            await self._client.delete(CONTROLLER_REVISIONS, metadata["name"], namespace=metadata["namespace"])


def build(context: ControllerContext) -> StatefulSetController:
    """Make the controller."""
    return StatefulSetController(context)
