"""A writer process is killed at random moments, again and again, on the same database: whatever it acknowledged is there.

`python -m tests.robustness.kill_writer --kills 1000` for the long run; the tests do slices of it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import struct
import tempfile
import time
from pathlib import Path

from k3py.datastore.drivers.sqlite import open_sqlite
from k3py.datastore.durability import Durability
from k3py.datastore.interface import DeleteOp, EventType, PutOp

WRITERS = 8
ACK = struct.Struct("<qII")  # revision, writer, number
ALL = (b"\0", b"\0")


async def write_until_killed(path, acks, round_, durability):
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

    async with (
        open_sqlite(path, history_s=None, durability=durability) as backend,
        asyncio.TaskGroup() as tasks,
    ):
        for name in range(WRITERS):
            tasks.create_task(writer(name))


def run_and_kill(path, round_, delay_s, durability):
    """Run a writer in a forked process, kill it `delay_s` seconds after its first acknowledgement; return all of them."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(ours)
            asyncio.run(write_until_killed(path, theirs, round_, durability))
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


async def check(path, round_, after, acked, durability):
    """Compare the log behind revision `after` with the acknowledgements; return the revision, the events, the rows."""
    async with open_sqlite(path, history_s=None, durability=durability) as backend:
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


def kill_again_and_again(path, kills, seed, durability=Durability.DURABLE, tell=lambda _: None):
    """Do it `kills` times on the database `path`; return (acknowledged writes, revision).

    Raises:
        AssertionError: a write is lost, a revision is missing, or the rows do not follow from the log.
    """
    chance = random.Random(seed)
    model = {}
    current, total = 1, 0
    for round_ in range(kills):
        acked = run_and_kill(path, round_, chance.uniform(0.0, 0.15), durability)
        assert acked
        current, events, rows = asyncio.run(check(path, round_, current, acked, durability))
        for event in events:
            if event.type is EventType.PUT:
                model[event.kv.key] = event.kv.mod_revision
            else:
                del model[event.kv.key]
        assert rows == model, "the current rows do not follow from the log"
        total += len(acked)
        if (round_ + 1) % 50 == 0:
            tell(f"{round_ + 1} kills, {total} acknowledged writes, revision {current}")
    return total, current


def main():
    """Run by hand or in the background; the exit code says whether anything was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.robustness.kill_writer", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="repeat a run")
    parser.add_argument("--durability", type=Durability, default=Durability.DURABLE)
    parser.add_argument("--folder", help="on the disk that is meant (default: a temporary one)")
    options = parser.parse_args()
    seed = options.seed or random.randrange(1, 1 << 32)
    print(f"--seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "state.db"
        begin = time.monotonic()
        total, revision = kill_again_and_again(
            path, options.kills, seed, options.durability, lambda line: print(line, flush=True)
        )
    print(
        f"{options.kills} kills in {time.monotonic() - begin:.0f} s: {total} acknowledged writes, none lost, revision {revision}"
    )


if __name__ == "__main__":
    main()
