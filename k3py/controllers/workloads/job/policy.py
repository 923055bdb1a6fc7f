"""Pod failure policies and success policies: pure.

Source: kubernetes/pkg/controller/job/{pod_failure_policy,success_policy}.go v1.35.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3py.controllers.workloads.job.indexes import parse_indexes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from k3py.jsontypes import JsonObject


@dataclass(frozen=True, slots=True)
class FailureVerdict:
    """What the policy says of a failed pod.

    action: "Ignore", "Count", "FailIndex", "FailJob", or "" when no rule matches; message: why the job fails.
    """

    action: str = ""
    message: str = ""

    @property
    def counts(self) -> bool:
        """Say whether the failure counts towards the limits."""
        return self.action != "Ignore"


def judge_failure(job: JsonObject, pod: JsonObject) -> FailureVerdict:
    """Apply the first rule that matches."""
    rules = (job["spec"].get("podFailurePolicy") or {}).get("rules") or ()
    for number, rule in enumerate(rules):
        reason = ""
        if rule.get("onExitCodes"):
            reason = _match_exit_codes(rule["onExitCodes"], pod)
        elif rule.get("onPodConditions"):
            reason = _match_conditions(rule["onPodConditions"], pod)
        if not reason:
            continue
        action = rule["action"]
        if action == "FailIndex" and job["spec"].get("backoffLimitPerIndex") is None:
            continue
        message = f"{reason} matching {action} rule at index {number}" if action == "FailJob" else ""
        return FailureVerdict(action, message)
    return FailureVerdict()


def _statuses(pod: JsonObject) -> Iterator[JsonObject]:
    status = pod.get("status") or {}
    yield from status.get("containerStatuses") or ()
    yield from status.get("initContainerStatuses") or ()


def _match_exit_codes(wanted: JsonObject, pod: JsonObject) -> str:
    for one in _statuses(pod):
        ended = (one.get("state") or {}).get("terminated")
        if (
            ended is None
            or not ended.get("exitCode")
            or wanted.get("containerName", one["name"]) != one["name"]
        ):
            continue
        if (ended["exitCode"] in wanted["values"]) is (wanted["operator"] == "In"):
            metadata = pod["metadata"]
            return (
                f"Container {one['name']} for pod {metadata['namespace']}/{metadata['name']} failed with exit code "
                f"{ended['exitCode']}"
            )
    return ""


def _match_conditions(patterns: list[JsonObject], pod: JsonObject) -> str:
    for condition in (pod.get("status") or {}).get("conditions") or ():
        for pattern in patterns:
            if pattern["type"] == condition["type"] and pattern.get("status", "True") == condition["status"]:
                metadata = pod["metadata"]
                return f"Pod {metadata['namespace']}/{metadata['name']} has condition {condition['type']}"
    return ""


def match_success(job: JsonObject, succeeded: set[int]) -> str:
    """Return why the job counts as successful by its policy, "" when it does not."""
    completions = job["spec"].get("completions") or 0
    for number, rule in enumerate((job["spec"].get("successPolicy") or {}).get("rules") or ()):
        count, text = rule.get("succeededCount"), rule.get("succeededIndexes")
        matching = succeeded if text is None else succeeded & parse_indexes(text, completions)
        needed = count if count is not None else len(parse_indexes(text or "", completions))
        if (count is not None or text is not None) and len(matching) >= needed:
            return f"Matched rules at index {number}"
    return ""
