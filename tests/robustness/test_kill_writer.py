"""A writer process is killed at random moments, again and again, on the same database: whatever it acknowledged is there.

K3PY_KILLS=1000 for the long run, K3PY_SEED to repeat one.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import struct
import time

import pytest

from k3py.datastore.drivers.sqlite import open_sqlite
from k3py.datastore.interface import DeleteOp, EventType, PutOp

ROUNDS = 50
WRITERS = 8
ACK = struct.Struct("<qII")  # revision, writer, number
ALL = (b"\0", b"\0")


async def write_until_killed(path, acks, round_):
    """Create, update, delete and write in pairs without end; tell each revision once it is acknowledged."""

    async def writer(name):
        number = 0
        while True:
            key = b"/%d/%d/%d" % (round_, name, number)
            revision = await backend.create(key, os.urandom(100))
            os.write(acks, ACK.pack(revision, name, number))
            revision, _ = await backend.update(key, os.urandom(3000), expected=revision)
            os.write(acks, ACK.pack(revision, name, number))
            if number % 3 == 0:
                revision, _ = await backend.delete(key, expected=revision)
            else:
                pair = (PutOp(key, b"p" * 50), PutOp(key + b"-twin", b"t"))
                revision = (await backend.txn((), pair)).revision
            os.write(acks, ACK.pack(revision, name, number))
            gone = await backend.txn((), (DeleteOp(key, key + b"0"),)) if number % 7 == 5 else None
            if gone is not None and gone.results[0].previous:
                revision = gone.revision
                os.write(acks, ACK.pack(revision, name, number))
            number += 1

    async with open_sqlite(path, history_s=None) as backend, asyncio.TaskGroup() as tasks:
        for name in range(WRITERS):
            tasks.create_task(writer(name))


def run_and_kill(path, round_, delay_s):
    """Run a writer in a forked process, kill it `delay_s` seconds after its first acknowledgement; return all of them."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(ours)
            asyncio.run(write_until_killed(path, theirs, round_))
        finally:
            os._exit(3)
    os.close(theirs)
    data, deadline = b"", None
    while chunk := os.read(ours, 1 << 16):
        data += chunk
        if deadline is None:
            deadline = time.monotonic() + delay_s
        if time.monotonic() >= deadline:
            os.kill(child, signal.SIGKILL)
    os.close(ours)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the writer ended by itself"
    whole = len(data) - len(data) % ACK.size
    return [ACK.unpack_from(data, at) for at in range(0, whole, ACK.size)]


async def check(path, round_, after, acked):
    """Compare the log behind revision `after` with the acknowledgements; return the revision, the events, the rows."""
    async with open_sqlite(path, history_s=None) as backend:
        current = backend.current_revision
        events = []
        async with backend.watch(*ALL, after=after) as watch:
            position = after
            while position < current:
                watch.request_progress()
                batch = await asyncio.wait_for(anext(watch), 10)
                events.extend(batch.events)
                position = batch.revision
        revisions = [event.kv.mod_revision for event in events]
        assert sorted(set(revisions)) == list(range(after + 1, current + 1)), "revisions are not dense"
        by_revision = {}
        for event in events:
            by_revision.setdefault(event.kv.mod_revision, set()).add(event.kv.key)
        for revision, name, number in acked:
            key = b"/%d/%d/%d" % (round_, name, number)
            assert key in by_revision[revision], f"acknowledged revision {revision} is lost"
        rows = {kv.key: kv.mod_revision for kv in (await backend.range(*ALL, keys_only=True)).kvs}
    return current, events, rows


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_nothing_acknowledged_is_lost_and_revisions_stay_dense(tmp_path):
    path = tmp_path / "state.db"
    seed = int(os.environ.get("K3PY_SEED", "0")) or random.randrange(1, 1 << 32)
    print(f"K3PY_SEED={seed}")
    chance = random.Random(seed)
    model = {}
    current, total = 1, 0
    for round_ in range(int(os.environ.get("K3PY_KILLS", ROUNDS))):
        acked = run_and_kill(path, round_, chance.uniform(0.0, 0.15))
        assert acked
        current, events, rows = asyncio.run(check(path, round_, current, acked))
        for event in events:
            if event.type is EventType.PUT:
                model[event.kv.key] = event.kv.mod_revision
            else:
                del model[event.kv.key]
        assert rows == model, "the current rows do not follow from the log"
        total += len(acked)
    print(f"{total} acknowledged writes, revision {current}")
