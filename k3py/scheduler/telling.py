"""Tells why a pod has no node: the condition PodScheduled, the nominated node, an Event."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Protocol, Self

from k3py.api.resource import PODS
from k3py.api.status import ApiError
from k3py.api.timestamps import format_time
from k3py.util import clock

if TYPE_CHECKING:
    from k3py.client.interface import Client
    from k3py.jsontypes import JsonObject

log = logging.getLogger(__name__)

UNSCHEDULABLE: Final = "Unschedulable"
SCHEDULER_ERROR: Final = "SchedulerError"


class Recorder(Protocol):
    """Writes Events; `k3py.client.events.EventRecorder`."""

    def event(self, obj: JsonObject, event_type: str, reason: str, message: str, *, action: str = "") -> None:
        """Record an event; never blocks."""

    def named(self, component: str) -> Self:
        """Return one with another source."""


async def tell_failure(
    client: Client,
    recorder: Recorder,
    pod: JsonObject,
    message: str,
    *,
    reason: str = UNSCHEDULABLE,
    nominated: str | None = None,
) -> None:
    """Write what is new, and an event.

    Args:
        client: of the scheduler.
        recorder: of the profile.
        pod: as it was when it was tried.
        message: why it has no node.
        reason: of the condition.
        nominated: the node where it shall get room, "" = none any more, None = as before.
    """
    recorder.event(pod, "Warning", "FailedScheduling", message, action="Scheduling")
    metadata, old_status = pod["metadata"], pod.get("status") or {}
    status: JsonObject = {}
    known = next((one for one in old_status.get("conditions") or () if one["type"] == "PodScheduled"), None)
    if known is None or (known["status"], known.get("reason"), known.get("message")) != (
        "False",
        reason,
        message,
    ):
        was_false = known is not None and known["status"] == "False"
        status["conditions"] = [
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": reason,
                "message": message,
                "lastProbeTime": None,
                "lastTransitionTime": known["lastTransitionTime"]
                if was_false and known
                else format_time(clock.now()),
                **({"observedGeneration": metadata["generation"]} if "generation" in metadata else {}),
            }
        ]
    if nominated is not None and nominated != (old_status.get("nominatedNodeName") or ""):
        status["nominatedNodeName"] = nominated or None
    if not status:
        return
    try:
        await client.patch(
            PODS,
            metadata["name"],
            {"metadata": {"uid": metadata["uid"]}, "status": status},
            namespace=metadata["namespace"],
            subresource="status",
        )
    except ApiError as error:
        if error.code not in (404, 409):
            log.warning("cannot tell that a pod is unschedulable", extra={"error": error.message})
