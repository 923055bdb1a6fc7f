"""Jobs and CronJobs: what is generated, what is refused, what stays (api-machinery.md §3.4)."""

from __future__ import annotations

import pytest

from k3py.api.kind import WriteContext
from k3py.api.kinds.batch.cron_job import CronJobStrategy
from k3py.api.kinds.batch.job import KIND, JobStrategy
from k3py.api.object import deep_copy
from k3py.api.user import User
from k3py.api.validation.job import count_indexes

CONTEXT = WriteContext(user=User(name="tester"), now="2026-01-02T03:04:05Z")
STRATEGY = JobStrategy()
POD = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}
NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"


def job(name="j", **spec):
    fields = {"parallelism": 1, "completions": 1, "completionMode": "NonIndexed", "podReplacementPolicy": "Failed"}
    obj = {
        "metadata": {"name": name, "namespace": "a", "uid": "u-1"},
        "spec": {"template": {"spec": deep_copy(POD)}, **fields, **spec},
    }
    STRATEGY.prepare_create(obj, CONTEXT)
    return obj


def listed(errors):
    return sorted((one.reason.removeprefix("FieldValue"), one.path) for one in errors)


def test_pods_are_found_by_the_uid_of_their_job():
    obj = job()
    assert obj["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": "u-1"}}
    labels = obj["spec"]["template"]["metadata"]["labels"]
    assert labels["job-name"] == labels["batch.kubernetes.io/job-name"] == "j"
    assert STRATEGY.validate(obj) == []
    # A Job without labels is stored with those of its pods.
    assert "labels" not in obj["metadata"]
    assert KIND.to_storage(obj)["metadata"]["labels"] == labels
    obj["metadata"]["labels"] = {"own": "label"}
    assert KIND.to_storage(obj)["metadata"]["labels"] == {"own": "label"}


def test_a_selector_of_ones_own_must_be_asked_for():
    own = {"matchLabels": {"a": "b"}}
    assert listed(STRATEGY.validate(job(selector=own))) == [
        ("Invalid", "spec.selector"),
        ("Invalid", "spec.template.metadata.labels"),
    ]
    template = {"metadata": {"labels": {"a": "b"}}, "spec": POD}
    manual = job(selector=own, manualSelector=True, template=template)
    assert manual["spec"]["selector"] == own
    assert STRATEGY.validate(manual) == []


@pytest.mark.parametrize(
    ("spec", "faults"),
    [
        ({"parallelism": -1}, [("Invalid", "spec.parallelism")]),
        ({"completionMode": "Odd"}, [("NotSupported", "spec.completionMode")]),
        ({"template": {"spec": {**POD, "restartPolicy": "Always"}}}, [("Required", "spec.template.spec.restartPolicy")]),
        ({"backoffLimitPerIndex": 1}, [("Invalid", "spec.backoffLimitPerIndex")]),
        (
            {"completionMode": "Indexed", "maxFailedIndexes": 1},
            [("Required", "spec.backoffLimitPerIndex")],
        ),
        ({"successPolicy": {"rules": [{"succeededCount": 1}]}}, [("Invalid", "spec.successPolicy")]),
        (
            {"podFailurePolicy": {"rules": [{"action": "Count"}]}},
            [("Invalid", "spec.podFailurePolicy.rules[0]")],
        ),
        (
            {"podFailurePolicy": {"rules": [{"action": "Count", "onExitCodes": {"operator": "In", "values": [0]}}]}},
            [("Invalid", "spec.podFailurePolicy.rules[0].onExitCodes.values[0]")],
        ),
        ({"managedBy": "nodomain"}, [("Invalid", "spec.managedBy")]),
    ],
)
def test_a_fault_is_reported_at_its_field(spec, faults):
    assert listed(STRATEGY.validate(job(**spec))) == faults


def test_the_name_of_the_last_indexed_pod_must_fit():
    assert listed(STRATEGY.validate(job("a" * 61, completionMode="Indexed", completions=9))) == []
    assert ("Invalid", "metadata.name") in listed(
        STRATEGY.validate(job("a" * 61, completionMode="Indexed", completions=12))
    )


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        ({"parallelism": 5}, []),
        ({"suspend": False}, []),
        ({"completions": 3}, [("Invalid", "spec.completions")]),
        ({"managedBy": "example.com/x"}, [("Invalid", "spec.managedBy")]),
    ],
)
def test_most_of_a_job_stays(change, faults):
    old = job(suspend=True)
    new = deep_copy(old)
    new["spec"].update(change)
    assert listed(STRATEGY.validate_update(new, old)) == faults


def test_where_pods_run_may_change_until_they_first_do():
    old = job(suspend=True)
    new = deep_copy(old)
    new["spec"]["template"]["spec"]["nodeSelector"] = {"a": "b"}
    assert STRATEGY.validate_update(new, old) == []
    started = {**old, "status": {"startTime": NOW}}
    assert listed(STRATEGY.validate_update(new, started)) == [("Invalid", "spec.template")]
    new["spec"]["template"]["spec"]["containers"][0]["image"] = "other"
    assert listed(STRATEGY.validate_update(new, old)) == [("Invalid", "spec.template")]


def conditions(*kinds):
    return [{"type": kind, "status": "True"} for kind in kinds]


@pytest.mark.parametrize(
    ("status", "faults"),
    [
        ({"active": 1, "ready": 1}, []),
        ({"active": 1, "ready": 2}, [("Invalid", "status.ready")]),
        (
            {
                "startTime": NOW,
                "completionTime": LATER,
                "conditions": conditions("SuccessCriteriaMet", "Complete"),
            },
            [],
        ),
        (
            {
                "startTime": LATER,
                "completionTime": NOW,
                "conditions": conditions("SuccessCriteriaMet", "Complete"),
            },
            [("Invalid", "status.completionTime")],
        ),
        ({"startTime": NOW, "conditions": conditions("Failed")}, [("Invalid", "status.conditions")]),
        (
            {"uncountedTerminatedPods": {"succeeded": ["a"], "failed": ["a"]}},
            [("Duplicate", "status.uncountedTerminatedPods.failed[0]")],
        ),
        ({"completedIndexes": "0"}, [("Invalid", "status.completedIndexes")]),
    ],
)
def test_the_status_of_a_job_fits_together(status, faults):
    old = job()
    assert listed(STRATEGY.validate_status_update({**old, "status": status}, old)) == faults


@pytest.mark.parametrize(
    ("text", "count"),
    [("", 0), ("0", 1), ("0,2-4", 4), ("3-1", None), ("2,1", None), ("5", None), ("a-b", None), ("1-1", None)],
)
def test_indexes_are_ordered_numbers_and_ranges(text, count):
    assert count_indexes(text, 5) == count


@pytest.mark.parametrize(
    ("spec", "faults"),
    [
        ({}, []),
        ({"schedule": ""}, [("Required", "spec.schedule")]),
        ({"schedule": "60 * * * *"}, [("Invalid", "spec.schedule")]),
        ({"schedule": "TZ=UTC 0 * * * *"}, [("Invalid", "spec.schedule")]),
        ({"timeZone": "Mars/Base"}, [("Invalid", "spec.timeZone")]),
        ({"timeZone": "Europe/Zurich"}, []),
        ({"concurrencyPolicy": "Odd"}, [("NotSupported", "spec.concurrencyPolicy")]),
    ],
)
def test_a_cron_job_needs_a_schedule(spec, faults):
    fields = {"schedule": "0 * * * *", "concurrencyPolicy": "Allow", "jobTemplate": {"spec": {"template": {"spec": POD}}}}
    obj = {"metadata": {"name": "c"}, "spec": {**fields, **spec}}
    assert listed(CronJobStrategy().validate(obj)) == faults
    obj["metadata"]["name"] = "c" * 53
    assert ("Invalid", "metadata.name") in listed(CronJobStrategy().validate(obj))
