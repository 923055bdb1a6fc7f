"""The cluster in a few numbers, of lists of its objects. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from k3py.api.kinds.core.pod.columns import summarize
from k3py.api.quantity import millis, value_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.jsontypes import JsonObject

_ROLE: Final = "node-role.kubernetes.io/"
_OVER: Final = ("Succeeded", "Failed")


def summarize_nodes(nodes: Sequence[JsonObject], pods: Sequence[JsonObject]) -> list[JsonObject]:
    """Return name, state, what is wrong, roles, address, and what pods asked for of what there is."""
    return [
        _node(node, [pod for pod in pods if pod["spec"].get("nodeName") == node["metadata"]["name"]])
        for node in nodes
    ]


def _node(node: JsonObject, pods: Sequence[JsonObject]) -> JsonObject:
    metadata, status = node["metadata"], node["status"]
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    ready = conditions.get("Ready") or {}
    states = ["Ready" if ready.get("status") == "True" else "NotReady"]
    if node["spec"].get("unschedulable"):
        states.append("SchedulingDisabled")
    problems = [] if ready.get("status") == "True" else [ready.get("message") or "it was never ready"]
    problems += [
        one.get("message") or kind
        for kind, one in conditions.items()
        if kind != "Ready" and one["status"] == "True"
    ]
    alive = [pod for pod in pods if pod["status"].get("phase") not in _OVER]
    allocatable = status.get("allocatable") or {}
    return {
        "name": metadata["name"],
        "state": ",".join(states),
        "problems": problems,
        "roles": sorted(
            key.removeprefix(_ROLE) for key in metadata.get("labels") or {} if key.startswith(_ROLE)
        ),
        "address": next(
            (one["address"] for one in status.get("addresses") or () if one["type"] == "InternalIP"), ""
        ),
        "version": (status.get("nodeInfo") or {}).get("kubeletVersion", ""),
        "since": metadata.get("creationTimestamp", ""),
        "pods": len(alive),
        "podsMax": value_of(allocatable.get("pods", "0")),
        "cpuRequestedMillis": sum(_asked(pod, "cpu") for pod in alive),
        "cpuMillis": millis(allocatable.get("cpu", "0")),
        "memoryRequestedBytes": sum(_asked(pod, "memory") for pod in alive),
        "memoryBytes": value_of(allocatable.get("memory", "0")),
    }


def _asked(pod: JsonObject, resource: str) -> int:
    read = millis if resource == "cpu" else value_of
    return sum(
        read(asked)
        for one in pod["spec"].get("containers") or ()
        if (asked := ((one.get("resources") or {}).get("requests") or {}).get(resource))
    )


def summarize_servers(slices: Sequence[JsonObject], nodes: Sequence[JsonObject]) -> list[JsonObject]:
    """Return the API servers: addresses behind the Service `kubernetes`, and the node of that address."""
    names = {
        address["address"]: node["metadata"]["name"]
        for node in nodes
        for address in node["status"].get("addresses") or ()
        if address["type"] == "InternalIP"
    }
    return [
        {
            "address": f"{address}:{(one.get('ports') or [{}])[0].get('port', '')}",
            "node": names.get(address, ""),
            "ready": (endpoint.get("conditions") or {}).get("ready") is not False,
        }
        for one in slices
        for endpoint in one.get("endpoints") or ()
        for address in endpoint["addresses"]
    ]


def count_pods(pods: Sequence[JsonObject]) -> dict[str, int]:
    """Return how many pods there are in each state, the most frequent first."""
    return dict(Counter(summarize(pod).status or "Unknown" for pod in pods).most_common())


def last_warnings(events: Sequence[JsonObject]) -> dict[str, str]:
    """Return the message of the last warning about each object, by its uid."""
    found: dict[str, tuple[str, str]] = {}
    for event in events:
        if event.get("type") != "Warning":
            continue
        when = (
            event.get("lastTimestamp")
            or event.get("eventTime")
            or event["metadata"].get("creationTimestamp")
            or ""
        )
        uid = (event.get("involvedObject") or {}).get("uid", "")
        if when >= found.get(uid, ("", ""))[0]:
            found[uid] = (when, f"{event.get('reason', '')}: {event.get('message', '')}")
    return {uid: message for uid, (_, message) in found.items()}
