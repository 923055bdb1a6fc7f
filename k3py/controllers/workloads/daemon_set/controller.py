"""Runs a pod of a DaemonSet on every node that it selects, and rolls new templates out node by node.

Source: kubernetes/pkg/controller/daemon v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.object import key_of, split_key
from k3py.api.resource import CONTROLLER_REVISIONS, DAEMON_SETS, NODES, PODS
from k3py.api.selectors import selector_from_object
from k3py.client.expectations import Expectations
from k3py.controllers.interface import Watch
from k3py.controllers.ownership import (
    CONTROLLER_INDEX,
    ORPHAN_INDEX,
    claim,
    find_controller,
    index_by_controller,
    index_orphans,
)
from k3py.controllers.workloads.daemon_set.placement import make_daemon_pod
from k3py.controllers.workloads.daemon_set.plan import (
    View,
    group_by_node,
    plan_nodes,
    plan_rolling,
    plan_status,
)
from k3py.controllers.workloads.pod_control import PodControl
from k3py.controllers.workloads.revisions import (
    REVISION_HASH_LABEL,
    ensure_revision,
    hash_document,
    plan_trim,
    template_patch,
)
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from k3py.api.status import ApiError
    from k3py.controllers.interface import ControllerContext
    from k3py.controllers.workloads.daemon_set.plan import PodChanges
    from k3py.jsontypes import JsonObject

BURST: Final = 250
FIRST_BACKOFF_S: Final = 1.0
MAX_BACKOFF_S: Final = 900.0


class _Backoff:
    """How long to wait before another failed pod of a set on a node is replaced: 1 s, 2 s, … 15 min."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], tuple[float, float]] = {}

    def left_s(self, key: tuple[str, str]) -> float:
        """Return for how long to wait still."""
        delay_s, since_s = self._entries.get(key, (0.0, 0.0))
        return max(0.0, since_s + delay_s - clock.monotonic_s())

    def count(self, key: tuple[str, str]) -> None:
        """Note a replacement; forgets everything that is long past."""
        now_s = clock.monotonic_s()
        for old in [one for one, (_, since) in self._entries.items() if now_s - since > 2 * MAX_BACKOFF_S]:
            del self._entries[old]
        delay_s, _ = self._entries.get(key, (FIRST_BACKOFF_S / 2, 0.0))
        self._entries[key] = (min(delay_s * 2, MAX_BACKOFF_S), now_s)


class DaemonSetController:
    """See the module."""

    name = "daemonset-controller"
    workers = 2

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._recorder = context.recorder
        self._control = PodControl(context.client, context.recorder)
        sets = context.informers.informer(DAEMON_SETS)
        revisions = context.informers.informer(CONTROLLER_REVISIONS)
        pods = context.informers.informer(PODS)
        nodes = context.informers.informer(NODES)
        for informer in (revisions, pods):
            informer.add_index(CONTROLLER_INDEX, index_by_controller)
            informer.add_index(ORPHAN_INDEX, index_orphans)
        self._sets, self._revisions = sets.lister, revisions.lister
        self._pods, self._nodes = pods.lister, nodes.lister
        self._expectations = Expectations()
        self._backoff = _Backoff()
        self.watches = (
            Watch(sets, self._keys_of_set),
            Watch(revisions, self._keys_of_owned),
            Watch(pods, self._keys_of_pod),
            Watch(nodes, self._keys_of_node),
        )

    def _keys_of_set(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        obj = new or old
        if obj is None:
            return ()
        if new is None:
            self._expectations.delete(key_of(obj))
        return (key_of(obj),)

    def _keys_of_owned(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        keys = set()
        for one in (old, new):
            if one is None:
                continue
            reference = find_controller(one)
            namespace = one["metadata"]["namespace"]
            if reference is not None:
                if reference["kind"] == "DaemonSet":
                    keys.add(f"{namespace}/{reference['name']}")
            elif one is new:
                labels = one["metadata"].get("labels") or {}
                keys.update(
                    key_of(daemon_set)
                    for daemon_set in self._sets.list(namespace)
                    if labels and selector_from_object(daemon_set["spec"].get("selector")).matches(labels)
                )
        return keys

    def _keys_of_pod(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        pod = new or old
        reference = find_controller(pod) if pod is not None else None
        if pod is not None and reference is not None and reference["kind"] == "DaemonSet":
            key = f"{pod['metadata']['namespace']}/{reference['name']}"
            if old is None:
                self._expectations.creation_observed(key)
            if new is None or "deletionTimestamp" in new["metadata"]:
                self._expectations.deletion_observed(key, pod["metadata"]["uid"])
        return self._keys_of_owned(old, new)

    def _keys_of_node(self, old: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        """Heartbeats mean nothing: only labels, taints, coming and going do."""
        if old is not None and new is not None and _traits(old) == _traits(new):
            return ()
        return [key_of(one) for one in self._sets.list()]

    async def reconcile(self, key: str) -> float | None:
        """Make and delete pods of one set as planned, then tell its status."""
        namespace, name = split_key(key)
        daemon_set = self._sets.find(namespace, name)
        if daemon_set is None:
            self._expectations.delete(key)
            return None
        if daemon_set["spec"].get("selector") == {}:
            self._recorder.event(
                daemon_set,
                "Warning",
                "SelectingAll",
                "This daemon set is selecting all pods. A non-empty selector is required.",
            )
            return None
        if "deletionTimestamp" in daemon_set["metadata"]:
            return None
        revisions = await self._claim(daemon_set, revisions=True)
        old_collisions = (daemon_set.get("status") or {}).get("collisionCount")
        current, collisions = await ensure_revision(
            self._client,
            owner=daemon_set,
            resource=DAEMON_SETS,
            revisions=revisions,
            hash_label=REVISION_HASH_LABEL,
            hash_of=hash_document,
            collisions=old_collisions or 0,
        )
        digest = str(current["metadata"]["labels"][REVISION_HASH_LABEL])
        view = await self._look(daemon_set, digest)
        failure: ApiError | None = None
        wait_s: float | None = None
        settled = self._expectations.satisfied(key)
        if settled:
            failure, wait_s = await self._manage(key, view)
            if failure is None and self._expectations.satisfied(key):
                strategy = (daemon_set["spec"].get("updateStrategy") or {}).get("type", "RollingUpdate")
                if strategy == "RollingUpdate":
                    failure = await self._sync(key, view, plan_rolling(view))
                await self._trim(daemon_set, revisions, view)
        view = await self._look(daemon_set, digest)
        generation = daemon_set["metadata"].get("generation", 0)
        observed = generation if settled else (daemon_set.get("status") or {}).get("observedGeneration", 0)
        status, ready_s = plan_status(view, observed, collisions or old_collisions)
        if status != (daemon_set.get("status") or {}):
            await self._client.update(DAEMON_SETS, {**daemon_set, "status": status}, subresource="status")
        if failure is not None:
            raise failure
        waits = [one for one in (wait_s, ready_s) if one is not None]
        return min(waits) if waits else None

    async def _claim(self, daemon_set: JsonObject, *, revisions: bool) -> list[JsonObject]:
        lister = self._revisions if revisions else self._pods
        metadata = daemon_set["metadata"]
        return await claim(
            self._client,
            owner=daemon_set,
            owner_resource=DAEMON_SETS,
            resource=CONTROLLER_REVISIONS if revisions else PODS,
            selector=selector_from_object(daemon_set["spec"]["selector"]),
            candidates=[
                *lister.by_index(CONTROLLER_INDEX, metadata["uid"]),
                *lister.by_index(ORPHAN_INDEX, metadata["namespace"]),
            ],
        )

    async def _look(self, daemon_set: JsonObject, digest: str) -> View:
        pods = group_by_node(await self._claim(daemon_set, revisions=False))
        return View(
            daemon_set=daemon_set, nodes=self._nodes.list(), pods=pods, digest=digest, now=clock.now()
        )

    async def _manage(self, key: str, view: View) -> tuple[ApiError | None, float | None]:
        uid = view.daemon_set["metadata"]["uid"]
        held_back: set[str] = set()
        waits = []
        for node_name, pods in view.pods.items():
            left_s = self._backoff.left_s((uid, node_name))
            failed = [pod for pod in pods if (pod.get("status") or {}).get("phase") == "Failed"]
            if left_s > 0 and failed:
                waits.append(left_s)
                held_back.update(pod["metadata"]["uid"] for pod in failed)
        changes = plan_nodes(view, held_back)
        for pod in changes.ended:
            self._tell_ended(view, pod)
        return await self._sync(key, view, changes), min(waits, default=None)

    def _tell_ended(self, view: View, pod: JsonObject) -> None:
        node = pod["spec"].get("nodeName", "")
        where = f"{pod['metadata']['namespace']}/{pod['metadata']['name']} on node {node}"
        if pod["status"]["phase"] == "Failed":
            self._backoff.count((view.daemon_set["metadata"]["uid"], node))
            message = f"Found failed daemon pod {where}, will try to kill it"
            self._recorder.event(view.daemon_set, "Warning", "FailedDaemonPod", message)
        else:
            message = f"Found succeeded daemon pod {where}, will try to delete it"
            self._recorder.event(view.daemon_set, "Normal", "SucceededDaemonPod", message)

    async def _sync(self, key: str, view: View, changes: PodChanges) -> ApiError | None:
        create, delete = changes.create[:BURST], changes.delete[:BURST]
        if not create and not delete:
            return None
        daemon_set = view.daemon_set
        self._expectations.expect(key, len(create), [pod["metadata"]["uid"] for pod in delete])
        failure = await self._control.create_all(
            daemon_set,
            [make_daemon_pod(daemon_set, name, view.digest) for name in create],
            lambda: self._expectations.creation_observed(key),
        )
        for pod in delete:
            error = await self._control.delete(daemon_set, pod)
            if error is not None:
                self._expectations.deletion_observed(key, pod["metadata"]["uid"])
                if error.code != 404:
                    failure = failure or error
        return failure

    async def _trim(self, daemon_set: JsonObject, revisions: Sequence[JsonObject], view: View) -> None:
        live = {view.digest} | {
            (pod["metadata"].get("labels") or {}).get(REVISION_HASH_LABEL, "")
            for pods in view.pods.values()
            for pod in pods
        }
        data = template_patch(daemon_set)
        old = [one for one in revisions if one.get("data") != data]
        limit = daemon_set["spec"].get("revisionHistoryLimit", 10)
        for one in plan_trim(old, live, limit, by_hash=True):
            metadata = one["metadata"]
            await self._client.delete(CONTROLLER_REVISIONS, metadata["name"], namespace=metadata["namespace"])


def _traits(node: JsonObject) -> tuple[object, ...]:
    spec = node.get("spec") or {}
    return node["metadata"].get("labels"), spec.get("taints"), spec.get("unschedulable")


def build(context: ControllerContext) -> DaemonSetController:
    """Make the controller."""
    return DaemonSetController(context)
