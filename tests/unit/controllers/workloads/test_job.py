"""Jobs: completions, indexes, limits, policies, counting exactly once (api-machinery §6.1)."""

from datetime import timedelta

import pytest

from k3py.api.kind import WriteContext
from k3py.api.kinds.batch.job import KIND
from k3py.api.object import deep_copy
from k3py.api.resource import JOBS, PODS
from k3py.api.timestamps import format_time, parse_time
from k3py.api.user import User
from k3py.controllers.workloads.job import controller as job_controller
from k3py.controllers.workloads.job.indexes import format_indexes, parse_indexes
from k3py.controllers.workloads.job.plan import Backoff, View, delay_s, judge, plan_pods
from k3py.controllers.workloads.job.pods import FINALIZER, make_job_pod
from k3py.controllers.workloads.job.policy import judge_failure, match_success
from k3py.controllers.workloads.job.tracking import plan_counted, plan_tracking
from tests.support.controllers import World
from tests.support.objects import OLD, pod

NOW = parse_time("2026-01-01T01:00:00Z")


def make_job(status=None, **spec):
    return {
        "kind": "Job",
        "apiVersion": "batch/v1",
        "metadata": {"name": "j", "namespace": "default", "uid": "u"},
        "spec": {
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 6,
            "selector": {"matchLabels": {"job": "j"}},
            "template": {
                "metadata": {"labels": {"job": "j"}},
                "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]},
            },
            **spec,
        },
        "status": status or {},
    }


def job_pod(name="p", phase="Running", *, code=None, index=None, finished=OLD, failures=None, **more):
    one = pod(name, phase=phase, labels={"job": "j"}, **more)
    one["metadata"]["finalizers"] = [FINALIZER]
    if code is not None:
        ended = {"exitCode": code, "finishedAt": finished}
        one["status"]["containerStatuses"] = [{"name": "c", "state": {"terminated": ended}}]
    annotations = one["metadata"]["annotations"] = {}
    if index is not None:
        annotations["batch.kubernetes.io/job-completion-index"] = str(index)
    if failures is not None:
        annotations["batch.kubernetes.io/job-index-failure-count"] = str(failures)
    return one


def view(pods, status=None, *, backoff=None, **spec):
    return View(job=make_job(status, **spec), pods=pods, now=NOW, backoff=backoff or Backoff())


@pytest.fixture
def world():
    return World()


def _job(world):
    return world.client.objects(JOBS)[0]


def _has(world, kind):
    conditions = _job(world).get("status", {}).get("conditions", [])
    return any(one["type"] == kind and one["status"] == "True" for one in conditions)


def _end(world, one, phase):
    changed = deep_copy(one)
    changed["status"] = job_pod(phase=phase, code=0 if phase == "Succeeded" else 1)["status"]
    world.client.seed(PODS, changed)


def _running(world):
    return [
        one
        for one in world.client.objects(PODS)
        if one.get("status", {}).get("phase") not in ("Succeeded", "Failed")
    ]


async def test_a_job_runs_to_completion_also_over_a_restart_and_counts_each_pod_once(world):
    await world.client.create(JOBS, make_job(completions=3, parallelism=2), namespace="default")
    async with world.running(job_controller.build):
        await world.until(lambda: len(_running(world)) == 2)
        _end(world, _running(world)[0], "Succeeded")
        await world.until(
            lambda: _job(world).get("status", {}).get("succeeded") == 1 and len(_running(world)) == 2
        )
    _end(world, _running(world)[0], "Succeeded")
    _end(world, _running(world)[0], "Succeeded")
    async with world.running(job_controller.build):
        await world.until(lambda: _has(world, "Complete"))
    status = _job(world)["status"]
    assert (status["succeeded"], status["uncountedTerminatedPods"], status["terminating"]) == (3, {}, 0)
    assert "active" not in status
    assert not any(one["metadata"].get("finalizers") for one in world.client.objects(PODS))
    assert world.recorder.events[-1] == ("Completed", "Job completed")


async def test_counting_goes_on_where_a_crash_left_it(world):
    """The status names the pod, its finalizer is gone, the counter was not yet raised."""
    status = {"uncountedTerminatedPods": {"succeeded": ["uid-p"]}, "startTime": OLD}
    live = make_job(status)
    world.client.seed(JOBS, live)
    done = job_pod("p", "Succeeded", code=0, owner={**OWNER})
    del done["metadata"]["finalizers"]
    world.client.seed(PODS, done)
    async with world.running(job_controller.build):
        await world.until(lambda: _has(world, "Complete"))
    assert _job(world)["status"]["succeeded"] == 1
    assert len(world.client.objects(PODS)) == 1


OWNER = {"kind": "Job", "apiVersion": "batch/v1", "name": "j", "uid": "u", "controller": True}


async def test_too_many_failures_end_the_job_and_its_other_pods(world):
    await world.client.create(
        JOBS, make_job(backoffLimit=0, completions=2, parallelism=2), namespace="default"
    )
    async with world.running(job_controller.build):
        await world.until(lambda: len(_running(world)) == 2)
        _end(world, _running(world)[0], "Failed")
        await world.until(lambda: _has(world, "Failed"))
    assert [one["reason"] for one in _job(world)["status"]["conditions"]] == ["BackoffLimitExceeded"] * 2
    assert _job(world)["status"]["failed"] == 2
    assert world.recorder.reasons()[-1] == "BackoffLimitExceeded"


async def test_suspending_removes_pods_without_counting_them_and_resuming_makes_new_ones(world):
    await world.client.create(JOBS, make_job(), namespace="default")
    async with world.running(job_controller.build):
        await world.until(lambda: len(_running(world)) == 1)
        await world.client.patch(JOBS, "j", {"spec": {"suspend": True}}, namespace="default")
        await world.until(lambda: _has(world, "Suspended") and not _running(world))
        await world.client.patch(JOBS, "j", {"spec": {"suspend": False}}, namespace="default")
        await world.until(lambda: len(_running(world)) == 1 and not _has(world, "Suspended"))
    assert "failed" not in _job(world)["status"]
    assert [one for one in world.recorder.reasons() if one in ("Suspended", "Resumed")] == [
        "Suspended",
        "Resumed",
    ]


async def test_a_pod_whose_job_is_gone_is_let_go(world):
    world.client.seed(PODS, job_pod("p", owner={**OWNER, "uid": "gone"}))
    async with world.running(job_controller.build):
        await world.until(lambda: not world.client.objects(PODS)[0]["metadata"].get("finalizers"))


async def test_a_job_of_another_controller_is_left_alone(world):
    await world.client.create(JOBS, make_job(managedBy="example.com/other"), namespace="default")
    controller = job_controller.build(world.context)
    await controller.reconcile("default/j")
    assert not world.client.objects(PODS)


def test_failures_delay_the_next_pod_and_a_success_ends_that():
    assert [delay_s(one) for one in (1, 2, 3, 20)] == [10, 20, 40, 600]
    just_now = format_time(NOW - timedelta(seconds=4))
    failed = job_pod("f", "Failed", code=1, finished=just_now)
    plan = plan_pods(view([failed]), judge(view([failed])))
    assert (plan.create, plan.wait_s) == ([], 6.0)
    good = job_pod("s", "Succeeded", code=0, finished=format_time(NOW - timedelta(seconds=2)))
    again = view([failed, good], completions=2)
    assert plan_pods(again, judge(again)).create == [None]


def test_a_work_queue_makes_no_more_pods_after_a_success():
    pods = [job_pod("a", "Succeeded", code=0), job_pod("b")]
    a_view = view(pods, completions=None, parallelism=3)
    assert plan_pods(a_view, judge(a_view)).create == []


def test_the_lowest_free_indexes_are_started_and_doubles_removed():
    a_view = view([job_pod("a", index=1)], completions=4, parallelism=3, completionMode="Indexed")
    assert plan_pods(a_view, judge(a_view)).create == [0, 2]
    doubled = view(
        [job_pod("a", index=0, node="n"), job_pod("b", index=0), job_pod("c", index=9)],
        completions=2,
        parallelism=3,
        completionMode="Indexed",
    )
    assert {one["metadata"]["name"] for one in plan_pods(doubled, judge(doubled)).delete} == {"b", "c"}


def test_an_index_fails_alone_and_its_failed_pod_stays_until_it_is_replaced():
    spec = {"completions": 2, "parallelism": 2, "completionMode": "Indexed", "backoffLimitPerIndex": 1}
    first = view([job_pod("a", "Failed", code=1, index=0, failures=0), job_pod("b", index=1)], **spec)
    standing = judge(first)
    assert (standing.failed_indexes, list(standing.delayed)) == (set(), [0])
    assert plan_tracking(first, standing, {}).release == ()
    replacement = make_job_pod(first.job, 0, standing.delayed[0], ignored=False)
    assert replacement["metadata"]["annotations"]["batch.kubernetes.io/job-index-failure-count"] == "1"
    second = view([job_pod("a", "Failed", code=1, index=0, failures=1), job_pod("b", index=1)], **spec)
    assert judge(second).failed_indexes == {0}
    assert judge(second).verdict is None
    last = view(
        [job_pod("a", "Failed", code=1, index=0, failures=1), job_pod("b", "Succeeded", index=1)], **spec
    )
    verdict = judge(last).verdict
    assert verdict is not None
    assert verdict.reason == "FailedIndexes"


@pytest.mark.parametrize(
    ("rule", "action"),
    [
        ({"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}, "FailJob"),
        ({"action": "FailJob", "onExitCodes": {"operator": "In", "values": [1]}}, ""),
        ({"action": "Ignore", "onExitCodes": {"operator": "NotIn", "values": [1]}}, "Ignore"),
        ({"action": "Count", "onExitCodes": {"containerName": "x", "operator": "In", "values": [42]}}, ""),
        ({"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}, "Ignore"),
        ({"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [42]}}, ""),
    ],
)
def test_the_first_matching_rule_decides_about_a_failed_pod(rule, action):
    failed = job_pod("f", "Failed", code=42)
    failed["status"]["conditions"] = [{"type": "DisruptionTarget", "status": "True"}]
    assert judge_failure(make_job(podFailurePolicy={"rules": [rule]}), failed).action == action


@pytest.mark.parametrize(
    ("rule", "succeeded", "met"),
    [
        ({"succeededIndexes": "0,2-3"}, {0, 2, 3}, True),
        ({"succeededIndexes": "0,2-3"}, {0, 2}, False),
        ({"succeededIndexes": "0,2-3", "succeededCount": 2}, {0, 2}, True),
        ({"succeededCount": 2}, {1}, False),
    ],
)
def test_success_policies_need_indexes_or_counts(rule, succeeded, met):
    job = make_job(completions=5, completionMode="Indexed", successPolicy={"rules": [rule]})
    assert bool(match_success(job, succeeded)) is met


def test_a_deadline_ends_the_job_or_tells_when_it_will():
    started = {"startTime": format_time(NOW - timedelta(seconds=30))}
    assert judge(view([], started, activeDeadlineSeconds=40)).wait_s == 10
    verdict = judge(view([], started, activeDeadlineSeconds=30)).verdict
    assert verdict is not None
    assert verdict.reason == "DeadlineExceeded"


def test_a_deleted_pod_counts_as_failed_unless_only_failed_ones_are_replaced():
    leaving = job_pod("p", deleting=True)
    assert judge(view([leaving])).failed == 1
    strict = judge(view([leaving], podReplacementPolicy="Failed"))
    assert (strict.failed, plan_pods(view([leaving], podReplacementPolicy="Failed"), strict).create) == (
        0,
        [],
    )


def test_uids_move_into_the_counters_once_their_finalizer_is_gone():
    status = {"succeeded": 1, "uncountedTerminatedPods": {"succeeded": ["a", "b"], "failed": ["c"]}}
    assert plan_counted(status, {"b"}) == {
        "succeeded": 2,
        "failed": 1,
        "uncountedTerminatedPods": {"succeeded": ["b"]},
    }


def test_indexes_are_written_in_runs():
    assert format_indexes({0, 2, 3, 5, 6, 7}) == "0,2,3,5-7"
    assert parse_indexes("0,2,3,5-7,x", 7) == {0, 2, 3, 5, 6}


def test_the_selector_is_made_of_the_uid_unless_it_is_manual():
    made = make_job()
    del made["spec"]["selector"], made["spec"]["template"]["metadata"]
    KIND.strategy.prepare_create(made, WriteContext(now=OLD, user=User(name="u")))
    assert made["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}}
    labels = made["spec"]["template"]["metadata"]["labels"]
    assert (labels["batch.kubernetes.io/job-name"], labels["controller-uid"]) == ("j", "u")
    assert KIND.to_storage(made)["metadata"]["labels"] == labels
    manual = make_job(manualSelector=True)
    KIND.strategy.prepare_create(manual, WriteContext(now=OLD, user=User(name="u")))
    assert manual["spec"]["selector"] == {"matchLabels": {"job": "j"}}
