"""Who goes so that an important pod fits, and where that hurts least (data: scheduler.tsv, topic preemption)."""

import random

from hypothesis import given
from hypothesis import strategies as st

from k3py.scheduler.node_info import PodInfo
from k3py.scheduler.preemption.candidates import (
    Candidate,
    CandidateSearch,
    PreemptionArguments,
    find_ineligibility,
    pick_candidate,
)
from tests.support.objects import node, pod
from tests.support.scheduling import Cluster


def important(cpu="1", priority=1000, **spec):
    return PodInfo(pod("boss", cpu=cpu, spec={"priority": priority, **spec}))


def lesser(name, where="a", cpu="1", priority=0, labels=None):
    return pod(name, node=where, cpu=cpu, labels=labels, spec={"priority": priority})


def budget(allowed, labels):
    return {
        "metadata": {"name": "b", "namespace": "default"},
        "spec": {"selector": {"matchLabels": labels}},
        "status": {"disruptionsAllowed": allowed},
    }


def victims_of(cluster, boss, budgets=()):
    _, diagnosis = cluster.framework.find_fitting(boss, cluster.cache)
    search = CandidateSearch(
        boss, cluster.cache, diagnosis, list(budgets), random.Random(1), PreemptionArguments()
    )
    while not search.step(1):
        pass
    found = {one.node_name: [victim.uid for victim in one.victims] for one in search.found}
    return found, "" if found else search.explain()


def test_only_as_many_as_needed_and_the_least_important():
    cluster = Cluster(node("a", cpu="3"), pods=tuple(lesser(f"p{n}", priority=n) for n in range(3)))
    assert victims_of(cluster, important())[0] == {"a": ["uid-p0"]}
    assert victims_of(cluster, important(cpu="2"))[0] == {"a": ["uid-p1", "uid-p0"]}


def test_equals_are_safe_and_the_message_says_so():
    cluster = Cluster(node("a", cpu="1"), node("b", unschedulable=True), pods=(lesser("p", priority=1000),))
    message = (
        "0/2 nodes are available: 1 No preemption victims found for incoming pod, "
        "1 Preemption is not helpful for scheduling."
    )
    assert victims_of(cluster, important()) == ({}, message)


def test_budgets_are_kept_when_others_can_go():
    cluster = Cluster(
        node("a", cpu="2"),
        pods=(lesser("guarded", labels={"app": "x"}), lesser("free", priority=5)),
    )
    assert victims_of(cluster, important(), [budget(0, {"app": "x"})])[0] == {"a": ["uid-free"]}
    assert victims_of(cluster, important(), [budget(1, {"app": "x"})])[0] == {"a": ["uid-guarded"]}


def test_never_and_patient_pods_do_not_preempt():
    cluster = Cluster(node("a", cpu="1"), pods=(lesser("p"),))
    boss = important(preemptionPolicy="Never")
    _, diagnosis = cluster.framework.find_fitting(boss, cluster.cache)
    assert find_ineligibility(boss, cluster.cache, diagnosis) == "not eligible due to preemptionPolicy=Never."
    going = lesser("p")
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    going["status"]["conditions"] = [
        {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}
    ]
    cluster.place(going)
    boss = important()
    assert find_ineligibility(boss, cluster.cache, diagnosis) == ""
    cluster.cache.nominate(boss, "a")
    message = "not eligible due to a terminating pod on the nominated node."
    assert find_ineligibility(boss, cluster.cache, diagnosis) == message


def test_a_nominated_node_is_kept_free_for_its_pod():
    cluster = Cluster(node("a", cpu="1"))
    cluster.cache.nominate(important(), "a")
    assert cluster.fitting(pod("small", cpu="1")) == set()
    assert cluster.fitting(pod("greater", cpu="1", spec={"priority": 2000})) == {"a"}
    assert cluster.schedule(important().pod).node_name == "a"


def candidate(name, *priorities, violations=0, started="2026-01-01T00:00:00Z"):
    victims = []
    for index, priority in enumerate(sorted(priorities, reverse=True)):
        one = lesser(f"{name}{index}", name, priority=priority)
        one["status"]["startTime"] = started
        victims.append(PodInfo(one))
    return Candidate(name, tuple(victims), violations)


def test_the_choice_hurts_least():
    def picked(*candidates):
        return pick_candidate(candidates).node_name

    assert picked(candidate("a", 1, violations=1), candidate("b", 9)) == "b"
    assert picked(candidate("a", 5, 1), candidate("b", 4, 4, 4)) == "b"
    assert picked(candidate("a", 5, 5), candidate("b", 5, 1)) == "b"
    assert picked(candidate("a", 5), candidate("b", 5, started="2026-02-01T00:00:00Z")) == "b"


@given(
    pods=st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3)), min_size=1, max_size=6),
    wanted=st.integers(1, 8),
    priority=st.integers(1, 3),
)
def test_victims_make_room_none_is_spared_in_vain_and_none_is_too_important(pods, wanted, priority):
    room = sum(cpu for cpu, _ in pods)
    placed = tuple(lesser(f"p{i}", cpu=str(cpu), priority=p) for i, (cpu, p) in enumerate(pods))
    cluster = Cluster(node("a", cpu=str(room)), pods=placed)
    boss = important(cpu=str(wanted), priority=priority)
    found, _ = victims_of(cluster, boss)
    sizes = {f"uid-p{i}": (cpu, p) for i, (cpu, p) in enumerate(pods)}
    may_go = sum(cpu for cpu, p in pods if p < priority)
    assert bool(found) == (may_go >= wanted)
    if found:
        gone = [sizes[uid] for uid in found["a"]]
        freed = sum(cpu for cpu, _ in gone)
        assert all(p < priority for _, p in gone)
        assert freed >= wanted
        assert all(freed - cpu < wanted for cpu, _ in gone)
