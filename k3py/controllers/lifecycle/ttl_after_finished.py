"""Deletes Jobs some time after they ended.

Source: kubernetes/pkg/controller/ttlafterfinished v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3py.api.object import key_of, split_key
from k3py.api.resource import JOBS
from k3py.api.status import ApiError
from k3py.api.timestamps import parse_time
from k3py.controllers.interface import Watch
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from k3py.controllers.interface import ControllerContext
    from k3py.jsontypes import JsonObject


def expires_in_s(job: JsonObject, now: datetime) -> float | None:
    """Return the seconds until the job may go (0 = now), None when it is to stay."""
    ttl_s = job["spec"].get("ttlSecondsAfterFinished")
    if ttl_s is None or "deletionTimestamp" in job["metadata"]:
        return None
    for one in (job.get("status") or {}).get("conditions") or ():
        if one["type"] in ("Complete", "Failed") and one["status"] == "True":
            passed_s = (now - parse_time(one["lastTransitionTime"])).total_seconds()
            return max(0.0, float(ttl_s - passed_s))
    return None


class TtlAfterFinishedController:
    """See the module."""

    name = "ttl-after-finished-controller"
    workers = 5

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        jobs = context.informers.informer(JOBS)
        self._jobs = jobs.lister
        self.watches = (Watch(jobs, self._keys_of_job),)

    def _keys_of_job(self, _: JsonObject | None, new: JsonObject | None) -> Iterable[str]:
        return (key_of(new),) if new is not None and expires_in_s(new, clock.now()) is not None else ()

    async def reconcile(self, key: str) -> float | None:
        """Delete the job with its pods when its time is over."""
        namespace, name = split_key(key)
        job = self._jobs.find(namespace, name)
        left_s = expires_in_s(job, clock.now()) if job is not None else None
        if job is None or left_s is None or left_s > 0:
            return left_s
        live = await self._client.get(
            JOBS, name, namespace=namespace
        )  # its TTL may have been raised meanwhile
        left_s = expires_in_s(live, clock.now())
        if left_s is None or left_s > 0:
            return left_s
        metadata = live["metadata"]
        try:
            await self._client.delete(
                JOBS,
                name,
                namespace=namespace,
                uid=metadata["uid"],
                resource_version=metadata["resourceVersion"],
                propagation_policy="Foreground",
            )
        except ApiError as error:
            if error.code != 404:
                raise
        return None


def build(context: ControllerContext) -> TtlAfterFinishedController:
    """Make the controller."""
    return TtlAfterFinishedController(context)
