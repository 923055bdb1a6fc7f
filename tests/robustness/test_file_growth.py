"""The file of a store does not grow with the number of writes, and shrinks when its content does [257].

K3PY_WRITES=20000 for the long run (2 GB written).
"""

from __future__ import annotations

import asyncio
import os

from k3py.datastore.drivers.sqlite import open_sqlite
from k3py.datastore.drivers.sqlite_file import FORCED_CHECKPOINT_BYTES
from k3py.datastore.factory import HISTORY_S
from k3py.datastore.mvcc.retention import HISTORY_BYTES

WRITES = int(os.environ.get("K3PY_WRITES", "3000"))
OBJECT_BYTES = 100_000
BOUND_BYTES = int(HISTORY_BYTES * 1.5) + FORCED_CHECKPOINT_BYTES + (16 << 20)
"""History with what is being freed, and a write-ahead log that the checkpoint is just behind of: 177 MB."""


def size_of(path):
    return sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))


async def test_one_object_that_is_rewritten_for_ever_stays_below_the_bound(tmp_path):
    path = tmp_path / "state.db"
    largest = 0
    slices = []
    async with open_sqlite(path, history_s=HISTORY_S) as backend:
        purge = backend._log.purge
        loop = asyncio.get_running_loop()

        async def timed(budget_s):
            begin = loop.time()
            more = await purge(budget_s)
            slices.append(loop.time() - begin)
            return more

        backend._log.purge = timed
        revision = await backend.create(b"/a", b"")
        for number in range(WRITES):
            value = os.urandom(1000) * (OBJECT_BYTES // 1000)
            revision, _ = await backend.update(b"/a", value, expected=revision)
            if number % 100 == 0:
                largest = max(largest, size_of(path))
        assert WRITES * OBJECT_BYTES > BOUND_BYTES, "too few writes to see anything"
        assert largest < BOUND_BYTES
        slices.sort()
        assert len(slices) > 20
        assert slices[len(slices) // 2] < 0.02


async def test_a_store_that_was_emptied_gives_its_space_back(tmp_path):
    path = tmp_path / "state.db"
    async with open_sqlite(path, history_s=None) as backend:
        made = [await backend.create(b"/%d" % number, os.urandom(OBJECT_BYTES)) for number in range(100)]
        for number, revision in enumerate(made):
            await backend.delete(b"/%d" % number, expected=revision)
        await backend.compact(backend.current_revision, physical=True)
        status = await backend.status()
        assert status.size_bytes < 2 << 20
    assert path.stat().st_size < 2 << 20
