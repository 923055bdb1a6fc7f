"""The scheduler: gives pods without a node the best one.

One cycle at a time, as upstream; binding runs beside the next cycles. Source: kubernetes/pkg/scheduler v1.35.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING

from k3py.api.resource import NODES, PODS
from k3py.api.status import ApiError
from k3py.scheduler.cache import SchedulerCache
from k3py.scheduler.configuration import SchedulerSettings
from k3py.scheduler.extender import ExtenderError
from k3py.scheduler.extenders import Extenders
from k3py.scheduler.framework import Framework
from k3py.scheduler.interface import BindingRefusedError, PluginContext, Refusal
from k3py.scheduler.metrics import ERROR, SCHEDULED, UNSCHEDULABLE, SchedulerMetrics
from k3py.scheduler.observation import Observation
from k3py.scheduler.preemption.preemptor import Preemptor
from k3py.scheduler.queue import QueuedPod, SchedulingQueue
from k3py.scheduler.registry import build_profile
from k3py.scheduler.telling import SCHEDULER_ERROR, tell_failure
from k3py.scheduler.watched import WATCHED
from k3py.util import clock
from k3py.util.supervise import Policy, TaskScope

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from k3py.client.interface import Client, InformerFactory
    from k3py.scheduler.framework import Diagnosis, Outcome
    from k3py.scheduler.interface import ClusterEvent, Reservation
    from k3py.scheduler.node_info import PodInfo
    from k3py.scheduler.preemption.candidates import Candidate
    from k3py.scheduler.telling import Recorder
    from k3py.util.metrics import Registry


log = logging.getLogger(__name__)


class Scheduler:
    """A component; restarted, it builds cache and queue anew from its informers."""

    name = "kube-scheduler"
    policy = Policy.RESTART

    def __init__(
        self,
        client: Client,
        informers: InformerFactory,
        recorder: Recorder,
        *,
        settings: SchedulerSettings | None = None,
        metrics: Registry | None = None,
    ) -> None:
        context = PluginContext(client, informers)
        self._settings = settings or SchedulerSettings()
        profiles = [build_profile(context, one) for one in self._settings.profiles]
        choose = random.Random()  # noqa: S311 - ties are broken, nothing is hidden
        self._metrics = SchedulerMetrics()
        self._client = client
        self._informers = informers
        self._frameworks = {one.name: Framework(one, choose, self._metrics) for one in profiles}
        self._recorders = {one.name: recorder.named(one.name) for one in profiles}
        self._preemptor = Preemptor(context, choose)
        self._extenders = Extenders(self._settings.extenders)
        self._cache = SchedulerCache()
        self._queue = self._new_queue()
        if metrics is not None:
            self._metrics.publish(metrics, self._sizes)
        self._observation = Observation(informers, frozenset(self._frameworks))

    def _sizes(self) -> dict[str, int]:
        return self._queue.sizes()

    def _new_queue(self) -> SchedulingQueue:
        filters = {plugin.NAME: plugin for one in self._frameworks.values() for plugin in one.profile.filter}

        def held_back(info: PodInfo) -> bool:
            profile = self._framework_of(info).profile
            return any(plugin.pre_enqueue(info.pod) is not None for plugin in profile.pre_enqueue)

        def may_help(info: PodInfo, plugin_name: str, event: ClusterEvent) -> bool:
            plugin = filters.get(plugin_name)
            return plugin is None or plugin.may_help(info.pod, event)

        return SchedulingQueue(
            held_back,
            may_help,
            {name: one.INTERESTS for name, one in filters.items()},
            initial_backoff_s=self._settings.initial_backoff_s,
            max_backoff_s=self._settings.max_backoff_s,
            incoming=self._metrics.incoming,
        )

    def _framework_of(self, info: PodInfo) -> Framework:
        return self._frameworks[info.pod["spec"].get("schedulerName") or next(iter(self._frameworks))]

    def _recorder_of(self, info: PodInfo) -> Recorder:
        return self._recorders[self._framework_of(info).profile.name]

    async def run(self, started: Callable[[], None]) -> None:
        """Schedule until cancelled."""
        for resource in (NODES, PODS, *WATCHED.values()):
            await self._informers.informer(resource).wait_synced()
        self._cache, self._queue = SchedulerCache(), self._new_queue()
        try:
            await self._observation.begin(self._cache, self._queue)
            started()
            async with TaskScope() as scope:
                while True:
                    queued = await self._queue.pop()
                    await self._try_one(queued, scope)
                    await asyncio.sleep(0)  # everybody else has a turn between two pods
        finally:
            self._observation.end()

    async def _try_one(self, queued: QueuedPod, scope: TaskScope) -> None:
        """Keep one pod that cannot be worked on from stopping all others."""
        try:
            await self._schedule_one(queued, scope)
        except ExtenderError as error:
            self._put_back_after_error(queued, str(error), scope)
        except Exception as error:
            metadata = queued.info.pod["metadata"]
            log.exception("scheduling failed", extra={"pod": f"{metadata['namespace']}/{metadata['name']}"})
            self._put_back_after_error(queued, f"internal error: {type(error).__name__}", scope)

    async def _schedule_one(self, queued: QueuedPod, scope: TaskScope) -> None:
        info = queued.info
        framework = self._framework_of(info)
        began_s, profile = clock.monotonic_s(), framework.profile.name
        outcome = await self._extenders.find_node(info, framework, self._cache)
        if outcome.diagnosis is not None:
            self._metrics.observe_attempt(profile, UNSCHEDULABLE, began_s)
            await self._fail(queued, outcome.diagnosis, framework, scope)
            return
        reservations = self._reserve(info, outcome, framework)
        if isinstance(reservations, Refusal):
            self._metrics.observe_attempt(profile, ERROR, began_s)
            self._put_back_after_error(queued, reservations.reason, scope)
            return
        self._cache.put_pod(info, outcome.node_name)
        self._cache.nominate(info, "")
        binding = self._bind(queued, outcome.node_name, reservations, framework, began_s, scope)
        _ = scope.spawn(binding, name="bind")

    def _reserve(self, info: PodInfo, outcome: Outcome, framework: Framework) -> list[Reservation] | Refusal:
        reservations: list[Reservation] = []
        node = self._cache.find(outcome.node_name)
        for plugin in framework.profile.reserve:
            prepared = outcome.prepared.get(plugin.NAME)
            if prepared is None or node is None:
                continue
            reserved = plugin.reserve(prepared, info, node)
            if isinstance(reserved, Refusal):
                for one in reversed(reservations):
                    one.undo()
                return reserved
            if reserved is not None:
                reservations.append(reserved)
        return reservations

    async def _fail(
        self, queued: QueuedPod, diagnosis: Diagnosis, framework: Framework, scope: TaskScope
    ) -> None:
        """Make room if the pod is important enough; else it waits for something to change."""
        info = queued.info
        refused_by = frozenset(diagnosis.refused_by)
        addition, nominated = "", None
        preemption = framework.profile.preemption
        if preemption is not None and diagnosis.total:
            candidates, addition, keeps = await self._preemptor.find(info, self._cache, diagnosis, preemption)
            if candidates:
                candidates = await self._extenders.review_victims(info, candidates, self._cache)
            if candidates:
                candidate = self._preemptor.pick(candidates)
                nominated = candidate.node_name
                self._metrics.observe_preemption(len(candidate.victims))
                _ = scope.spawn(
                    self._make_room(queued, candidate, diagnosis.message(), refused_by), name="preempt"
                )
                return
            if not keeps:
                nominated = ""
                self._cache.nominate(info, "")
        self._queue.put_back(queued, refused_by)
        message = diagnosis.message(addition)
        recorder = self._recorder_of(info)
        _ = scope.spawn(
            tell_failure(self._client, recorder, info.pod, message, nominated=nominated),
            name="tell-unschedulable",
        )

    async def _make_room(
        self, queued: QueuedPod, candidate: Candidate, message: str, refused_by: frozenset[str]
    ) -> None:
        info = queued.info
        node_name = candidate.node_name
        recorder = self._recorder_of(info)
        lesser = [one for one in self._cache.nominated_on(node_name) if one.priority < info.priority]
        self._cache.nominate(info, node_name)
        await tell_failure(self._client, recorder, info.pod, message, nominated=node_name)
        for one in lesser:  # their room is taken: they may find some elsewhere
            self._cache.nominate(one, "")
            self._queue.add(one)
        await self._preemptor.end_victims(info, candidate, recorder, self._framework_of(info).profile.name)
        self._queue.put_back(queued, refused_by)

    async def _bind(
        self,
        queued: QueuedPod,
        node_name: str,
        reservations: Sequence[Reservation],
        framework: Framework,
        began_s: float,
        scope: TaskScope,
    ) -> None:
        info = queued.info
        metadata = info.pod["metadata"]
        try:
            for one in reservations:
                await one.commit()
            binder, bind_s = self._extenders.find_binder(info), clock.monotonic_s()
            if binder is not None:
                await binder.bind(info, node_name)
            else:
                await framework.profile.bind.bind(self._client, info.pod, node_name)
            self._metrics.observe_point(framework.profile.name, "Bind", bind_s)
        except (ApiError, BindingRefusedError, ExtenderError) as error:
            for one in reversed(reservations):
                one.undo()
            self._observation.forget_assumed(info)
            if isinstance(error, ApiError) and error.code == 404:
                self._queue.finish(info.uid)
                self._queue.remove(info.uid)
                return
            text = error.message if isinstance(error, ApiError) else str(error)
            where = f"{metadata['namespace']}/{metadata['name']}"
            log.warning("binding failed, will try again", extra={"pod": where, "error": text})
            self._metrics.observe_attempt(framework.profile.name, ERROR, began_s)
            self._put_back_after_error(queued, text, scope)
            return
        self._queue.finish(info.uid)
        self._queue.remove(info.uid)
        self._metrics.observe_attempt(framework.profile.name, SCHEDULED, began_s)
        self._metrics.observe_scheduled(queued.attempts + 1)
        self._recorder_of(info).event(
            info.pod,
            "Normal",
            "Scheduled",
            f"Successfully assigned {metadata['namespace']}/{metadata['name']} to {node_name}",
            action="Binding",
        )

    def _put_back_after_error(self, queued: QueuedPod, message: str, scope: TaskScope) -> None:
        self._queue.put_back(queued, frozenset())
        recorder = self._recorder_of(queued.info)
        telling = tell_failure(self._client, recorder, queued.info.pod, message, reason=SCHEDULER_ERROR)
        _ = scope.spawn(telling, name="tell-error")
