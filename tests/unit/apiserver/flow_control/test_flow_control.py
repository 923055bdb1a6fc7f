"""Who runs, who waits and who is refused."""

import asyncio
import json
from pathlib import Path

import pytest

import k3py.apiserver
from k3py.api.user import ANONYMOUS, User
from k3py.apiserver.filters.request_info import parse_request_info
from k3py.apiserver.flow_control.flow_control import FlowControl, Overloaded
from k3py.apiserver.flow_control.flow_schema import FlowSchema
from k3py.apiserver.flow_control.metrics import flow_metrics
from k3py.apiserver.flow_control.priority_level import PriorityLevel
from k3py.util.supervise import TaskScope

PODS = parse_request_info("GET", "/api/v1/namespaces/a/pods")


def person(name, *groups):
    return User(name=name, groups=(*groups, "system:authenticated"))


ADMIN, ALICE, BOB = person("admin", "system:masters"), person("alice"), person("bob")


def level(name, *, shares=30, lend=0, borrow=None, queues=None):
    response = {"type": "Queue", "queuing": queues} if queues else {"type": "Reject"}
    limited = {"nominalConcurrencyShares": shares, "lendablePercent": lend, "limitResponse": response}
    if borrow is not None:
        limited["borrowingLimitPercent"] = borrow
    return {"metadata": {"name": name, "uid": f"uid-{name}"}, "spec": {"type": "Limited", "limited": limited}}


def schema(name, to, *, precedence=1000, groups=("system:authenticated",), users=(), accounts=(), resources=None, urls=None, by="ByUser"):
    subjects = [{"kind": "Group", "group": {"name": one}} for one in groups]
    subjects += [{"kind": "User", "user": {"name": one}} for one in users]
    subjects += [{"kind": "ServiceAccount", "serviceAccount": {"namespace": ns, "name": one}} for ns, one in accounts]
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": True}
    rule = {"subjects": subjects, "resourceRules": [resources or everything]}
    rule["nonResourceRules"] = [{"verbs": ["*"], "nonResourceURLs": urls or ["*"]}]
    spec = {"priorityLevelConfiguration": {"name": to}, "matchingPrecedence": precedence, "rules": [rule]}
    return {"metadata": {"name": name, "uid": f"uid-{name}"}, "spec": {**spec, "distinguisherMethod": {"type": by}}}


def make(*documents, total=10, **settings):
    control = FlowControl(most_reading=total, most_mutating=0, **settings)
    for one in documents:
        handle = control.handle_schema if "matchingPrecedence" in one["spec"] else control.handle_level
        handle(("", one["metadata"]["name"]), one)
    return control


QUEUES = {"queues": 4, "handSize": 1, "queueLengthLimit": 2}


async def test_the_masters_never_wait():
    control = make(total=0)
    seats = [await control.enter(ADMIN, PODS) for _ in range(100)]
    assert control.reading == 100
    for seat in seats:
        seat.leave()
        seat.leave()
    assert control.reading == 0
    assert control.levels["exempt"].executing == 0


async def test_without_queues_too_many_are_refused():
    control = make(level("l", borrow=0), schema("s", "l"), level("other", shares=265, borrow=0))
    first = await control.enter(ALICE, PODS)
    assert (first.schema.uid, first.level.uid) == ("uid-s", "uid-l")
    with pytest.raises(Overloaded):
        await control.enter(BOB, PODS)
    first.leave()
    assert (await control.enter(BOB, PODS)).level.name == "l"
    assert control.schemas["s"].rejected == {"concurrency-limit": 1}


async def test_who_waits_runs_when_another_ends():
    control = make(level("l", shares=5, queues=QUEUES), schema("s", "l"), total=1)
    first = await control.enter(ALICE, PODS)
    async with TaskScope() as scope:
        waiting = scope.spawn(control.enter(ALICE, PODS), name="second")
        await asyncio.sleep(0)
        assert control.schemas["s"].waiting == 1
        assert not waiting.done()
        first.leave()
        (await waiting).leave()
    assert control.levels["l"].executing == 0
    assert control.schemas["s"].waiting == 0
    assert control.schemas["s"].dispatched == 2


async def test_users_take_turns_so_that_none_starves():
    control = make(level("l", shares=5, queues={"queues": 64, "handSize": 1, "queueLengthLimit": 50}), schema("s", "l"), total=1)
    order = []

    async def ask(who):
        seat = await control.enter(who, PODS)
        order.append(who.name)
        seat.leave()

    first = await control.enter(ALICE, PODS)
    async with TaskScope() as scope:
        tasks = [scope.spawn(ask(ALICE), name="a") for _ in range(20)]
        await asyncio.sleep(0)
        tasks.append(scope.spawn(ask(BOB), name="b"))
        await asyncio.sleep(0)
        first.leave()
        for task in tasks:
            await task
    assert order.index("bob") <= 1


async def test_a_full_queue_refuses():
    control = make(level("l", shares=5, queues=QUEUES), schema("s", "l"), total=1)
    await control.enter(ALICE, PODS)
    async with TaskScope() as scope:
        for _ in range(2):
            scope.spawn(control.enter(ALICE, PODS), name="waits")
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await control.enter(ALICE, PODS)
        assert control.schemas["s"].rejected == {"queue-full": 1}
        scope.cancel()


async def test_who_waits_too_long_is_refused():
    control = make(level("l", shares=5, queues=QUEUES), schema("s", "l"), total=1, most_wait_s=0.01)
    await control.enter(ALICE, PODS)
    with pytest.raises(Overloaded):
        await control.enter(ALICE, PODS)
    assert control.schemas["s"].rejected == {"time-out": 1}
    assert not control.levels["l"].is_waiting


async def test_a_client_that_goes_away_leaves_its_place():
    control = make(level("l", shares=5, queues=QUEUES), schema("s", "l"), total=1)
    first = await control.enter(ALICE, PODS)
    async with TaskScope() as scope:
        waiting = scope.spawn(control.enter(ALICE, PODS), name="waits")
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert not control.levels["l"].is_waiting
    first.leave()
    assert control.levels["l"].executing == 0


async def test_a_client_that_goes_when_its_turn_comes_gives_it_back():
    control = make(level("l", shares=5, queues=QUEUES), schema("s", "l"), total=1)
    first = await control.enter(ALICE, PODS)
    async with TaskScope() as scope:
        waiting = scope.spawn(control.enter(ALICE, PODS), name="waits")
        await asyncio.sleep(0)
        first.leave()
        waiting.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert control.levels["l"].executing == 0
    (await control.enter(BOB, PODS)).leave()


async def test_seats_are_lent_and_kept():
    lender, borrower = level("lender", shares=50, lend=50), level("borrower", shares=50, queues=QUEUES)
    lender["spec"]["limited"]["nominalConcurrencyShares"] = borrower["spec"]["limited"]["nominalConcurrencyShares"] = 95
    control = make(lender, borrower, schema("b", "borrower", users=("bob",), groups=()), schema("a", "lender", precedence=2000), total=10)
    assert [control.levels[one].seats for one in ("lender", "borrower", "catch-all")] == [5, 5, 1]
    assert control.levels["lender"].lendable == 2
    taken = [await control.enter(BOB, PODS) for _ in range(6)]  # five of its own, one that the lender can spare
    async with TaskScope() as scope:
        waiting = scope.spawn(control.enter(BOB, PODS), name="waits")
        await asyncio.sleep(0)
        assert not waiting.done()
        for _ in range(5):
            await control.enter(ALICE, PODS)  # whom the seats belong to gets them all the same
        taken[0].leave()
        taken[1].leave()
        await waiting


async def test_changes_of_the_objects_count_at_once():
    control = make(level("l", shares=5, queues=QUEUES), schema("s", "l"), total=1)
    await control.enter(ALICE, PODS)
    async with TaskScope() as scope:
        waiting = scope.spawn(control.enter(ALICE, PODS), name="waits")
        await asyncio.sleep(0)
        control.handle_level(("", "l"), {**level("l"), "spec": {"type": "Exempt"}})
        await waiting
    control.handle_schema(("", "s"), None)
    assert (await control.enter(ALICE, PODS)).schema.name == "catch-all"


async def test_a_schema_whose_level_is_missing_is_passed_over():
    control = make(schema("s", "nowhere"))
    assert (await control.enter(ALICE, PODS)).schema.name == "catch-all"


async def test_who_waits_at_a_level_that_goes_is_refused():
    control = make(level("l", shares=5, queues=QUEUES), schema("s", "l"), total=1)
    first = await control.enter(ALICE, PODS)
    async with TaskScope() as scope:
        waiting = scope.spawn(_refused(control), name="waits")
        await asyncio.sleep(0)
        control.handle_level(("", "l"), None)
        assert await waiting
    first.leave()


async def _refused(control):
    with pytest.raises(Overloaded):
        await control.enter(ALICE, PODS)
    return True


@pytest.mark.parametrize(
    ("user", "method", "path", "found"),
    [
        (ADMIN, "GET", "/api/v1/pods", "exempt"),
        (ANONYMOUS, "GET", "/livez", "probes"),
        (person("system:node:a", "system:nodes"), "PATCH", "/api/v1/nodes/a/status", "system-node-high"),
        (person("system:node:a", "system:nodes"), "PUT", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/a", "system-node-high"),
        (person("system:node:a", "system:nodes"), "GET", "/api/v1/pods", "system-nodes"),
        (person("system:kube-scheduler"), "PUT", "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/s", "system-leader-election"),
        (person("system:kube-scheduler"), "GET", "/api/v1/pods", "kube-scheduler"),
        (person("system:kube-controller-manager"), "GET", "/api/v1/pods", "kube-controller-manager"),
        (person("system:serviceaccount:kube-system:x", "system:serviceaccounts"), "GET", "/api/v1/pods", "kube-system-service-accounts"),
        (person("system:serviceaccount:a:x", "system:serviceaccounts"), "GET", "/api/v1/pods", "service-accounts"),
        (ALICE, "GET", "/version", "global-default"),
        (ANONYMOUS, "GET", "/api/v1/pods", "global-default"),
    ],
)
async def test_the_schemas_that_every_server_has(user, method, path, found):
    text = (Path(k3py.apiserver.__file__).parent / "bootstrap_objects.json").read_text()
    documents = [one for one in json.loads(text) if one["kind"] in ("FlowSchema", "PriorityLevelConfiguration")]
    control = make(*documents, total=600)
    seat = await control.enter(user, parse_request_info(method, path))
    assert seat.schema.name == found
    assert control.levels["global-default"].seats == 49


@pytest.mark.parametrize(
    ("rule", "path", "matches"),
    [
        ({"resources": {"verbs": ["list"], "apiGroups": [""], "resources": ["pods"], "namespaces": ["a"]}}, "/api/v1/namespaces/a/pods", True),
        ({"resources": {"verbs": ["list"], "apiGroups": [""], "resources": ["pods"], "namespaces": ["b"]}}, "/api/v1/namespaces/a/pods", False),
        ({"resources": {"verbs": ["list"], "apiGroups": [""], "resources": ["pods"], "namespaces": ["*"]}}, "/api/v1/pods", False),
        ({"resources": {"verbs": ["list"], "apiGroups": [""], "resources": ["pods"], "clusterScope": True}}, "/api/v1/pods", True),
        ({"resources": {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "namespaces": ["*"]}}, "/api/v1/namespaces/a/pods/b/status", False),
        ({"resources": {"verbs": ["get"], "apiGroups": [""], "resources": ["pods/status"], "namespaces": ["*"]}}, "/api/v1/namespaces/a/pods/b/status", True),
        ({"urls": ["/openapi/*"]}, "/openapi/v3", True),
        ({"urls": ["/openapi/*"]}, "/version", False),
        ({"groups": (), "users": ("*",)}, "/version", True),
        ({"groups": (), "accounts": (("a", "x"),)}, "/version", False),
    ],
)  # fmt: skip
def test_what_a_rule_matches(rule, path, matches):
    assert FlowSchema(schema("s", "l", **rule)).matches(ALICE, parse_request_info("GET", path)) is matches


def test_a_hand_is_always_the_same_and_has_no_queue_twice():
    one = PriorityLevel(level("l", queues={"queues": 16, "handSize": 6, "queueLengthLimit": 5}))
    hands = [one._deal(f"flow {n}") for n in range(200)]
    assert all(len(set(hand)) == 6 and set(hand) <= set(range(16)) for hand in hands)
    assert one._deal("flow 7") == hands[7]
    assert {queue for hand in hands for queue in hand} == set(range(16))


async def test_metrics_count_by_flow():
    control = make(level("l", borrow=0), schema("s", "l"), level("other", shares=265, borrow=0))
    await control.enter(ALICE, PODS)
    with pytest.raises(Overloaded):
        await control.enter(ALICE, PODS)
    text = "\n".join(line for metric in flow_metrics(control) for line in metric.iter_lines())
    assert 'dispatched_requests_total{flow_schema="s",priority_level="l"} 1' in text
    assert 'rejected_requests_total{flow_schema="s",priority_level="l",reason="concurrency-limit"} 1' in text
    assert 'nominal_limit_seats{priority_level="l"} 1' in text
    assert 'current_executing_requests{flow_schema="s",priority_level="l"} 1' in text


def counted(number, *documents, total):
    control = make(*documents, total=total)
    control._count_stored = lambda _info: number
    return control


@pytest.mark.parametrize(
    ("path", "stored", "options", "width"),
    [
        ("/api/v1/pods", 950, {}, 10),
        ("/api/v1/pods", 5_000, {}, 10),
        ("/api/v1/pods", 250, {}, 3),
        ("/api/v1/pods", 0, {}, 1),
        ("/api/v1/pods", None, {}, 1),
        ("/api/v1/pods", 5_000, {"limit": "500"}, 5),
        ("/api/v1/pods", 5_000, {"limit": "x"}, 10),
        ("/api/v1/namespaces/a/pods/p", 5_000, {}, 1),
        ("/healthz", 5_000, {}, 1),
    ],
)
async def test_a_list_takes_a_seat_for_each_hundred_objects(path, stored, options, width):
    control = counted(stored, level("l"), schema("s", "l"), total=200)
    seat = await control.enter(ALICE, parse_request_info("GET", path), options)
    assert (seat.width, control.levels["l"].executing, control.schemas["s"].seats) == (width, width, width)
    seat.leave()
    assert (control.levels["l"].executing, control.schemas["s"].seats) == (0, 0)


async def test_a_watch_takes_them_when_it_begins_with_a_list():
    control = counted(1_000, level("l"), schema("s", "l"), total=200)
    watch = parse_request_info("GET", "/api/v1/pods", watch=True)
    assert (await control.enter(ALICE, watch, {"resourceVersion": "7"})).width == 1
    assert (await control.enter(ALICE, watch, {"resourceVersion": "7", "sendInitialEvents": "true"})).width == 10
    assert (await control.enter(ALICE, watch, {})).width == 10


async def test_masters_and_small_levels_take_few():
    control = counted(5_000, level("l", shares=10), schema("s", "l"), total=20)
    assert (await control.enter(ADMIN, PODS)).width == 1
    assert control.levels["l"].seats == 14
    assert (await control.enter(ALICE, PODS)).width == 3


async def test_a_wide_request_waits_until_all_its_seats_are_free_and_others_wait_behind_it():
    control = counted(300, level("l", shares=295, borrow=0, queues=QUEUES), schema("s", "l"), total=20)
    narrow = parse_request_info("GET", "/api/v1/pods/p")
    assert control.levels["l"].seats == 20
    first = [await control.enter(ALICE, narrow) for _ in range(18)]
    async with TaskScope() as scope:
        wide = scope.spawn(control.enter(ALICE, PODS), name="wide")
        await asyncio.sleep(0)
        behind = scope.spawn(control.enter(ALICE, narrow), name="behind")
        await asyncio.sleep(0)
        first.pop().leave()
        await asyncio.sleep(0)
        assert wide.done()
        assert (await wide).width == 3
        assert not behind.done()
        first.pop().leave()
        (await behind).leave()
        (await wide).leave()
    for seat in first:
        seat.leave()
    assert control.levels["l"].executing == 0


async def test_a_request_wider_than_its_level_runs_alone():
    control = counted(300, level("l", shares=5, borrow=0, queues=QUEUES), schema("s", "l"), total=2)
    control.levels["l"].seats = 1
    seat = await control.enter(ALICE, PODS)
    async with TaskScope() as scope:
        other = scope.spawn(control.enter(BOB, PODS), name="other")
        await asyncio.sleep(0)
        assert not other.done()
        seat.leave()
        (await other).leave()
