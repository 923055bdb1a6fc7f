"""What waits, and for what: pods and volume claims that are not where they should be, in one line each. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3py.api.kinds.core.pod.columns import summarize

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from k3py.jsontypes import JsonObject


@dataclass(frozen=True, slots=True)
class Waiting:
    """what: kind and name; state: as `kubectl get` shows it; why: in words."""

    what: str
    namespace: str
    state: str
    why: str
    since: str

    def as_object(self) -> JsonObject:
        """Return it as `-o json` shows it."""
        return {
            "object": self.what,
            "namespace": self.namespace,
            "state": self.state,
            "why": self.why,
            "since": self.since,
        }


def find_waiting(
    pods: Iterable[JsonObject], claims: Iterable[JsonObject], events: Mapping[str, str]
) -> list[Waiting]:
    """Return what waits, the oldest first.

    Args:
        pods: all of them.
        claims: all of them.
        events: the message of the last warning about an object, by its uid.
    """
    found = [*_pods(pods, events), *_claims(claims, events)]
    return sorted(found, key=lambda one: (one.since, one.namespace, one.what))


def _pods(pods: Iterable[JsonObject], events: Mapping[str, str]) -> Iterator[Waiting]:
    for pod in pods:
        summary = summarize(pod)
        phase = pod["status"].get("phase")
        if phase == "Succeeded" or (
            phase == "Running" and summary.ready == summary.total and summary.status == "Running"
        ):
            continue
        metadata = pod["metadata"]
        why = _why(pod) or events.get(metadata["uid"], "") or "no reason is known yet"
        since = metadata.get("deletionTimestamp") or metadata.get("creationTimestamp", "")
        yield Waiting(f"pod/{metadata['name']}", metadata["namespace"], summary.status, why, since)


def _why(pod: JsonObject) -> str:
    """Return what the pod itself says: deletion, its scheduling, the first container that is not well."""
    metadata, status = pod["metadata"], pod["status"]
    if metadata.get("deletionTimestamp"):
        if metadata.get("finalizers"):
            return f"it is deleted once these have done their part: {', '.join(metadata['finalizers'])}"
        return f"its containers have {metadata.get('deletionGracePeriodSeconds', 0)} s to end"
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    scheduled = conditions.get("PodScheduled") or {}
    if scheduled.get("status") == "False":
        return str(scheduled.get("message") or scheduled.get("reason") or "")
    if status.get("message"):
        return str(status["message"])
    statuses = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    for one in statuses:
        state = one.get("state") or {}
        waiting = state.get("waiting") or {}
        if waiting and waiting.get("reason") not in ("PodInitializing", "ContainerCreating"):
            return f"container {one['name']}: {waiting.get('message') or _last_end(one) or waiting.get('reason')}"
        ended = state.get("terminated") or {}
        if ended and ended.get("exitCode"):
            return f"container {one['name']}: {_end(ended)}"
    unready = [
        one["name"] for one in statuses if not one.get("ready") and "running" in (one.get("state") or {})
    ]
    return f"not ready: {', '.join(unready)}" if unready else ""


def _last_end(one: JsonObject) -> str:
    ended = (one.get("lastState") or {}).get("terminated")
    return _end(ended) if ended else ""


def _end(ended: JsonObject) -> str:
    message = f": {ended['message'].strip()}" if ended.get("message") else ""
    return f"{ended.get('reason') or 'ended'}, exit code {ended.get('exitCode')}{message}"


def _claims(claims: Iterable[JsonObject], events: Mapping[str, str]) -> Iterator[Waiting]:
    for claim in claims:
        metadata = claim["metadata"]
        phase = claim["status"].get("phase", "Pending")
        if phase == "Bound":
            continue
        why = events.get(metadata["uid"], "") or "no volume fits, or nobody makes one"
        yield Waiting(
            f"persistentvolumeclaim/{metadata['name']}",
            metadata["namespace"],
            phase,
            why,
            metadata.get("creationTimestamp", ""),
        )
