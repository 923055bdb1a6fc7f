"""All extenders of a scheduler, asked one after another. Source: kubernetes/pkg/scheduler/schedule_one.go v1.35."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from k3py.scheduler.extender import Extender, ExtenderError
from k3py.scheduler.framework import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.scheduler.cache import SchedulerCache
    from k3py.scheduler.extender import ExtenderSettings
    from k3py.scheduler.framework import Diagnosis, Framework
    from k3py.scheduler.node_info import NodeInfo, PodInfo
    from k3py.scheduler.preemption.candidates import Candidate

log = logging.getLogger(__name__)


class Extenders:
    """See the module; methods raise ExtenderError for one that fails and is not ignorable."""

    def __init__(self, settings: Sequence[ExtenderSettings]) -> None:
        self._all = [Extender(one) for one in settings]

    async def find_node(self, pod: PodInfo, framework: Framework, cluster: SchedulerCache) -> Outcome:
        """Ask the profile's plugins, then the extenders that want to know of the pod."""
        extenders = [one for one in self._all if one.is_interested(pod)]
        if not extenders:
            return framework.schedule(pod, cluster)
        nodes, diagnosis = framework.find_fitting(pod, cluster)
        nodes = await self._filter(pod, extenders, nodes, diagnosis)
        if not nodes:
            return Outcome(diagnosis=diagnosis)
        totals = framework.scores(pod, cluster, nodes)
        for one in extenders:
            if not one.settings.prioritize_verb or len(nodes) < 2:
                continue
            try:
                more = await one.prioritize(pod, nodes)
            except ExtenderError as error:  # as upstream: no opinion is no obstacle
                log.warning("an extender did not score nodes", extra={"error": str(error)})
                continue
            totals = [total + more.get(node.name, 0) for node, total in zip(nodes, totals, strict=True)]
        return Outcome(node_name=framework.pick(nodes, totals).name, prepared=diagnosis.prepared)

    async def _filter(
        self, pod: PodInfo, extenders: Sequence[Extender], nodes: list[NodeInfo], diagnosis: Diagnosis
    ) -> list[NodeInfo]:
        for one in extenders:
            if not nodes or not one.settings.filter_verb:
                continue
            try:
                nodes, refusals = await one.filter(pod, nodes)
            except ExtenderError as error:
                if not one.settings.ignorable:
                    raise
                log.warning("skipping an extender that failed", extra={"error": str(error)})
                continue
            diagnosis.refusals.update(refusals)
            if refusals:
                diagnosis.refused_by.add(one.name)
        return nodes

    async def review_victims(
        self, pod: PodInfo, candidates: list[Candidate], cluster: SchedulerCache
    ) -> list[Candidate]:
        """Return the candidates for preemption that all leave."""
        for one in self._all:
            if not candidates or not one.settings.preempt_verb or not one.is_interested(pod):
                continue
            try:
                candidates = await one.preempt(pod, candidates, cluster)
            except ExtenderError as error:
                if not one.settings.ignorable:
                    raise
                log.warning("skipping an extender that failed", extra={"error": str(error)})
        return candidates

    def find_binder(self, pod: PodInfo) -> Extender | None:
        """Return the extender that binds the pod in the scheduler's place, if any."""
        return next((one for one in self._all if one.settings.bind_verb and one.is_interested(pod)), None)
