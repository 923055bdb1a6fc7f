"""What the status of a Job may say. Source: kubernetes/pkg/apis/batch/validation/validation.go validateJobStatus v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import duplicate, invalid_value, required
from k3py.api.timestamps import parse_time
from k3py.api.validation.job import count_indexes, is_indexed
from k3py.api.validation.workload import check_counts

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject

_COUNTS: Final = ("active", "succeeded", "failed", "ready", "terminating")


def validate_job_status(new: JsonObject, old: JsonObject) -> list[FieldError]:
    """Check a write to the status subresource."""
    status, spec = new.get("status") or {}, old.get("spec") or {}
    true = {one.get("type") for one in status.get("conditions") or () if one.get("status") == "True"}
    errors = check_counts(status, "status", _COUNTS)
    errors += _check_conditions(true, old)
    errors += _check_times(status, true)
    ready, active = status.get("ready") or 0, status.get("active") or 0
    if ready > active:
        errors.append(invalid_value("status.ready", ready, "cannot set more ready pods than active"))
    if true & {"Complete", "Failed"}:
        errors += _check_finished(status)
    errors += _check_indexes(status, spec)
    return errors + _check_uncounted(status.get("uncountedTerminatedPods") or {})


def _check_conditions(true: set[str], old: JsonObject) -> list[FieldError]:
    faults = [
        text
        for is_wrong, text in (
            ({"Complete", "Failed"} <= true, "cannot set Complete=True and Failed=true conditions"),
            (
                {"Complete", "FailureTarget"} <= true,
                "cannot set Complete=True and FailureTarget=true conditions",
            ),
            (
                {"SuccessCriteriaMet", "FailureTarget"} <= true,
                "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions",
            ),
            (
                {"SuccessCriteriaMet", "Failed"} <= true,
                "cannot set SuccessCriteriaMet=True and Failed=true conditions",
            ),
            (
                "Failed" in true and "FailureTarget" not in true,
                "cannot set Failed=True condition without the FailureTarget=true condition",
            ),
            (
                "Complete" in true and "SuccessCriteriaMet" not in true,
                "cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
            ),
        )
        if is_wrong
    ]
    before = (old.get("status") or {}).get("conditions") or ()
    faults += [
        f"cannot disable {one['type']}=True condition"
        for one in before
        if one.get("status") == "True"
        and one.get("type") in ("Complete", "Failed", "FailureTarget", "SuccessCriteriaMet")
        and one["type"] not in true
    ]
    return [invalid_value("status.conditions", sorted(true), text) for text in faults]


def _check_times(status: JsonObject, true: set[str]) -> list[FieldError]:
    start, end = status.get("startTime"), status.get("completionTime")
    path = "status.completionTime"
    errors: list[FieldError] = []
    if end and "Complete" not in true:
        detail = "cannot set completionTime when there is no Complete=True condition"
        errors.append(invalid_value(path, end, detail))
    if not end and "Complete" in true:
        errors.append(required(path, "completionTime is required for Complete jobs"))
    if start and end and parse_time(end) < parse_time(start):
        errors.append(invalid_value(path, end, "completionTime cannot be set before startTime"))
    return errors


def _check_finished(status: JsonObject) -> list[FieldError]:
    errors: list[FieldError] = []
    if not status.get("startTime"):
        errors.append(required("status.startTime", "startTime is required for finished job"))
    for field in ("active", "terminating"):
        if status.get(field):
            detail = f"{field}>0 is invalid for finished job"
            errors.append(invalid_value(f"status.{field}", status[field], detail))
    uncounted = status.get("uncountedTerminatedPods") or {}
    if any(uncounted.values()):
        detail = "uncountedTerminatedPods needs to be empty for finished job"
        errors.append(invalid_value("status.uncountedTerminatedPods", uncounted, detail))
    return errors


def _check_indexes(status: JsonObject, spec: JsonObject) -> list[FieldError]:
    errors: list[FieldError] = []
    completions = spec.get("completions")
    for field in ("completedIndexes", "failedIndexes"):
        text = status.get(field)
        if not text:
            continue
        path = f"status.{field}"
        if completions is None or count_indexes(text, completions) is None:
            detail = "must be ordered numbers and ranges below completions, such as 0,2-4"
            errors.append(invalid_value(path, text, detail))
        elif not is_indexed(spec):
            errors.append(
                invalid_value(path, text, f"cannot set non-empty {field} when non-indexed completion mode")
            )
    return errors


def _check_uncounted(uncounted: JsonObject) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for field in ("succeeded", "failed"):
        for index, uid in enumerate(uncounted.get(field) or ()):
            path = f"status.uncountedTerminatedPods.{field}[{index}]"
            if not uid:
                errors.append(invalid_value(path, uid, "must not be empty"))
            elif uid in seen:
                errors.append(duplicate(path, uid))
            seen.add(uid)
    return errors
