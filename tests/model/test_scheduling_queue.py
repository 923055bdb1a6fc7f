"""The scheduling queue against a simple model: no pod is lost, none is handed out twice, none runs before its time.

Rules: api-machinery §6.2, scheduler.tsv (topic queue).
"""

from __future__ import annotations

import asyncio

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from k3py.scheduler.interface import ClusterEvent
from k3py.scheduler.node_info import PodInfo
from k3py.scheduler.queue import SchedulingQueue
from tests.support.objects import pod

NAMES = [f"p{number}" for number in range(5)]
PLUGINS = ("Room", "Ports")
INTERESTS = {
    "Room": frozenset({("nodes", "add"), ("pods", "delete")}),
    "Ports": frozenset({("pods", "delete")}),
}
FOREVER_S = (
    1e6  # nobody backs off to the end in a test: only being first in an idle queue lets such a pod out
)


class QueueMachine(RuleBasedStateMachine):
    """States of the model: "ready" (active or backing off), "waiting" (for an event), "failed" (backs off after an error), "taken"."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.states: dict[str, str] = {}
        self.refused: dict[str, frozenset[str]] = {}
        self.gates: set[str] = set()
        self.priority: dict[str, int] = {}
        self.taken = {}
        self.seen: dict[str, list[ClusterEvent]] = {}
        self.fresh: set[str] = set()

    @initialize()
    def start(self) -> None:
        self.queue = SchedulingQueue(
            lambda info: info.pod["metadata"]["name"] in self.gates,
            lambda info, plugin, event: True,
            INTERESTS,
            initial_backoff_s=FOREVER_S,
            max_backoff_s=FOREVER_S,
        )

    def teardown(self) -> None:
        for name in NAMES:
            self.run(self.queue.remove, f"uid-{name}")
        self.loop.close()

    def run(self, function, *arguments):
        async def inside():
            return function(*arguments)

        return self.loop.run_until_complete(inside())

    def info(self, name: str) -> PodInfo:
        return PodInfo(pod(name, spec={"priority": self.priority.setdefault(name, 0)}))

    @rule(name=st.sampled_from(NAMES), priority=st.integers(0, 2), gated=st.booleans())
    def add(self, name: str, priority: int, gated: bool) -> None:
        if name in self.states:
            return
        self.priority[name] = priority
        (self.gates.add if gated else self.gates.discard)(name)
        self.states[name] = "gated" if gated else "ready"
        self.fresh.add(name)
        self.run(self.queue.add, self.info(name))

    @rule(name=st.sampled_from(NAMES))
    def open_gate(self, name: str) -> None:
        if self.states.get(name) != "gated":
            return
        self.gates.discard(name)
        self.states[name] = "ready"
        self.run(self.queue.add, self.info(name))

    @rule(name=st.sampled_from(NAMES))
    def delete(self, name: str) -> None:
        self.states.pop(name, None)
        self.fresh.discard(name)
        queued = self.taken.pop(name, None)
        if queued is not None:
            self.run(self.queue.finish, queued.info.uid)
        self.run(self.queue.remove, f"uid-{name}")

    @precondition(lambda self: "ready" in self.states.values())
    @rule()
    def pop(self) -> None:
        async def take():
            async with asyncio.timeout(10):
                return await self.queue.pop()

        queued = self.loop.run_until_complete(take())
        name = queued.info.pod["metadata"]["name"]
        assert self.states[name] == "ready"
        fresh = [one for one, state in self.states.items() if state == "ready" and one in self.fresh]
        if fresh:  # pods that do not back off go first, the most important of them at that
            assert name in fresh
            assert self.priority[name] == max(self.priority[one] for one in fresh)
        self.states[name] = "taken"
        self.taken[name] = queued
        self.seen[name] = []

    @precondition(lambda self: self.taken)
    @rule(data=st.data(), plugins=st.frozensets(st.sampled_from(PLUGINS)))
    def fail(self, data, plugins: frozenset[str]) -> None:
        name = data.draw(st.sampled_from(sorted(self.taken)))
        queued = self.taken.pop(name)
        self.fresh.discard(name)
        self.refused[name] = plugins
        helped = any(
            (event.resource, event.kind) in INTERESTS[one] for event in self.seen[name] for one in plugins
        )
        self.states[name] = "failed" if not plugins else "ready" if helped else "waiting"
        self.run(self.queue.put_back, queued, plugins)

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def bind(self, data) -> None:
        name = data.draw(st.sampled_from(sorted(self.taken)))
        queued = self.taken.pop(name)
        del self.states[name]
        self.fresh.discard(name)
        self.run(self.queue.finish, queued.info.uid)
        self.run(self.queue.remove, queued.info.uid)

    @rule(what=st.sampled_from([("nodes", "add"), ("pods", "delete"), ("pods", "add")]))
    def change(self, what) -> None:
        event = ClusterEvent(resource=what[0], kind=what[1], new=pod("x"), old=pod("x"))
        for name in self.taken:
            self.seen[name].append(event)
        for name, state in self.states.items():
            if state == "waiting" and any(what in INTERESTS[one] for one in self.refused[name]):
                self.states[name] = "ready"
        self.run(self.queue.on_event, event)

    @invariant()
    def sizes_agree(self) -> None:
        if not hasattr(self, "queue"):
            return
        sizes = self.queue.sizes()
        count = list(self.states.values()).count
        assert sizes["gated"] == count("gated")
        assert sizes["unschedulable"] == count("waiting")
        assert sizes["active"] + sizes["backoff"] == count("ready") + count("failed")


TestSchedulingQueue = QueueMachine.TestCase
TestSchedulingQueue.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
