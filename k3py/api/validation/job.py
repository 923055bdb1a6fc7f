"""Jobs and CronJobs. Source: kubernetes/pkg/apis/batch/validation/validation.go v1.35."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from k3py.api.cron import ScheduleError, parse_schedule
from k3py.api.fielderror import duplicate, invalid_value, not_supported, required
from k3py.api.names import find_label_faults, find_qualified_name_faults, find_subdomain_faults
from k3py.api.selectors import SelectorError, selector_from_object
from k3py.api.validation.pod_spec import validate_pod_template
from k3py.api.validation.scalar import IMMUTABLE, check_known, check_non_negative, check_text, too_many
from k3py.api.validation.selector import validate_selector
from k3py.api.validation.workload import check_counts, labels_of_template

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject, JsonValue

_COUNTS: Final = (
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
)
_MODES: Final = ("Indexed", "NonIndexed")
_REPLACEMENTS: Final = ("Failed", "TerminatingOrFailed")
_ACTIONS: Final = ("Count", "FailIndex", "FailJob", "Ignore")
_MOST_PARALLEL: Final = 100_000
_MOST_FAILED_INDEXES: Final = 10_000
_MANAGER: Final = re.compile(r"[^/]+/.+\Z")
_LONGEST_MANAGER: Final = 63
_MOST_RULES: Final = 20
_MOST_EXIT_CODES: Final = 255
_MOST_CONDITIONS: Final = 20
_CONCURRENCY: Final = ("Allow", "Forbid", "Replace")
_FIXED: Final = (
    "selector",
    "completionMode",
    "podFailurePolicy",
    "backoffLimitPerIndex",
    "managedBy",
    "successPolicy",
)
_MISMATCH: Final = "`selector` does not match template `labels`"


def is_indexed(spec: JsonObject) -> bool:
    """Say whether the pods of the Job have numbers."""
    return bool(spec.get("completionMode") == "Indexed")


def validate_job_spec(spec: JsonObject, path: str) -> list[FieldError]:
    """Check the spec of a Job or of a CronJob's template, apart from the selector."""
    errors = check_counts(spec, path, _COUNTS)
    if spec.get("maxFailedIndexes") is not None and spec.get("backoffLimitPerIndex") is None:
        errors.append(required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified"))
    if spec.get("managedBy") is not None:
        errors += check_text(spec["managedBy"], f"{path}.managedBy", _find_manager_faults)
    mode = spec.get("completionMode")
    if mode is not None:
        errors += check_known(mode, f"{path}.completionMode", _MODES)
    errors += _validate_indexes(spec, path)
    template = spec.get("template") or {}
    pod = template.get("spec") or {}
    if spec.get("podFailurePolicy") is not None:
        errors += _validate_failure_policy(spec, pod, f"{path}.podFailurePolicy")
    if spec.get("successPolicy") is not None:
        where = f"{path}.successPolicy"
        if is_indexed(spec):
            errors += _validate_success_policy(spec, where)
        else:
            errors.append(invalid_value(where, spec["successPolicy"], "requires indexed completion mode"))
    replacement = spec.get("podReplacementPolicy")
    if replacement is not None:
        allowed = _REPLACEMENTS[:1] if spec.get("podFailurePolicy") is not None else _REPLACEMENTS
        errors += check_known(replacement, f"{path}.podReplacementPolicy", allowed)
    errors += validate_pod_template(template, f"{path}.template")
    return errors + _validate_restart_policy(spec, pod, f"{path}.template.spec.restartPolicy")


def _validate_restart_policy(spec: JsonObject, pod: JsonObject, path: str) -> list[FieldError]:
    policy = pod.get("restartPolicy", "Always")
    if policy == "Always":
        return [required(path, 'valid values: "OnFailure", "Never"')]
    if policy not in ("OnFailure", "Never"):
        return [not_supported(path, policy, ("Never", "OnFailure"))]
    if policy != "Never" and spec.get("podFailurePolicy") is not None:
        return [invalid_value(path, policy, 'only "Never" is supported when podFailurePolicy is specified')]
    return []


def _find_manager_faults(name: str) -> list[str]:
    if len(name) > _LONGEST_MANAGER:
        return [f"may not be more than {_LONGEST_MANAGER} bytes"]
    if not _MANAGER.match(name):
        return ['must be a domain-prefixed path (such as "acme.io/foo")']
    return find_subdomain_faults(name.partition("/")[0])


def _validate_indexes(spec: JsonObject, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if not is_indexed(spec):
        return [
            invalid_value(f"{path}.{field}", spec[field], "requires indexed completion mode")
            for field in ("backoffLimitPerIndex", "maxFailedIndexes")
            if spec.get(field) is not None
        ]
    completions, parallelism = spec.get("completions"), spec.get("parallelism")
    if completions is None:
        errors.append(required(f"{path}.completions", "when completion mode is Indexed"))
    if parallelism is not None and parallelism > _MOST_PARALLEL:
        detail = f"must be less than or equal to {_MOST_PARALLEL} when completion mode is Indexed"
        errors.append(invalid_value(f"{path}.parallelism", parallelism, detail))
    failed = spec.get("maxFailedIndexes")
    if completions is not None and failed is not None:
        if failed > completions:
            detail = "must be less than or equal to completions"
            errors.append(invalid_value(f"{path}.maxFailedIndexes", failed, detail))
        if failed > _MOST_PARALLEL:
            detail = f"must be less than or equal to {_MOST_PARALLEL}"
            errors.append(invalid_value(f"{path}.maxFailedIndexes", failed, detail))
    if (
        completions is not None
        and completions > _MOST_PARALLEL
        and spec.get("backoffLimitPerIndex") is not None
    ):
        if failed is None:
            errors.append(required(f"{path}.maxFailedIndexes", "when completions is above 100000"))
        elif failed > _MOST_FAILED_INDEXES:
            detail = f"must be less than or equal to {_MOST_FAILED_INDEXES} when completions are above 100000"
            errors.append(invalid_value(f"{path}.maxFailedIndexes", failed, detail))
    return errors


def _validate_failure_policy(spec: JsonObject, pod: JsonObject, path: str) -> list[FieldError]:
    rules = spec["podFailurePolicy"].get("rules") or ()
    where = f"{path}.rules"
    if len(rules) > _MOST_RULES:
        return [too_many(where, _MOST_RULES, len(rules))]
    names = {one.get("name") for field in ("containers", "initContainers") for one in pod.get(field) or ()}
    errors: list[FieldError] = []
    for index, rule in enumerate(rules):
        at = f"{where}[{index}]"
        action = rule.get("action", "")
        if not action:
            errors.append(required(f"{at}.action", f"valid values: {', '.join(_ACTIONS)}"))
        elif action == "FailIndex" and spec.get("backoffLimitPerIndex") is None:
            detail = "requires the backoffLimitPerIndex to be set"
            errors.append(invalid_value(f"{at}.action", action, detail))
        else:
            errors += check_known(action, f"{at}.action", _ACTIONS)
        codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions") or ()
        if codes is not None:
            errors += _validate_exit_codes(codes, names, f"{at}.onExitCodes")
        errors += _validate_conditions(conditions, f"{at}.onPodConditions")
        if codes is not None and conditions:
            detail = "specifying both OnExitCodes and OnPodConditions is not supported"
            errors.append(invalid_value(at, "", detail))
        if codes is None and not conditions:
            errors.append(
                invalid_value(at, "", "specifying one of OnExitCodes and OnPodConditions is required")
            )
    return errors


def _validate_exit_codes(codes: JsonObject, names: set[str], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    operator, values = codes.get("operator", ""), codes.get("values") or []
    if operator not in ("In", "NotIn"):
        errors.append(
            not_supported(f"{path}.operator", operator, ("In", "NotIn"))
            if operator
            else required(f"{path}.operator")
        )
    container = codes.get("containerName")
    if container is not None and container not in names:
        detail = "must be one of the container or initContainer names in the pod template"
        errors.append(invalid_value(f"{path}.containerName", container, detail))
    where = f"{path}.values"
    if not values:
        errors.append(invalid_value(where, values, "at least one value is required"))
    elif len(values) > _MOST_EXIT_CODES:
        errors.append(too_many(where, _MOST_EXIT_CODES, len(values)))
    for index, value in enumerate(values):
        at = f"{where}[{index}]"
        if operator == "In" and value == 0:
            errors.append(invalid_value(at, value, "must not be 0 for the In operator"))
        if value in values[:index]:
            errors.append(duplicate(at, value))
        elif index and value < values[index - 1]:
            errors.append(invalid_value(where, values, "must be ordered"))
    return errors


def _validate_conditions(conditions: JsonValue, path: str) -> list[FieldError]:
    if len(conditions) > _MOST_CONDITIONS:
        return [too_many(path, _MOST_CONDITIONS, len(conditions))]
    errors: list[FieldError] = []
    for index, one in enumerate(conditions):
        at = f"{path}[{index}]"
        kind, status = one.get("type", ""), one.get("status", "")
        errors += (
            check_text(kind, f"{at}.type", find_qualified_name_faults) if kind else [required(f"{at}.type")]
        )
        if not status:
            errors.append(required(f"{at}.status"))
        else:
            errors += check_known(status, f"{at}.status", ("False", "True", "Unknown"))
    return errors


def _validate_success_policy(spec: JsonObject, path: str) -> list[FieldError]:
    rules = spec["successPolicy"].get("rules") or ()
    where = f"{path}.rules"
    if not rules:
        return [required(where, "at least one rules must be specified when the successPolicy is specified")]
    if len(rules) > _MOST_RULES:
        return [too_many(where, _MOST_RULES, len(rules))]
    completions = spec.get("completions") or 0
    errors: list[FieldError] = []
    for index, rule in enumerate(rules):
        at = f"{where}[{index}]"
        indexes, count = rule.get("succeededIndexes"), rule.get("succeededCount")
        if indexes is None and count is None:
            errors.append(
                required(at, "at least one of succeededCount or succeededIndexes must be specified")
            )
        total = completions
        if indexes is not None:
            found = count_indexes(indexes, completions)
            if found is None:
                detail = "must be ordered numbers and ranges below completions, such as 0,2-4"
                errors.append(invalid_value(f"{at}.succeededIndexes", indexes, detail))
            else:
                total = found
        if count is not None:
            errors += check_non_negative(count, f"{at}.succeededCount")
            if count > total:
                detail = f"must be less than or equal to {total}"
                errors.append(invalid_value(f"{at}.succeededCount", count, detail))
    return errors


def count_indexes(text: str, completions: int) -> int | None:
    """Return how many numbers "0,2-4" names, None when it is malformed, out of order or beyond `completions`."""
    total, last = 0, -1
    for part in text.split(",") if text else ():
        low_text, dash, high_text = part.partition("-")
        if not low_text.isdigit() or (dash and not high_text.isdigit()):
            return None
        low, high = int(low_text), int(high_text) if dash else int(low_text)
        if low <= last or high >= completions or (dash and low >= high):
            return None
        total, last = total + high - low + 1, high
    return total


def validate_job(obj: JsonObject) -> list[FieldError]:
    """Check a new Job whose selector and labels have been generated."""
    spec, metadata = obj.get("spec") or {}, obj["metadata"]
    errors = _validate_generated(spec, metadata) + validate_whole_spec(spec)
    completions = spec.get("completions") or 0
    if is_indexed(spec) and completions > 0:
        errors += check_text(
            f"{metadata.get('name', '')}-{completions - 1}", "metadata.name", find_label_faults
        )
    return errors


def validate_whole_spec(spec: JsonObject) -> list[FieldError]:
    """Check the spec of a Job, selector included."""
    errors = validate_job_spec(spec, "spec")
    selector = spec.get("selector")
    if selector is None:
        errors.append(required("spec.selector"))
    else:
        errors += validate_selector(selector, "spec.selector")
    try:
        matches = selector_from_object(selector).matches(labels_of_template(spec))
    except SelectorError:
        return errors
    if not matches:
        errors.append(invalid_value("spec.template.metadata.labels", labels_of_template(spec), _MISMATCH))
    return errors


def _validate_generated(spec: JsonObject, metadata: JsonObject) -> list[FieldError]:
    if spec.get("manualSelector") or spec.get("selector") is None:
        return []
    labels = labels_of_template(spec)
    expected = generated_labels(metadata)
    path = "spec.template.metadata.labels"
    errors = [
        invalid_value(path, labels, f"must be '{value}'")
        if key in labels
        else required(path, f"must be '{value}'")
        for key, value in expected.items()
        if labels.get(key) != value
    ]
    try:
        if not selector_from_object(spec["selector"]).matches(expected):
            errors.append(invalid_value("spec.selector", spec["selector"], "`selector` not auto-generated"))
    except SelectorError:
        return errors
    return errors


def generated_labels(metadata: JsonObject) -> dict[str, str]:
    """Return the labels by which a Job finds its pods."""
    uid, name = metadata.get("uid", ""), metadata.get("name", "")
    return {
        "controller-uid": uid,
        "batch.kubernetes.io/controller-uid": uid,
        "job-name": name,
        "batch.kubernetes.io/job-name": name,
    }


def validate_job_change(new: JsonObject, old: JsonObject) -> list[FieldError]:
    """Compare two Jobs: most of the spec stays; where pods run may change before they first do."""
    before, after = old.get("spec") or {}, new.get("spec") or {}
    errors: list[FieldError] = []
    completions = after.get("completions")
    if completions != before.get("completions"):
        path = "spec.completions"
        if not is_indexed(after):
            errors.append(invalid_value(path, completions, IMMUTABLE))
        elif completions != after.get("parallelism"):
            detail = "can only be modified in tandem with spec.parallelism"
            errors.append(invalid_value(path, completions, detail))
    is_fresh = bool(before.get("suspend")) and not (old.get("status") or {}).get("startTime")
    templates = [(one.get("template") or {}) for one in (before, after)]
    if is_fresh:
        templates = [_without_placement(one) for one in templates]
    if templates[0] != templates[1]:
        errors.append(invalid_value("spec.template", "", IMMUTABLE))
    return errors + [
        invalid_value(f"spec.{field}", after.get(field), IMMUTABLE)
        for field in _FIXED
        if (after.get(field) or None) != (before.get(field) or None)
    ]


def _without_placement(template: JsonObject) -> JsonObject:
    pod = dict(template.get("spec") or {})
    for field in ("nodeSelector", "tolerations", "schedulingGates"):
        pod.pop(field, None)
    affinity = {key: one for key, one in (pod.pop("affinity", None) or {}).items() if key != "nodeAffinity"}
    if affinity:
        pod["affinity"] = affinity
    metadata = template.get("metadata") or {}
    return {
        "metadata": {key: one for key, one in metadata.items() if key not in ("labels", "annotations")},
        "spec": pod,
    }


def validate_cron_job(spec: JsonObject) -> list[FieldError]:
    """Check the spec of a CronJob."""
    schedule, path = spec.get("schedule", ""), "spec.schedule"
    errors = check_text(schedule, path, _find_schedule_faults) if schedule else [required(path)]
    errors += check_counts(
        spec, "spec", ("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit")
    )
    if spec.get("timeZone") is not None:
        errors += check_text(spec["timeZone"], "spec.timeZone", _find_zone_faults)
    policy = spec.get("concurrencyPolicy", "")
    where = "spec.concurrencyPolicy"
    errors += check_known(policy, where, _CONCURRENCY) if policy else [required(where)]
    job = (spec.get("jobTemplate") or {}).get("spec") or {}
    where = "spec.jobTemplate.spec"
    if job.get("manualSelector"):
        errors.append(not_supported(f"{where}.manualSelector", True, ("nil", "false")))
    return errors + validate_job_spec(job, where)


def _find_schedule_faults(text: str) -> list[str]:
    if "TZ" in text:
        return ["cannot use TZ or CRON_TZ in schedule, use timeZone field instead"]
    try:
        parse_schedule(text)
    except ScheduleError as error:
        return [str(error)]
    return []


def _find_zone_faults(name: str) -> list[str]:
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - rarely needed

    if not name:
        return ["timeZone must be nil or non-empty string"]
    if name.lower() == "local":
        return ["timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"]
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError) as error:
        return [f"unknown time zone {name}: {error}"]
    return []
