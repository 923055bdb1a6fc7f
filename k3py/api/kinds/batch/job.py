"""Pods that run to completion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, column, format_selector, pod_template_columns, value_at
from k3py.api.duration import human_duration
from k3py.api.kind import Column, Kind, StoragePolicy, Subresource
from k3py.api.strategy import WorkloadStrategy
from k3py.api.timestamps import parse_time

if TYPE_CHECKING:
    from datetime import datetime

    from k3py.jsontypes import JsonObject


class JobStrategy(WorkloadStrategy):
    """See the module."""

    default_propagation = "Orphan"


def _selector(obj: JsonObject) -> str:
    return format_selector(value_at(obj, "spec.selector"))


_STATES: Final = (
    ("Complete", "Complete"),
    ("Failed", "Failed"),
    ("", "Terminating"),
    ("Suspended", "Suspended"),
    ("FailureTarget", "FailureTarget"),
    ("SuccessCriteriaMet", "SuccessCriteriaMet"),
)


def _status_of(obj: JsonObject) -> str:
    conditions = {
        one.get("type") for one in value_at(obj, "status.conditions", ()) if one.get("status") == "True"
    }
    if obj["metadata"].get("deletionTimestamp"):
        conditions.add("")
    return next((text for condition, text in _STATES if condition in conditions), "Running")


def _completions(obj: JsonObject) -> str:
    done = value_at(obj, "status.succeeded", 0)
    wanted = value_at(obj, "spec.completions")
    if wanted is not None:
        return f"{done}/{wanted}"
    parallelism = value_at(obj, "spec.parallelism", 0)
    return f"{done}/1 of {parallelism}" if parallelism > 1 else f"{done}/1"


def _duration(obj: JsonObject, now: datetime) -> str:
    start = value_at(obj, "status.startTime")
    if not start:
        return ""
    end = value_at(obj, "status.completionTime")
    span = (parse_time(end) if end else now) - parse_time(start)
    return human_duration(int(span.total_seconds()))


KIND: Final = Kind(
    group="batch",
    version="v1",
    kind="Job",
    plural="jobs",
    categories=("all",),
    schema="io.k8s.api.batch.v1.Job",
    strategy=JobStrategy(),
    subresources=(
        Subresource(
            name="status",
            verbs=(
                "get",
                "patch",
                "update",
            ),
        ),
    ),
    columns=(
        NAME,
        column("Status", _status_of),
        column("Completions", _completions),
        Column(name="Duration", value=_duration),
        AGE,
        *pod_template_columns("spec.template", _selector),
    ),
    selectable_fields={"status.successful": lambda obj: str(value_at(obj, "status.succeeded", 0))},
    storage=StoragePolicy(prefix="jobs"),
    storage_version_hash="mudhfqk/qZY=",
)
