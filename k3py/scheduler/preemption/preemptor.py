"""Ends the victims of a preemption. Source: kubernetes/pkg/scheduler/framework/preemption/executor.go v1.35."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from k3py.api.resource import PODS
from k3py.api.status import ApiError
from k3py.api.timestamps import format_time
from k3py.scheduler.preemption.candidates import (
    Candidate,
    CandidateSearch,
    PreemptionArguments,
    find_ineligibility,
    pick_candidate,
)
from k3py.util import clock

if TYPE_CHECKING:
    import random

    from k3py.client.interface import Lister
    from k3py.jsontypes import JsonObject
    from k3py.scheduler.cache import SchedulerCache
    from k3py.scheduler.framework import Diagnosis
    from k3py.scheduler.interface import PluginContext
    from k3py.scheduler.node_info import PodInfo
    from k3py.scheduler.telling import Recorder

log = logging.getLogger(__name__)

_NODES_A_STEP: Final = 100
# DynamicResources is asked first and has no claim to give back.
_PREFIX: Final = "no new claims to deallocate, preemption: "


class Preemptor:
    """Finds victims, then ends them.

    Args:
        context: clients and budgets.
        choose: where the search for nodes starts.
    """

    def __init__(self, context: PluginContext, choose: random.Random) -> None:
        self._client = context.client
        self._budgets: Lister = context.lister("poddisruptionbudgets")
        self._choose = choose

    async def find(
        self, pod: PodInfo, cluster: SchedulerCache, diagnosis: Diagnosis, arguments: PreemptionArguments
    ) -> tuple[list[Candidate], str, bool]:
        """Return (candidates, why there are none, whether the pod keeps its nominated node all the same)."""
        ineligibility = find_ineligibility(pod, cluster, diagnosis)
        if ineligibility:
            return [], _PREFIX + ineligibility, True
        search = CandidateSearch(pod, cluster, diagnosis, self._budgets.list(), self._choose, arguments)
        for _ in iter(lambda: search.step(_NODES_A_STEP), True):
            await asyncio.sleep(0)  # everybody else has a turn
        return search.found, "" if search.found else _PREFIX + search.explain(), False

    def pick(self, candidates: list[Candidate]) -> Candidate:
        """Return the candidate that hurts least."""
        return pick_candidate(candidates)

    async def end_victims(
        self, pod: PodInfo, candidate: Candidate, recorder: Recorder, scheduler: str
    ) -> None:
        """Say why in each victim's status, then delete it with its grace period."""
        for victim in candidate.victims:
            try:
                await self._end(victim.pod, scheduler)
            except ApiError as error:
                if error.code != 404:
                    log.warning("cannot end a pod to make room", extra={"error": error.message})
                continue
            message = f"Preempted by pod {pod.uid} on node {candidate.node_name}"
            recorder.event(victim.pod, "Normal", "Preempted", message, action="Preempting")

    async def _end(self, victim: JsonObject, scheduler: str) -> None:
        metadata = victim["metadata"]
        if "deletionTimestamp" in metadata:
            return
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "PreemptionByScheduler",
            "message": f"{scheduler}: preempting to accommodate a higher priority pod",
            "lastProbeTime": None,
            "lastTransitionTime": format_time(clock.now()),
        }
        if "generation" in metadata:
            condition["observedGeneration"] = metadata["generation"]
        await self._client.patch(
            PODS,
            metadata["name"],
            {"metadata": {"uid": metadata["uid"]}, "status": {"conditions": [condition]}},
            namespace=metadata["namespace"],
            subresource="status",
        )
        await self._client.delete(
            PODS, metadata["name"], namespace=metadata["namespace"], uid=metadata["uid"]
        )
