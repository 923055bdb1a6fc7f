"""What the plan says for a pod that shall run, as tables."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k3py.kubelet.backoff import Backoff
from k3py.kubelet.pod import container_hash
from k3py.kubelet.runtime_state import EMPTY, ContainerRecord, SandboxRecord, record_pod
from k3py.kubelet.sync_plan import (
    CreateSandbox,
    EndPod,
    KillContainer,
    Situation,
    StartContainer,
    StopSandbox,
    plan_kill,
    plan_pod,
    should_restart,
)
from tests.support.kubelet import bound_pod, container
from tests.support.pod_records import NOW_S, ran, record, runs


def plan(pod, have, *, backoff=None, **situation: Any):
    backoff = backoff or Backoff()
    return plan_pod(pod, Situation(record=have, now_s=NOW_S, backoff_until_s=backoff.until_s, **situation))


def test_a_new_pod_gets_a_sandbox():
    assert plan(bound_pod(), EMPTY).actions == (CreateSandbox(0),)


def test_nothing_happens_while_the_sandbox_is_made():
    assert plan(bound_pod(), EMPTY, busy=frozenset({""})).actions == ()


def test_a_ready_sandbox_gets_its_first_container():
    pod = bound_pod(containers=[container("a"), container("b")])
    assert plan(pod, record()).actions == (StartContainer("a", "regular", 0),)


def test_the_second_container_waits_for_the_start_of_the_first():
    pod = bound_pod(containers=[container("a"), container("b")])
    assert plan(pod, record(), busy=frozenset({"a"})).actions == ()
    assert plan(pod, record(runs("a"))).actions == (StartContainer("b", "regular", 0),)


def test_a_container_in_back_off_does_not_hold_up_the_next():
    pod = bound_pod(containers=[container("a"), container("b")])
    backoff = Backoff()
    backoff.advance("a", NOW_S - 1)
    found = plan(pod, record(ran("a", 1)), backoff=backoff)
    assert found.actions == (StartContainer("b", "regular", 0),)
    assert found.waiting["a"].reason == "CrashLoopBackOff"
    assert found.deadline_s == NOW_S - 1 + 10


@pytest.mark.parametrize(
    ("policy", "code", "again"),
    [
        ("Always", 0, True),
        ("Always", 1, True),
        ("OnFailure", 0, False),
        ("OnFailure", 1, True),
        ("Never", 0, False),
        ("Never", 1, False),
    ],
)
def test_the_restart_policy_decides(policy, code, again):
    pod = bound_pod(restartPolicy=policy)
    assert should_restart(pod, pod["spec"]["containers"][0], ran("c", code)) is again
    expected = StartContainer("c", "regular", 1) if again else EndPod()
    assert plan(pod, record(ran("c", code))).actions == (expected,)


def test_a_containers_own_rules_win_over_the_policy():
    rules = [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]
    pod = bound_pod(
        containers=[container("c", restartPolicy="Never", restartPolicyRules=rules)], restartPolicy="Never"
    )
    assert should_restart(pod, pod["spec"]["containers"][0], ran("c", 42))
    assert not should_restart(pod, pod["spec"]["containers"][0], ran("c", 41))


def test_init_containers_go_one_after_another():
    pod = bound_pod(initContainers=[container("i"), container("j")])
    assert plan(pod, record()).actions == (StartContainer("i", "init", 0),)
    assert plan(pod, record(runs("i"))).actions == ()
    assert plan(pod, record(ran("i"))).actions == (StartContainer("j", "init", 0),)
    assert plan(pod, record(ran("i"), ran("j"))).actions == (StartContainer("c", "regular", 0),)


def test_a_failed_init_container_is_tried_again_or_ends_the_pod():
    always = bound_pod(initContainers=[container("i")])
    assert plan(always, record(ran("i", 1))).actions == (StartContainer("i", "init", 1),)
    never = bound_pod(initContainers=[container("i")], restartPolicy="Never")
    assert plan(never, record(ran("i", 1))).actions == (EndPod(),)


def test_what_follows_a_sidecar_waits_until_it_is_started():
    pod = bound_pod(initContainers=[container("s", restartPolicy="Always")])
    assert plan(pod, record(runs("s"))).actions == ()
    assert plan(pod, record(runs("s")), started=frozenset({"s-0"})).actions == (
        StartContainer("c", "regular", 0),
    )


def test_a_dead_sidecar_is_restarted_while_the_pod_runs_and_not_behind_its_end():
    pod = bound_pod(initContainers=[container("s", restartPolicy="Always")], restartPolicy="Never")
    assert StartContainer("s", "init", 1) in plan(pod, record(ran("s"), runs("c"))).actions
    assert plan(pod, record(ran("s"), ran("c"))).actions == (EndPod(),)


def test_init_containers_do_not_run_again_once_a_container_has():
    pod = bound_pod(initContainers=[container("i")])
    assert plan(pod, record(ran("c", 1))).actions == (StartContainer("c", "regular", 1),)


def test_a_dead_sandbox_is_replaced_once_its_containers_are_stopped():
    pod = bound_pod()
    assert [type(one) for one in plan(pod, record(runs("c"), ready=False)).actions] == [KillContainer]
    assert plan(pod, record(ran("c"), ready=False)).actions == (CreateSandbox(1),)


def test_a_dead_sandbox_of_a_finished_pod_is_not_replaced():
    pod = bound_pod(restartPolicy="Never")
    assert plan(pod, record(ran("c"), ready=False)).actions == (EndPod(),)


def test_in_a_new_sandbox_init_containers_run_again():
    pod = bound_pod(initContainers=[container("i")])
    have = record_pod([SandboxRecord(id="s1", attempt=1)], [ran("i"), ran("c", 137)])
    assert plan(pod, have).actions == (StartContainer("i", "init", 1),)


def test_a_condemned_container_is_killed_with_the_probes_own_grace():
    probe = {"terminationGracePeriodSeconds": 3}
    pod = bound_pod(containers=[container("c", livenessProbe=probe)])
    (action,) = plan(pod, record(runs("c")), verdicts={"c-0": "liveness"}).actions
    assert isinstance(action, KillContainer)
    assert (action.reason, action.grace_s) == ("liveness", 3)
    assert action.message == "Container c failed liveness probe, will be restarted"


def test_a_container_with_another_image_is_killed():
    pod = bound_pod()
    good = container_hash(pod["spec"]["containers"][0])
    assert plan(pod, record(runs("c", hash=good))).actions == ()
    (action,) = plan(pod, record(runs("c", hash="other"))).actions
    assert action.reason == "hash"


def test_a_created_container_is_started_without_counting_as_a_restart():
    have = record(ContainerRecord(id="x", name="c", sandbox_id="s0", attempt=2, state="created"))
    assert plan(bound_pod(), have).actions == (StartContainer("c", "regular", 2, "x"),)


def test_an_ephemeral_container_starts_once():
    pod = bound_pod(ephemeralContainers=[container("e")])
    assert StartContainer("e", "ephemeral", 0) in plan(pod, record(runs("c"))).actions
    assert plan(pod, record(runs("c"), ran("e"))).actions == ()


def test_sidecars_end_in_reverse_order_behind_the_containers():
    pod = bound_pod(
        initContainers=[container("s", restartPolicy="Always"), container("t", restartPolicy="Always")]
    )
    have = record(runs("s"), runs("t"), runs("c"))
    assert [one.name for one in plan_kill(pod, have, frozenset())] == ["c"]
    assert plan_kill(pod, have, frozenset({"c"})) == ()
    assert [one.name for one in plan_kill(pod, record(runs("s"), runs("t"), ran("c")), frozenset())] == ["t"]
    assert [one.name for one in plan_kill(pod, record(runs("s"), ran("t"), ran("c")), frozenset())] == ["s"]
    assert plan_kill(pod, record(ran("s"), ran("t"), ran("c")), frozenset()) == (StopSandbox("s0"),)
    assert plan_kill(pod, record(ran("c"), ready=False), frozenset()) == ()


class Machine:
    """A runtime that does what the plan says, with containers that end as hypothesis wants."""

    def __init__(self, pod) -> None:
        self.pod = pod
        self.sandboxes: list[SandboxRecord] = []
        self.containers: dict[str, ContainerRecord] = {}
        self.backoff = Backoff()
        self.now_s = NOW_S
        self.ended = False

    def turn(self) -> None:
        have = record_pod(self.sandboxes, self.containers.values())
        situation = Situation(
            record=have,
            now_s=self.now_s,
            backoff_until_s=self.backoff.until_s,
            started=frozenset(one.id for one in have.running()),
        )
        found = plan_pod(self.pod, situation)
        for action in found.actions:
            self.do(action, have)
        self.now_s = max(self.now_s + 0.1, found.deadline_s or 0.0)

    def do(self, action, have) -> None:
        if isinstance(action, CreateSandbox):
            assert not have.running(), "a sandbox is made while containers of the old one run"
            self.sandboxes.append(
                SandboxRecord(id=f"s{action.attempt}", attempt=action.attempt, ips=("10.0.0.1",))
            )
        elif isinstance(action, StartContainer):
            self.start(action, have)
        elif isinstance(action, EndPod):
            self.ended = True
        elif isinstance(action, KillContainer):
            self.end(action.container_id, 137)

    def start(self, action, have) -> None:
        before = have.find(action.name)
        assert before is None or not before.running, "started twice"
        assert action.attempt == (0 if before is None else before.attempt + 1)
        if action.role == "regular":
            for one in self.pod["spec"]["initContainers"]:
                done = have.find(one["name"])
                assert done is not None, "started before its init containers"
        identity = f"{action.name}-{action.attempt}"
        self.backoff.advance(action.name, self.now_s)
        self.containers[identity] = ContainerRecord(
            id=identity,
            name=action.name,
            sandbox_id=self.sandboxes[-1].id,
            attempt=action.attempt,
            created_ns=int(self.now_s * 1e9),
            started_ns=int(self.now_s * 1e9),
        )

    def end(self, identity: str, code: int) -> None:
        one = self.containers[identity]
        if one.running:
            self.containers[identity] = ContainerRecord(
                id=one.id,
                name=one.name,
                sandbox_id=one.sandbox_id,
                attempt=one.attempt,
                state="exited",
                created_ns=one.created_ns,
                started_ns=one.started_ns,
                finished_ns=int(self.now_s * 1e9),
                exit_code=code,
            )


@settings(max_examples=60, deadline=None)
@given(
    policy=st.sampled_from(["Always", "OnFailure", "Never"]),
    shape=st.tuples(st.integers(0, 2), st.integers(1, 3)),
    faults=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2), st.booleans()), max_size=12),
)
def test_whatever_ends_the_pod_runs_or_ends_in_the_end(policy, shape, faults):
    inits = [container(f"i{number}") for number in range(shape[0])]
    regular = [container(f"c{number}") for number in range(shape[1])]
    pod = bound_pod(initContainers=inits, containers=regular, restartPolicy=policy)
    machine = Machine(pod)
    for which, code, sandbox_dies in faults:
        machine.turn()
        running = [one for one in machine.containers.values() if one.running]
        if running:
            machine.end(running[which % len(running)].id, code)
        if sandbox_dies and machine.sandboxes:
            old = machine.sandboxes[-1]
            machine.sandboxes[-1] = SandboxRecord(id=old.id, ready=False, attempt=old.attempt)
    for _ in range(30):
        if machine.ended:
            break
        machine.turn()
        for one in list(machine.containers.values()):
            if one.running and one.name.startswith("i"):
                machine.end(one.id, 0)
    have = record_pod(machine.sandboxes, machine.containers.values())
    up = {one.name for one in have.running()}
    names = {one["name"] for one in regular}
    if policy == "Always":
        assert not machine.ended
        assert up == names
    else:
        assert machine.ended or any(name in up for name in names)
    if machine.ended:
        assert not up & names
