"""Random histories on each driver against a model that keeps every state in a dict, revision by revision."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from k3py.datastore.errors import Compacted, FutureRevision, LeaseNotFound
from k3py.datastore.factory import open_backend
from k3py.datastore.interface import (
    Compare,
    CompareResult,
    CompareTarget,
    DeleteOp,
    EventType,
    PutOp,
    RangeOp,
)
from tests.support.databases import fresh_endpoint, keep_running
from tests.support.etcd import (
    etcd_program,
    etcd_version,
    open_over_the_wire,
    open_real_etcd,
)

EXAMPLES = {
    "memory": 60,
    "sqlite": 30,
    "postgres": 20,
    "mysql": 20,
    "etcd-memory": 20,
    "etcd-sqlite": 10,
    "etcd": 5,
}
"""etcd-…: the driver etcd at k3py's own etcd face over that store; etcd: at a real one."""

KEYS = (b"/a", b"/a/x", b"/a/y\x00", b"/b", b"\xff\xfe", b"\x00")
keys = st.sampled_from(KEYS)
values = st.binary(max_size=6)
bounds = st.tuples(keys, st.one_of(st.none(), keys, st.just(b"\0")))
shares = st.floats(0, 1)


def inside(key, start, end):
    return key == start if end is None else key >= start and (end == b"\0" or key < end)


class BackendMachine(RuleBasedStateMachine):
    """`states[r]` maps keys to (value, create, mod, version, lease) after revision r; `events[r]` lists what r changed."""

    driver = "memory"

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.stack = AsyncExitStack()
        self.states = {1: {}}
        self.events = {}
        self.compacted = 0
        self.leases = []
        self.ended = []
        if self.driver in ("postgres", "mysql"):
            self.endpoint = fresh_endpoint(self.driver)
        else:
            store = self.driver.removeprefix("etcd-")
            self.endpoint = "memory://" if store == "memory" else f"sqlite://{self.folder.name}/state.db"
        self.open()

    def run_(self, coroutine):
        return self.runner.run(coroutine)

    def open(self):
        if self.driver == "etcd":
            opening = open_real_etcd(Path(self.folder.name))
        elif self.driver.startswith("etcd-"):
            opening = open_over_the_wire(self.endpoint)
        else:
            opening = open_backend(self.endpoint, history_s=None)
        self.backend = self.run_(self.stack.enter_async_context(opening))

    def teardown(self):
        self.run_(self.stack.aclose())
        self.runner.close()
        self.folder.cleanup()

    @property
    def now(self):
        return max(self.states)

    @property
    def state(self):
        return self.states[self.now]

    def commit(self, changes):
        """Apply {key: (value, lease) | None} in order as one revision; return it (the old one if nothing changes)."""
        if not changes:
            return self.now
        revision = self.now + 1
        state = dict(self.state)
        self.events[revision] = []
        for key, change in changes.items():
            old = state.pop(key, None)
            if change is None:
                self.events[revision].append((EventType.DELETE, key, (b"", 0, revision, 0, 0), old))
                continue
            value, lease = change
            row = (value, old[1] if old else revision, revision, old[3] + 1 if old else 1, lease)
            state[key] = row
            self.events[revision].append((EventType.PUT, key, row, old))
        self.states[revision] = state
        return revision

    def same(self, kvs, rows, *, keys_only=False):
        got = [(kv.key, (kv.value, kv.create_revision, kv.mod_revision, kv.version, kv.lease)) for kv in kvs]
        expected = [(key, (b"", *row[1:]) if keys_only else row) for key, row in rows]
        assert got == expected

    def pick_revision(self, share):
        return max(1, round(share * (self.now + 1)))

    @rule(key=keys, value=values)
    def create(self, key, value):
        got = self.run_(self.backend.create(key, value))
        if key in self.state:
            assert got is None
        else:
            assert got == self.commit({key: (value, 0)})

    @rule(key=keys, value=values, right=st.booleans())
    def update(self, key, value, right):
        old = self.state.get(key)
        expected = old[2] if old and right else 999
        revision, found = self.run_(self.backend.update(key, value, expected=expected))
        if old and right:
            assert (revision, found) == (self.commit({key: (value, 0)}), None)
        else:
            assert revision is None
            self.same([found] if found else [], [(key, old)] if old else [])

    @rule(key=keys, right=st.booleans())
    def delete(self, key, right):
        old = self.state.get(key)
        revision, found = self.run_(self.backend.delete(key, expected=old[2] if old and right else 999))
        self.same([found] if found else [], [(key, old)] if old else [])
        assert revision == (self.commit({key: None}) if old and right else None)

    @rule(puts=st.dictionaries(keys, values, max_size=3), gone=bounds, key=keys, version=st.integers(0, 2))
    def txn(self, puts, gone, key, version):
        compare = Compare(key, CompareTarget.VERSION, CompareResult.EQUAL, version)
        start, end = gone
        removed = sorted(k for k in self.state if inside(k, start, end) and k not in puts)
        clash = any(inside(k, start, end) for k in puts)
        success = [PutOp(k, v) for k, v in puts.items()]
        if not clash:
            success.append(DeleteOp(start, end))
        success.append(RangeOp(b"\0", b"\0"))
        result = self.run_(self.backend.txn((compare,), success, (RangeOp(key),)))
        old = self.state.get(key)
        assert result.succeeded is ((old[3] if old else 0) == version)
        if result.succeeded:
            changes = {k: (v, 0) for k, v in puts.items()}
            if not clash:
                changes |= dict.fromkeys(removed)
            assert result.revision == self.commit(changes)
            self.same(result.results[-1].kvs, sorted(self.state.items()))
        else:
            assert result.revision == self.now
            self.same(result.results[0].kvs, [(key, old)] if old else [])

    @rule(writes=st.lists(st.tuples(keys, values), min_size=2, max_size=8))
    def concurrent_creates(self, writes):
        async def all_():
            async with asyncio.TaskGroup() as tasks:
                jobs = [tasks.create_task(self.backend.create(key, value)) for key, value in writes]
            return [job.result() for job in jobs]

        outcomes = list(zip(writes, self.run_(all_()), strict=True))
        if self.driver == "etcd":  # takes them in any order
            outcomes.sort(key=lambda outcome: outcome[1] or sys.maxsize)
        for (key, value), got in outcomes:
            assert got == (None if key in self.state else self.commit({key: (value, 0)}))

    @rule(
        where=bounds, limit=st.integers(0, 3), share=shares, count_only=st.booleans(), keys_only=st.booleans()
    )
    def read(self, where, limit, share, count_only, keys_only):
        revision = self.pick_revision(share) if share < 0.8 else 0
        reading = self.backend.range(
            *where, limit=limit, revision=revision, count_only=count_only, keys_only=keys_only
        )
        if revision and revision < self.compacted:
            with pytest.raises(Compacted):
                self.run_(reading)
            return
        if revision > self.now:
            with pytest.raises(FutureRevision):
                self.run_(reading)
            return
        rows = sorted((k, v) for k, v in self.states[revision or self.now].items() if inside(k, *where))
        result = self.run_(reading)
        assert (result.count, result.revision) == (len(rows), self.now)
        self.same(result.kvs, [] if count_only else rows[: limit or None], keys_only=keys_only)

    @rule(where=bounds, share=shares)
    def watch(self, where, share):
        after = self.pick_revision(share) - 1

        async def follow():
            seen = []
            async with self.backend.watch(*where, after=after) as watch:
                watch.request_progress()
                while True:
                    batch = await asyncio.wait_for(anext(watch), 5)
                    seen.extend(batch.events)
                    if batch.revision >= self.now:
                        return seen
                    watch.request_progress()

        at_the_line = [old for _, key, _, old in self.events.get(self.compacted, ()) if inside(key, *where)]
        forgotten = self.driver == "etcd" and after < self.compacted and any(at_the_line)
        if after < self.compacted - 1 or forgotten:
            with pytest.raises(Compacted):
                self.run_(follow())
            return
        got = [
            (
                e.type,
                e.kv.key,
                (e.kv.value, e.kv.create_revision, e.kv.mod_revision, e.kv.version, e.kv.lease),
                e.previous
                and (
                    e.previous.value,
                    e.previous.create_revision,
                    e.previous.mod_revision,
                    e.previous.version,
                    e.previous.lease,
                ),
            )
            for e in self.run_(follow())
        ]
        expected = [
            event
            for revision in range(after + 1, self.now + 1)
            for event in self.events.get(revision, [])
            if inside(event[1], *where)
        ]
        assert got == expected

    @precondition(lambda self: self.now > 2)
    @rule(share=shares)
    def compact(self, share):
        revision = self.pick_revision(share)
        if revision <= self.compacted:
            with pytest.raises(Compacted):
                self.run_(self.backend.compact(revision))
        elif revision > self.now:
            with pytest.raises(FutureRevision):
                self.run_(self.backend.compact(revision))
        else:
            self.run_(self.backend.compact(revision))
            self.compacted = revision

    @precondition(lambda self: not self.driver.startswith("etcd"))
    @rule()
    def purge(self):
        for _ in range(1000):
            if not self.run_(self.backend._purge(0.01)):
                return
        raise AssertionError("purging does not end")

    @rule(names=st.lists(keys, unique=True, max_size=3))
    def lease(self, names):
        lease = self.run_(self.backend.grant_lease(3600))
        self.leases.append(lease)
        self.run_(self.backend.txn((), [PutOp(name, b"leased", lease) for name in names]))
        self.commit(dict.fromkeys(names, (b"leased", lease)))

    @precondition(lambda self: self.leases)
    @rule(share=shares)
    def revoke(self, share):
        lease = self.leases.pop(int(share * (len(self.leases) - 1)))
        self.run_(self.backend.revoke_lease(lease))
        self.commit({key: None for key, row in sorted(self.state.items()) if row[4] == lease})
        with pytest.raises(LeaseNotFound):
            self.run_(self.backend.revoke_lease(lease))

    @precondition(lambda self: not self.driver.endswith("memory"))
    @rule()
    def reopen(self):
        self.run_(self.stack.aclose())
        self.open()

    @invariant()
    def revision_is_the_models(self):
        assert self.backend.current_revision == self.now


@pytest.mark.slow
@pytest.mark.parametrize("driver", list(EXAMPLES))
def test_random_histories_agree_with_the_model(driver):
    if driver == "etcd" and (etcd_program() is None or etcd_version() < (3, 5, 18)):
        pytest.skip("needs an etcd of 3.5.18 or newer: older ones tell of progress too early")
    if driver in ("postgres", "mysql"):
        keep_running(driver)
    machine = type(f"{driver.title()}Machine", (BackendMachine,), {"driver": driver})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES[driver],
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
