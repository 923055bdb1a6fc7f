"""Pods that run to completion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.columns import AGE, NAME, column, format_selector, pod_template_columns, value_at
from k3py.api.duration import human_duration
from k3py.api.kind import Column, Kind, StoragePolicy, Subresource
from k3py.api.strategy import WorkloadStrategy
from k3py.api.timestamps import parse_time
from k3py.api.validation.job import (
    generated_labels,
    validate_job,
    validate_job_change,
    validate_whole_spec,
)
from k3py.api.validation.job_status import validate_job_status

if TYPE_CHECKING:
    from datetime import datetime

    from k3py.api.fielderror import FieldError
    from k3py.api.kind import WriteContext
    from k3py.jsontypes import JsonObject


class JobStrategy(WorkloadStrategy):
    """Source: kubernetes/pkg/registry/batch/job/strategy.go v1.35."""

    default_propagation = "Orphan"

    def prepare_create(self, obj: JsonObject, context: WriteContext) -> None:
        """Unless the client has its own, the selector is generated, and the labels that it looks for."""
        super().prepare_create(obj, context)
        spec = obj.setdefault("spec", {})
        if spec.get("manualSelector"):
            return
        generated = generated_labels(obj["metadata"])
        template = spec.setdefault("template", {})
        metadata = template.setdefault("metadata", {})
        given = metadata.get("labels") or {}
        metadata["labels"] = {**generated, **given}
        if given and obj["metadata"].get("labels") == given:  # A Job without labels has those of its pods.
            obj["metadata"]["labels"] = dict(metadata["labels"])
        selector = dict(spec.get("selector") or {})
        selector["matchLabels"] = {_SELECTED: generated[_SELECTED], **(selector.get("matchLabels") or {})}
        spec["selector"] = selector

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check numbers, policies, selector and template."""
        return validate_job(obj)

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Most of a Job stays."""
        return validate_whole_spec(new.get("spec") or {}) + validate_job_change(new, old)

    def validate_status_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Conditions, times and counts fit together."""
        return validate_job_status(new, old)


_SELECTED: Final = "batch.kubernetes.io/controller-uid"


def _fill_labels(obj: JsonObject) -> JsonObject:
    """Give a Job that is stored without labels those of its pods, as upstream's decoding from the datastore does."""
    labels = value_at(obj, "spec.template.metadata.labels")
    if not labels or obj["metadata"].get("labels"):
        return obj
    return {**obj, "metadata": {**obj["metadata"], "labels": dict(labels)}}


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
    to_storage=_fill_labels,
    storage_version_hash="mudhfqk/qZY=",
)
