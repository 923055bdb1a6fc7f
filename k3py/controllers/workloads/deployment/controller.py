"""Rolls a Deployment's template out over ReplicaSets.

Source: kubernetes/pkg/controller/deployment v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.object import deep_copy, key_of, split_key
from k3py.api.resource import DEPLOYMENTS, PODS, REPLICA_SETS
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
    make_controller_reference,
)
from k3py.controllers.pod import find_condition, is_finished
from k3py.controllers.workloads.deployment import revision as rev
from k3py.controllers.workloads.deployment import rolling
from k3py.controllers.workloads.deployment.status import is_complete, plan_status, set_progressing
from k3py.controllers.workloads.revisions import hash_document
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject


class DeploymentController:
    """See the module."""

    name = "deployment-controller"
    workers = 5

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._recorder = context.recorder
        deployments = context.informers.informer(DEPLOYMENTS)
        sets = context.informers.informer(REPLICA_SETS)
        pods = context.informers.informer(PODS)
        sets.add_index(CONTROLLER_INDEX, index_by_controller)
        sets.add_index(ORPHAN_INDEX, index_orphans)
        pods.add_index(CONTROLLER_INDEX, index_by_controller)
        self._deployments, self._sets, self._pods = deployments.lister, sets.lister, pods.lister
        self.watches = (
            Watch(deployments, self._keys_of_deployment),
            Watch(sets, self._keys_of_set),
            Watch(pods, self._keys_of_pod),
        )

    def _keys_of_deployment(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        obj = new or old
        return (key_of(obj),) if obj is not None else ()

    def _keys_of_set(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        keys = set()
        for one in (old, new):
            if one is None:
                continue
            namespace = one["metadata"]["namespace"]
            reference = find_controller(one)
            if reference is not None and reference["kind"] == "Deployment":
                keys.add(f"{namespace}/{reference['name']}")
            elif reference is None and one is new:
                labels = one["metadata"].get("labels") or {}
                keys.update(
                    key_of(deployment)
                    for deployment in self._deployments.list(namespace)
                    if selector_from_object(deployment["spec"].get("selector")).matches(labels)
                )
        return keys

    def _keys_of_pod(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        """Only a deletion matters: Recreate waits for the last old pod."""
        if new is not None or old is None:
            return ()
        reference = find_controller(old)
        if reference is None or reference["kind"] != "ReplicaSet":
            return ()
        replica_set = self._sets.find(old["metadata"]["namespace"], reference["name"])
        return self._keys_of_set(None, replica_set) if replica_set is not None else ()

    async def reconcile(self, key: str) -> float | None:
        """Take the next step of the rollout, or of a change of scale, and tell the status."""
        namespace, name = split_key(key)
        deployment = self._deployments.find(namespace, name)
        if deployment is None:
            return None
        if deployment["spec"].get("selector") == {}:
            self._recorder.event(
                deployment,
                "Warning",
                "SelectingAll",
                "This deployment is selecting all pods. A non-empty selector is required.",
            )
            return None
        sets = await claim(
            self._client,
            owner=deployment,
            owner_resource=DEPLOYMENTS,
            resource=REPLICA_SETS,
            selector=selector_from_object(deployment["spec"]["selector"]),
            candidates=[
                *self._sets.by_index(CONTROLLER_INDEX, deployment["metadata"]["uid"]),
                *self._sets.by_index(ORPHAN_INDEX, namespace),
            ],
        )
        sets.sort(key=lambda one: str(one["metadata"]["creationTimestamp"]))
        if "deletionTimestamp" in deployment["metadata"]:
            return await self._tell_status(deployment, sets, rev.find_new(deployment, sets))
        deployment = await self._note_pause(deployment)
        if deployment["spec"].get("paused") or self._was_scaled(deployment, sets):
            return await self._scale_only(deployment, sets)
        if (deployment["spec"].get("strategy") or {}).get("type") == "Recreate":
            return await self._recreate(deployment, sets)
        return await self._roll(deployment, sets)

    async def _note_pause(self, deployment: JsonObject) -> JsonObject:
        condition = find_condition(deployment, "Progressing")
        if condition is not None and condition["reason"] == "ProgressDeadlineExceeded":
            return deployment
        marked = condition is not None and condition["reason"] == "DeploymentPaused"
        paused = bool(deployment["spec"].get("paused"))
        if paused == marked:
            return deployment
        reason, message = (
            ("DeploymentPaused", "Deployment is paused")
            if paused
            else ("DeploymentResumed", "Deployment is resumed")
        )
        status = set_progressing(
            deployment.get("status") or {}, value="Unknown", reason=reason, message=message, now=clock.now()
        )
        return await self._client.update(DEPLOYMENTS, {**deployment, "status": status}, subresource="status")

    @staticmethod
    def _was_scaled(deployment: JsonObject, sets: Sequence[JsonObject]) -> bool:
        wanted = str(deployment["spec"].get("replicas", 1))
        for one in sets:
            desired = (one["metadata"].get("annotations") or {}).get(rev.DESIRED)
            if rolling.size_of(one) > 0 and desired is not None and desired != wanted:
                return True
        return False

    async def _scale_only(self, deployment: JsonObject, sets: list[JsonObject]) -> float | None:
        """Follow a change of spec.replicas without moving the rollout on."""
        new = rev.find_new(deployment, sets)
        if new is not None:
            deployment, new = await self._ensure_new(deployment, sets, create=False)
        active = [one for one in sets if rolling.size_of(one) > 0]
        wanted = deployment["spec"].get("replicas", 1)
        if len(active) <= 1:
            target = active[0] if active else (new or (sets[-1] if sets else None))
            changes = [(target, wanted)] if target is not None and rolling.size_of(target) != wanted else []
        elif (
            new is not None
            and (new.get("status") or {}).get("availableReplicas", 0) >= wanted
            and rolling.size_of(new) == wanted
        ):
            changes = [(one, 0) for one in active if one["metadata"]["uid"] != new["metadata"]["uid"]]
        elif (deployment["spec"].get("strategy") or {}).get("type") != "Recreate":
            changes = rolling.plan_proportional(deployment, sets)
        else:
            changes = []
        await self._resize_all(deployment, sets, changes, annotate=True)
        sets = self._fresh(sets)
        return await self._tell_status(deployment, sets, rev.find_new(deployment, sets))

    def _fresh(self, sets: Sequence[JsonObject]) -> list[JsonObject]:
        found = (self._sets.find(one["metadata"]["namespace"], one["metadata"]["name"]) for one in sets)
        return [one for one in found if one is not None]

    async def _roll(self, deployment: JsonObject, sets: list[JsonObject]) -> float | None:
        deployment, new = await self._ensure_new(deployment, sets, create=True)
        old = [one for one in sets if new is None or one["metadata"]["uid"] != new["metadata"]["uid"]]
        if new is None:
            return await self._tell_status(deployment, sets, None)
        size = rolling.plan_new_size(deployment, new, [new, *old])
        if size != rolling.size_of(new):
            await self._resize_all(deployment, [new, *old], [(new, size)])
            return await self._tell_status(deployment, [new, *old], new)
        changes = rolling.plan_old_sizes(deployment, new, [one for one in old if rolling.size_of(one) > 0])
        if changes:
            await self._resize_all(deployment, [new, *old], changes)
            return await self._tell_status(deployment, [new, *old], new)
        if is_complete(deployment, deployment.get("status") or {}):
            await self._trim_history(deployment, old)
        return await self._tell_status(deployment, [new, *old], new)

    async def _recreate(self, deployment: JsonObject, sets: list[JsonObject]) -> float | None:
        new = rev.find_new(deployment, sets)
        old = [one for one in sets if new is None or one["metadata"]["uid"] != new["metadata"]["uid"]]
        shrinking = [(one, 0) for one in old if rolling.size_of(one) > 0]
        if shrinking:
            await self._resize_all(deployment, sets, shrinking)
            return await self._tell_status(deployment, sets, new)
        if any(self._has_pods(one) for one in old):
            return await self._tell_status(deployment, sets, new)
        deployment, new = await self._ensure_new(deployment, sets, create=True)
        if new is None:
            return await self._tell_status(deployment, sets, None)
        wanted = deployment["spec"].get("replicas", 1)
        if rolling.size_of(new) != wanted:
            await self._resize_all(deployment, [new, *old], [(new, wanted)])
        if is_complete(deployment, deployment.get("status") or {}):
            await self._trim_history(deployment, old)
        return await self._tell_status(deployment, [new, *old], new)

    def _has_pods(self, replica_set: JsonObject) -> bool:
        pods = self._pods.by_index(CONTROLLER_INDEX, replica_set["metadata"]["uid"])
        return any(not is_finished(pod) for pod in pods)

    async def _ensure_new(
        self, deployment: JsonObject, sets: list[JsonObject], *, create: bool
    ) -> tuple[JsonObject, JsonObject | None]:
        """Find or make the ReplicaSet of the present template, with annotations as they should be; also the revision."""
        new = rev.find_new(deployment, sets)
        others = [one for one in sets if new is None or one["metadata"]["uid"] != new["metadata"]["uid"]]
        revision = max((rev.revision_of(one) for one in others), default=0) + 1
        surge, _ = rolling.resolve_bounds(deployment)
        maximum = deployment["spec"].get("replicas", 1) + surge
        annotations = rev.plan_set_annotations(deployment, new, revision, maximum)
        if new is not None:
            minimum_s = deployment["spec"].get("minReadySeconds", 0)
            if (new["metadata"].get("annotations") or {}) != annotations or new["spec"].get(
                "minReadySeconds", 0
            ) != minimum_s:
                changed = deep_copy(new)
                changed["metadata"]["annotations"] = annotations
                changed["spec"]["minReadySeconds"] = minimum_s
                new = await self._client.update(REPLICA_SETS, changed)
                sets[:] = [new if one["metadata"]["uid"] == new["metadata"]["uid"] else one for one in sets]
        elif create:
            new, deployment = await self._create_new(deployment, sets, annotations)
        if new is not None:
            deployment = await self._note_revision(deployment, new)
        return deployment, new

    async def _create_new(
        self, deployment: JsonObject, sets: list[JsonObject], annotations: dict[str, str]
    ) -> tuple[JsonObject | None, JsonObject]:
        collisions = (deployment.get("status") or {}).get("collisionCount", 0)
        wanted = self._describe_new(deployment, annotations, collisions)
        wanted["spec"]["replicas"] = rolling.plan_new_size(deployment, None, sets)
        namespace = deployment["metadata"]["namespace"]
        try:
            made = await self._client.create(REPLICA_SETS, wanted, namespace=namespace)
        except ApiError as error:
            if error.reason == "AlreadyExists":
                live = await self._client.get(REPLICA_SETS, wanted["metadata"]["name"], namespace=namespace)
                reference = find_controller(live)
                ours = reference is not None and reference["uid"] == deployment["metadata"]["uid"]
                if ours and rev.is_new(deployment, live):
                    return live, deployment
                status = {**(deployment.get("status") or {}), "collisionCount": collisions + 1}
                await self._client.update(DEPLOYMENTS, {**deployment, "status": status}, subresource="status")
                raise
            self._recorder.event(
                deployment,
                "Warning",
                "ReplicaSetCreateError",
                f'Failed to create new replica set "{wanted["metadata"]["name"]}": {error.message}',
            )
            status, _ = plan_status(deployment, sets, None, now=clock.now(), failure=error.message)
            await self._client.update(DEPLOYMENTS, {**deployment, "status": status}, subresource="status")
            raise
        self._tell_scaled(deployment, made, 0, rolling.size_of(made))
        sets.append(made)
        status = set_progressing(
            deployment.get("status") or {},
            value="True",
            reason="NewReplicaSetCreated",
            message=f'Created new replica set "{made["metadata"]["name"]}"',
            now=clock.now(),
        )
        return made, {**deployment, "status": status}

    @staticmethod
    def _describe_new(deployment: JsonObject, annotations: dict[str, str], collisions: int) -> JsonObject:
        template = deep_copy(deployment["spec"]["template"])
        digest = hash_document(template, collisions)
        labels = {**((template.get("metadata") or {}).get("labels") or {}), rev.HASH_LABEL: digest}
        template.setdefault("metadata", {})["labels"] = labels
        selector = deep_copy(deployment["spec"]["selector"])
        selector["matchLabels"] = {**(selector.get("matchLabels") or {}), rev.HASH_LABEL: digest}
        metadata = deployment["metadata"]
        return {
            "kind": "ReplicaSet",
            "apiVersion": "apps/v1",
            "metadata": {
                "name": f"{metadata['name']}-{digest}",
                "namespace": metadata["namespace"],
                "labels": dict(labels),
                "annotations": annotations,
                "ownerReferences": [make_controller_reference(deployment, DEPLOYMENTS)],
            },
            "spec": {
                "minReadySeconds": deployment["spec"].get("minReadySeconds", 0),
                "selector": selector,
                "template": template,
            },
        }

    async def _note_revision(self, deployment: JsonObject, new: JsonObject) -> JsonObject:
        revision = (new["metadata"].get("annotations") or {}).get(rev.REVISION, "")
        old = deployment["metadata"].get("annotations") or {}
        if not revision or old.get(rev.REVISION) == revision:
            return deployment
        metadata = {**deployment["metadata"], "annotations": {**old, rev.REVISION: revision}}
        # As a status: an annotation of the main resource would raise the generation.
        written = {**deployment, "metadata": metadata}
        updated = await self._client.update(DEPLOYMENTS, written, subresource="status")
        return {**updated, "status": deployment.get("status") or {}}

    async def _resize_all(
        self,
        deployment: JsonObject,
        sets: Sequence[JsonObject],
        changes: Sequence[tuple[JsonObject, int]],
        *,
        annotate: bool = False,
    ) -> None:
        """Write new sizes; with `annotate` all active sets learn the desired size, also those that keep theirs."""
        surge, _ = rolling.resolve_bounds(deployment)
        wanted = deployment["spec"].get("replicas", 1)
        sizes = {one["metadata"]["uid"]: size for one, size in changes}
        for one in sets:
            size = sizes.get(one["metadata"]["uid"], rolling.size_of(one))
            if size == rolling.size_of(one) and not (annotate and size > 0):
                continue
            annotations = {
                **(one["metadata"].get("annotations") or {}),
                rev.DESIRED: str(wanted),
                rev.MAXIMUM: str(wanted + surge),
            }
            if size == rolling.size_of(one) and annotations == (one["metadata"].get("annotations") or {}):
                continue
            changed = deep_copy(one)
            changed["metadata"]["annotations"] = annotations
            changed["spec"]["replicas"] = size
            await self._client.update(REPLICA_SETS, changed)
            if size != rolling.size_of(one):
                self._tell_scaled(deployment, one, rolling.size_of(one), size)

    def _tell_scaled(self, deployment: JsonObject, replica_set: JsonObject, before: int, after: int) -> None:
        if before == after:
            return
        word = "up" if after > before else "down"
        self._recorder.event(
            deployment,
            "Normal",
            "ScalingReplicaSet",
            f"Scaled {word} replica set {replica_set['metadata']['name']} from {before} to {after}",
        )

    async def _trim_history(self, deployment: JsonObject, old: Sequence[JsonObject]) -> None:
        limit = deployment["spec"].get("revisionHistoryLimit", 10)
        candidates = [one for one in old if "deletionTimestamp" not in one["metadata"]]
        surplus = len(candidates) - limit
        for one in sorted(candidates, key=rev.revision_of)[: max(0, surplus)]:
            status = one.get("status") or {}
            if status.get("replicas", 0) or rolling.size_of(one):
                continue
            metadata = one["metadata"]
            await self._client.delete(REPLICA_SETS, metadata["name"], namespace=metadata["namespace"])

    async def _tell_status(
        self, deployment: JsonObject, sets: Sequence[JsonObject], new: JsonObject | None
    ) -> float | None:
        status, wait_s = plan_status(deployment, sets, new, now=clock.now())
        stored = self._deployments.find(deployment["metadata"]["namespace"], deployment["metadata"]["name"])
        if stored is None or status != (stored.get("status") or {}):
            await self._client.update(DEPLOYMENTS, {**deployment, "status": status}, subresource="status")
        return wait_s


def build(context: ControllerContext) -> DeploymentController:
    """Make the controller."""
    return DeploymentController(context)
