"""One pod's life on this node: a loop that is woken by events and deadlines, plans, starts operations, and tells the status.

    running ──deletionTimestamp | deadline | finished──► terminating ──all stopped──► stopped ──deletionTimestamp──► gone
       ▲                                                                                 (status terminal)
       └─ a restart of the kubelet begins here again: what the runtime has is taken over

`pods.PodManager` makes one a uid. The decisions are in `sync_plan` and `status`; here is only when and in which order things are done.
Model: pkg/kubelet/pod_workers.go v1.35, without its polling: PLEG events, informer events, probe results and ends of operations wake.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from typing import TYPE_CHECKING, Final

from k3py.kubelet.backoff import Backoff
from k3py.kubelet.downward import changes_files
from k3py.kubelet.operations import FINISH, INTERNAL, STATUS
from k3py.kubelet.pod import (
    find_container,
    grace_period_s,
    is_deleted,
    is_finished,
    iter_containers,
)
from k3py.kubelet.pod_operations import PodOperations
from k3py.kubelet.pod_probing import watch_containers
from k3py.kubelet.pod_record import PodReader
from k3py.kubelet.pod_resize import PodResize
from k3py.kubelet.pod_resizing import advance_resize
from k3py.kubelet.pod_status_sending import patch_status, version_of
from k3py.kubelet.probes import Prober
from k3py.kubelet.recording import PodRecorder
from k3py.kubelet.runtime_state import EMPTY, PodRecord
from k3py.kubelet.status import Observation, pod_status, status_patch
from k3py.kubelet.sync_plan import (
    CreateSandbox,
    EndPod,
    KillContainer,
    Plan,
    Situation,
    StartContainer,
    Waiting,
    plan_kill,
    plan_pod,
)
from k3py.runtime.errors import RuntimeFailure
from k3py.util import clock
from k3py.util.supervise import TaskScope

if TYPE_CHECKING:
    from collections.abc import Mapping

    from k3py.jsontypes import JsonObject
    from k3py.kubelet.node_context import NodeContext
    from k3py.kubelet.probes import ProbeKind

log = logging.getLogger(__name__)

_RETRY_S: Final = 1.0


class PodWorker:
    """Works on one pod until it is gone.

    Args:
        node: the node.
        pod: the pod as the API has it.
    """

    def __init__(self, node: NodeContext, pod: JsonObject) -> None:
        self.node = node
        self.pod = pod
        self.uid: str = pod["metadata"]["uid"]
        self.record: PodRecord = EMPTY
        self.removed = False
        self.changed = asyncio.Event()
        self.stopped = asyncio.Event()
        self._stale = True
        self._ended: dict[str, asyncio.Event] = {}
        self._deadline_s: float | None = None
        self.reader = PodReader(node.runtime, self.uid)
        self.backoff = Backoff()
        self.waiting: dict[str, Waiting] = {}
        self.not_before_s: dict[str, float] = {}
        self.sandbox_not_before_s = 0.0
        self._failed: tuple[str, str] | None = None
        self._failed_grace_s: float | None = None
        self._ending = is_finished(pod)
        self._stopped = False
        self._finished = False
        self._grace_s: float | None = None
        self._sent: tuple[JsonObject, int] = ({}, 0)
        self.events = PodRecorder(node.recorder, pod)
        self.resize = PodResize(pod)
        self._prober: Prober | None = None
        self._operations: PodOperations | None = None

    # --- what others call ---------------------------------------------------------------------------------------------

    def update(self, pod: JsonObject) -> None:
        """Take in a new version of the pod; an older one than known is left aside."""
        if version_of(pod) < version_of(self.pod):
            return
        if pod["spec"] != self.pod["spec"]:
            self.resize.take(pod, self.pod)
        before, self.pod = self.pod, pod
        self.events = PodRecorder(self.node.recorder, pod)
        if self._operations is not None and changes_files(before, pod):
            self._operations.refresh_volumes()
        self.changed.set()

    def remove(self) -> None:
        """Note that the API has no such pod any more."""
        self.removed = True
        self.changed.set()

    def look(self) -> None:
        """Look at the runtime again."""
        self._stale = True
        self.changed.set()

    def refresh_volumes(self) -> None:
        """Bring volumes up to date: an object that they show has changed."""
        if self._operations is not None:
            self._operations.refresh_volumes()
        for name, waiting in self.waiting.items():
            if waiting.reason == "CreateContainerConfigError":
                # What it lacked may be there now.
                self.not_before_s.pop(name, None)
        self.changed.set()

    def fail(self, reason: str, message: str, *, grace_s: float | None = None) -> None:
        """End the pod as Failed (deadline, eviction, rejection); grace_s: the most that it gets, None = its own."""
        if self._failed is None:
            self._failed = (reason, message)
            self._failed_grace_s = grace_s
        self.changed.set()

    def ended(self, container_id: str) -> asyncio.Event:
        """Return an event that is set when a container does not run any more."""
        if any(one.id == container_id and one.running for one in self.record.containers):
            return self._ended.setdefault(container_id, asyncio.Event())
        event = asyncio.Event()
        event.set()
        return event

    def container_status(self, name: str) -> JsonObject:
        """Return the status of a container as of now."""
        status = self.compute_status()
        for part in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
            for one in status.get(part) or ():
                if one["name"] == name:
                    found: JsonObject = one
                    return found
        return {}

    @property
    def effective(self) -> JsonObject:
        """Return the pod with the resources that it has been given, which count for the node."""
        return self.resize.effective(self.pod)

    def probe_results(self) -> Mapping[tuple[str, ProbeKind, bool], int]:
        """Return how often probes succeeded and failed, by container's name, probe and outcome."""
        return {} if self._prober is None else self._prober.results

    @property
    def is_done(self) -> bool:
        """Say whether nothing is left to do until the pod is deleted."""
        return self._finished

    @property
    def is_ending(self) -> bool:
        """Say whether the pod does not count for the node's resources any more."""
        return self._ending or self._failed is not None

    # --- the loop -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work until the pod is gone from API, runtime and disk."""
        async with TaskScope() as scope:
            self._prober = Prober(scope, self.changed.set)
            self._operations = PodOperations(self, scope)
            try:
                while not await self._turn(self._prober, self._operations):
                    await self._sleep()
            finally:
                for event in self._ended.values():
                    event.set()
            scope.cancel()

    async def _turn(self, prober: Prober, operations: PodOperations) -> bool:
        """One look at everything; say whether the pod is gone."""
        self.changed.clear()
        self._deadline_s = None
        # Again when something ended meanwhile: what it made must not be made twice.
        while self._stale:
            try:
                await self._read()
            except RuntimeFailure as error:
                log.warning("runtime cannot be read", extra={"pod": self.uid, "error": str(error)})
                self._wake_in(_RETRY_S)
                return False
        watch_containers(self, prober, operations)
        self._check_deadline()
        if is_deleted(self.pod) or self.removed or self._failed is not None or self._ending:
            if self._terminate(prober, operations):
                return True
        else:
            self._advance(prober, operations)
        self._tell(prober, operations)
        return False

    async def _read(self) -> None:
        self._stale = False
        try:
            self.record = await self.reader.read()
        except BaseException:
            self._stale = True
            raise
        for sandbox in self.record.sandboxes:
            self.node.owners[sandbox.id] = self.uid
        running = set()
        for container in self.record.containers:
            self.node.owners[container.id] = self.uid
            if container.running:
                running.add(container.id)
        for identity in [one for one in self._ended if one not in running]:
            self._ended.pop(identity).set()

    async def _sleep(self) -> None:
        if self._deadline_s is None:
            await self.changed.wait()
            return
        try:
            async with asyncio.timeout(max(0.0, self._deadline_s - clock.wall_s())):
                await self.changed.wait()
        except TimeoutError:
            return

    def _wake_at(self, when_s: float) -> None:
        if self._deadline_s is None or when_s < self._deadline_s:
            self._deadline_s = when_s

    def _wake_in(self, seconds: float) -> None:
        self._wake_at(clock.wall_s() + seconds)

    def _check_deadline(self) -> None:
        limit_s = self.pod["spec"].get("activeDeadlineSeconds")
        start = (self.pod.get("status") or {}).get("startTime")
        if limit_s is None or start is None or self._ending or self._failed is not None:
            return
        end_s = _seconds(start) + float(limit_s)
        if clock.wall_s() >= end_s:
            self.fail("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")
        else:
            self._wake_at(end_s)

    def _advance(self, prober: Prober, operations: PodOperations) -> None:
        """Do what the plan says."""
        operations.prepare()
        if advance_resize(self, operations) and self.resize.retry_s > clock.wall_s():
            self._wake_at(self.resize.retry_s)
        plan = plan_pod(self.pod, self._situation(prober, operations))
        if plan.deadline_s is not None:
            self._wake_at(plan.deadline_s)
        self._note_backoffs(plan)
        for action in plan.actions:
            match action:
                case CreateSandbox():
                    operations.create_sandbox(action)
                case StartContainer():
                    operations.start_container(action)
                case KillContainer():
                    prober.verdicts.pop(action.container_id, None)
                    operations.kill_container(action, grace_period_s(self.pod))
                case EndPod():
                    self._ending = True
                    self.changed.set()
        if (renew_s := self._renew_at_s()) is not None:
            if renew_s <= clock.wall_s():
                operations.refresh_volumes()
                operations.prepare()
            else:
                self._wake_at(renew_s)
        if operations.volumes.retry_s is not None:
            self._wake_at(operations.volumes.retry_s)

    def note_resized(self) -> None:
        """Tell that all containers have what they were given."""
        self.events.normal("ResizeCompleted", f"Pod resize completed: {self.resize.describe(self.pod)}")

    def _renew_at_s(self) -> float | None:
        """Return when volumes are due for renewal: tokens that end, drivers that want to publish again."""
        csi = self.node.csi
        due = (
            self.node.objects.renew_at_s(self.uid),
            None if csi is None else csi.republish_at_s(self.uid),
        )
        return min((one for one in due if one is not None), default=None)

    def _situation(self, prober: Prober, operations: PodOperations) -> Situation:
        def until(name: str, finished_s: float) -> float:
            return self.backoff.until_s(name, finished_s)

        return Situation(
            record=self.record,
            now_s=clock.wall_s(),
            backoff_until_s=until,
            busy=operations.keys - INTERNAL,
            started=frozenset(prober.started),
            verdicts=prober.verdicts,
            not_before_s=self.not_before_s,
            sandbox_not_before_s=self.sandbox_not_before_s,
            restarts=self.resize.restarts(self.pod),
        )

    def _note_backoffs(self, plan: Plan) -> None:
        """Tell a container's back-off once each time it begins."""
        for name, waiting in plan.waiting.items():
            if self.waiting.get(name) != waiting:
                container = find_container(self.pod, name)
                if container is not None:
                    detail = waiting.message[0].upper() + waiting.message[1:]
                    self.events.warning("BackOff", detail, name)
            self.waiting[name] = waiting

    # --- the end ------------------------------------------------------------------------------------------------------

    def _terminate(self, prober: Prober, operations: PodOperations) -> bool:
        """Stop containers, then the sandbox, then clean up; say whether the pod is gone."""
        prober.stop_verdicts()
        operations.cancel_starts()
        grace_s = float(grace_period_s(self.pod))
        if self._failed is not None and not is_deleted(self.pod):
            grace_s = grace_s if self._failed_grace_s is None else min(grace_s, self._failed_grace_s)
        shortened = self._grace_s is not None and grace_s < self._grace_s
        self._grace_s = grace_s
        if shortened:
            operations.hurry()
        busy = operations.keys - INTERNAL
        actions = plan_kill(self.pod, self.record, busy)
        for action in actions:
            if isinstance(action, KillContainer):
                operations.kill_container(action, int(grace_s))
            else:
                operations.stop_sandbox(action.sandbox_id)
        if actions or busy or self._stale:
            return False
        self._stopped = True
        self.stopped.set()
        gone = is_deleted(self.pod) or self.removed
        if operations.gone:
            return True
        if FINISH not in operations and (gone or not self._finished):
            if operations.finish_retry_s > clock.wall_s():
                self._wake_at(operations.finish_retry_s)
            else:
                operations.finish(gone=gone)
        return False

    def note_finished(self) -> None:
        """Volumes are down; the pod stays only as a status and logs."""
        self._finished = True
        self.node.room_made()

    # --- the status ---------------------------------------------------------------------------------------------------

    def compute_status(self) -> JsonObject:
        """Return the status document as of now."""
        prober, operations = self._prober, self._operations
        started = frozenset(prober.started) if prober is not None else frozenset()
        ready = frozenset(prober.ready) if prober is not None else frozenset()
        busy = operations.keys if operations is not None else frozenset()
        waiting = dict(self.waiting)
        starting = set()
        for one in self.record.running():
            if one.name not in busy:
                waiting.pop(one.name, None)
            elif prober is not None and not prober.is_watched(one.id):
                starting.add(one.id)
        if self._ending or self._stopped or self._failed is not None or is_deleted(self.pod):
            waiting = {name: one for name, one in waiting.items() if self.record.find(name) is None}
        failed = self._failed or ("", "")
        return pod_status(
            self.pod,
            Observation(
                record=self.record,
                now_s=clock.wall_s(),
                node_ips=self.node.config.node_ips,
                runtime_name=self.node.runtime_name,
                waiting=waiting,
                starting=frozenset(starting),
                started=started,
                ready=ready,
                messages=self.reader.messages,
                failed_reason=failed[0],
                failed_message=failed[1],
                stopped=self._stopped,
                resize=self.resize,
            ),
        )

    def _tell(self, prober: Prober, operations: PodOperations) -> None:
        """Send the status if it changed; one request at a time, the newest wins."""
        if self.removed or STATUS in operations or operations.gone:
            return
        patch = status_patch(self.pod.get("status") or {}, self.compute_status())
        if not patch or (patch, version_of(self.pod)) == self._sent:
            return
        if operations.status_retry_s > clock.wall_s():
            self._wake_at(operations.status_retry_s)
        else:
            operations.send_status()

    async def send_status(self) -> None:
        """Patch the status until it says what is the case.

        Raises:
            ApiError: refused; the caller tries again later.
        """
        for _ in range(3):
            patch = status_patch(self.pod.get("status") or {}, self.compute_status())
            if not patch or (patch, version_of(self.pod)) == self._sent:
                return
            answer = await patch_status(self.node.client, self.pod, patch)
            if answer is None:
                return
            if version_of(answer) >= version_of(self.pod):
                self.pod = answer
            # What the API did not take in as it was sent is not sent again and again.
            self._sent = (patch, version_of(answer))

    def container_names(self) -> list[str]:
        """Return the names of all containers, for the server."""
        return [one["name"] for _, one in iter_containers(self.pod)]

    def is_busy(self) -> bool:
        """Say whether operations on sandbox or containers are under way."""
        return self._operations is not None and bool(self._operations.keys - INTERNAL)


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()
