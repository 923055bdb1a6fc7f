"""`k3py kine` on SQLite is killed again and again under clients that write and watch over the wire, and started again on the same port.

What must hold: every acknowledged write is there, revisions are dense, watches go on without a gap or a double. K3PY_KILLS, K3PY_SEED as in
test_kill_writer.
"""

from __future__ import annotations

import asyncio
import os
import random
from contextlib import AsyncExitStack

import pytest

from k3py.datastore.errors import Unavailable
from k3py.datastore.factory import open_backend
from k3py.datastore.interface import DeleteOp, EventType, PutOp
from tests.support.etcd import free_port
from tests.support.kine_process import kine

ROUNDS = int(os.environ.get("K3PY_KILLS", "10"))
CLIENTS = 4
WATCHES = 3
ALL = (b"\0", b"\0")


class History:
    """What the clients were told: `acked[revision]` = {key: value or None}; `unknown`: writes without an answer."""

    def __init__(self):
        self.acked = {}
        self.unknown = []
        self.stopping = asyncio.Event()

    def acknowledge(self, revision, changes):
        assert revision not in self.acked, "two writes were told the same revision"
        self.acked[revision] = changes


async def opened(stack, url):
    """Open the driver `etcd`, as often as needed until the server is there."""
    while True:
        try:
            return await stack.enter_async_context(open_backend(url, history_s=None))
        except Unavailable:
            await asyncio.sleep(0.02)


async def write(url, name, history, seed):
    """Create, update, delete and write pairs until the end; every write has a value of its own."""
    randomly = random.Random(seed)
    async with AsyncExitStack() as stack:
        backend = await opened(stack, url)
        number = 0
        while not history.stopping.is_set():
            number += 1
            key, value = b"/%d/%d" % (name, randomly.randrange(5)), b"%d-%d" % (name, number)
            kind = randomly.random()
            try:
                if kind < 0.5:
                    revision = (await backend.txn((), (PutOp(key, value),))).revision
                    changes = {key: value}
                elif kind < 0.8:
                    pair = (PutOp(key, value), PutOp(key + b"-twin", value))
                    revision, changes = (await backend.txn((), pair)).revision, {key: value, key + b"-twin": value}
                else:
                    done = await backend.txn((), (DeleteOp(key),))
                    revision, changes = done.revision, {key: None}
                    if not done.results[0].previous:
                        continue
            except Unavailable:
                history.unknown.append(value)
                await asyncio.sleep(0.01)
                continue
            history.acknowledge(revision, changes)


async def follow(url, history, seen):
    """Watch everything from the beginning; the driver reconnects by itself."""
    async with AsyncExitStack() as stack:
        backend = await opened(stack, url)
        watch = await stack.enter_async_context(backend.watch(*ALL, after=1))
        async for batch in watch:
            seen.extend(batch.events)


async def kill_and_restart(path, port, rounds, randomly):
    """Let the server live for a moment, kill it, start the next one."""
    for _ in range(rounds):
        with kine(endpoint=f"sqlite://{path}", listen=f"127.0.0.1:{port}") as running:
            await asyncio.sleep(randomly.uniform(0.3, 0.8))
            running.kill()


def check(history, events, kvs, revision):
    """Compare what clients were told with what watches showed and with what is stored."""
    revisions = sorted({event.kv.mod_revision for event in events})
    assert revisions == list(range(2, revision + 1)), "a revision is missing or invented"
    shown = {}
    for event in events:
        value = None if event.type is EventType.DELETE else event.kv.value
        changed = shown.setdefault(event.kv.mod_revision, {})
        assert event.kv.key not in changed, "an event came twice"
        changed[event.kv.key] = value
    for acked, changes in history.acked.items():
        assert shown.get(acked) == changes, f"the acknowledged write at {acked} is not there"
    unknown = set(history.unknown)
    for number in shown.keys() - history.acked.keys():
        values = {value for value in shown[number].values() if value is not None}
        assert values <= unknown, f"nobody wrote what is at {number}"
    state = {}
    for event in events:
        if event.type is EventType.DELETE:
            assert (event.previous.key, event.previous.mod_revision) == (event.kv.key, state.pop(event.kv.key)[1])
        else:
            assert (event.previous is None) == (event.kv.key not in state)
            state[event.kv.key] = (event.kv.value, event.kv.mod_revision)
    assert {kv.key: (kv.value, kv.mod_revision) for kv in kvs} == state


@pytest.mark.slow
@pytest.mark.timeout(60 + 5 * ROUNDS)
async def test_nothing_acknowledged_is_lost_and_watches_go_on_when_the_server_is_killed(tmp_path):
    seed = int(os.environ.get("K3PY_SEED", random.randrange(1 << 32)))
    print(f"K3PY_SEED={seed}")
    randomly = random.Random(seed)
    path, port = tmp_path / "state.db", free_port()
    url, history = f"http://127.0.0.1:{port}", History()
    seen = [[] for _ in range(WATCHES)]
    async with asyncio.TaskGroup() as tasks:
        writers = [
            tasks.create_task(write(url, name, history, randomly.randrange(1 << 32)))
            for name in range(CLIENTS)
        ]
        watchers = [tasks.create_task(follow(url, history, events)) for events in seen]
        await kill_and_restart(path, port, ROUNDS, randomly)
        with kine(endpoint=f"sqlite://{path}", listen=f"127.0.0.1:{port}") as last:
            await asyncio.sleep(0.5)
            history.stopping.set()
            await asyncio.wait(writers)
            async with open_backend(url, history_s=None) as backend:
                result = await backend.range(*ALL)
                while any(not events or events[-1].kv.mod_revision < result.revision for events in seen):
                    await asyncio.sleep(0.02)
            for watcher in watchers:
                watcher.cancel()
            await asyncio.wait(watchers)
            assert last.stop() == 0
    for events in seen:
        check(history, events, result.kvs, result.revision)
    assert len(history.acked) > 10 * ROUNDS
    print(f"{len(history.acked)} acknowledged, {len(history.unknown)} unknown, {ROUNDS} kills")
