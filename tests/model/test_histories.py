"""Concurrent histories of every driver, several servers on one database included, are linearizable, and their watches keep their word.

And the checks themselves: histories made by hand, and stores with one defect each that they must find.
"""

from __future__ import annotations

import asyncio
import os
import random
from contextlib import AsyncExitStack

import pytest

from k3py.datastore.factory import open_backend
from tests.support.databases import fresh_endpoint
from tests.support.etcd import etcd_program, open_over_the_wire, real_etcd, wait_until_healthy
from tests.support.history.broken import BREAKS_WATCHES, BREAKS_WRITES
from tests.support.history.linearizability import NotLinearizable, check_values
from tests.support.history.operation import NEVER, READ, WRITE, Operation
from tests.support.history.watches import WatchViolation
from tests.support.history.workload import check_history, log_of, run_workload

ROUNDS = int(os.environ.get("K3PY_ROUNDS", "1"))
SEED = int(os.environ.get("K3PY_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)

STORES = {
    "memory": 1,
    "sqlite": 1,
    "postgres": 1,
    "postgres-3": 3,
    "mysql": 1,
    "mysql-3": 3,
    "etcd-memory": 1,
    "etcd-sqlite": 1,
    "etcd-postgres-2": 2,
    "etcd-mysql-2": 2,
    "etcd": 3,
}
"""How many servers share the store; etcd-…: each server and its clients have k3py's etcd face between them; etcd: a real one."""


async def open_servers(store, stack, folder):
    """Open the servers of an empty store."""
    driver = store.removeprefix("etcd-").partition("-")[0]
    if driver == "etcd":
        if etcd_program() is None:
            pytest.skip("etcd is not installed (Debian: etcd-server)")
        endpoint = stack.enter_context(real_etcd())
        await asyncio.to_thread(wait_until_healthy, endpoint)
    elif driver in ("postgres", "mysql"):
        endpoint = fresh_endpoint(driver)
    else:
        endpoint = "memory://" if driver == "memory" else f"sqlite://{folder}/state.db"
    opening = open_over_the_wire if store.startswith("etcd-") else open_backend
    return [
        await stack.enter_async_context(opening(endpoint, history_s=None)) for _ in range(STORES[store])
    ]


@pytest.mark.slow
@pytest.mark.timeout(120 + 60 * ROUNDS)
@pytest.mark.parametrize("store", STORES)
async def test_concurrent_histories_are_linearizable_and_watches_keep_their_word(store, tmp_path):  # 214-219
    print(f"K3PY_SEED={SEED}")
    chance = random.Random(SEED)
    for number in range(ROUNDS):
        folder = tmp_path / str(number)
        folder.mkdir()
        async with AsyncExitStack() as stack:
            servers = await open_servers(store, stack, folder)
            history, records = await run_workload(servers, chance, clients=6, operations=40)
            log = await log_of(servers[0])
        check_history(history, records, log)
        assert len(log) > 40
        assert len(records) == 4 * len(servers) + 8


async def history_of(broken):
    """Run the workload on a memory store behind a defect, with concurrent clients, and check it."""
    chance = random.Random(7)
    async with open_backend("memory://", history_s=None) as backend:
        history, records = await run_workload([broken(backend)], chance, clients=4, operations=60)
        check_history(history, records, await log_of(backend))


@pytest.mark.parametrize("broken", BREAKS_WRITES)
async def test_a_store_that_answers_wrongly_is_found(broken):
    with pytest.raises(NotLinearizable):
        await history_of(broken)


@pytest.mark.parametrize("broken", BREAKS_WATCHES)
async def test_a_store_whose_watches_are_wrong_is_found(broken):
    with pytest.raises(WatchViolation):
        await history_of(broken)


def did(kind, called, returned, *, value=None, expected=(), seen=(), succeeded=True):
    """Return an operation on the key /k."""
    changes = {b"/k": value} if kind == WRITE else {}
    return Operation(
        client="c",
        kind=kind,
        called_ns=called,
        returned_ns=returned,
        changes=changes,
        expected=dict.fromkeys([b"/k"], expected) if expected != () else {},
        seen=dict.fromkeys([b"/k"], seen) if seen != () else {},
        succeeded=succeeded,
        revision=None,
    )


def wrote(value, called, returned, **more):
    return did(WRITE, called, returned, value=value, **more)


def read(value, called, returned):
    return did(READ, called, returned, seen=value)


@pytest.mark.parametrize(
    "history",
    [
        [wrote(b"1", 0, 10), read(b"1", 20, 30)],
        # Overlapping: the reader may see either.
        [wrote(b"1", 0, 10), read(None, 5, 6), read(b"1", 7, 8)],
        # Two writers, readers of both orders agree.
        [wrote(b"1", 0, 100), wrote(b"2", 0, 100), read(b"2", 10, 20), read(b"1", 30, 40)],
        # An unknown outcome may happen late, or never.
        [wrote(b"1", 0, NEVER, succeeded=None), read(None, 10, 20), read(b"1", 50, 60)],
        [wrote(b"1", 0, NEVER, succeeded=None), read(None, 10, 20), read(None, 50, 60)],
        # A failed compare tells what is there.
        [wrote(b"1", 0, 1), wrote(b"2", 5, 6, expected=b"x", succeeded=False, seen=b"1"), read(b"1", 7, 8)],
        # Deletion and creation anew.
        [wrote(b"1", 0, 1), wrote(None, 2, 3, expected=b"1"), wrote(b"2", 4, 5, expected=None)],
    ],
)
def test_histories_that_have_an_order_pass(history):
    check_values(history)


@pytest.mark.parametrize(
    "history",
    [
        # The past is read.
        [wrote(b"1", 0, 10), read(None, 20, 30)],
        # One reader sees the write, a later one does not.
        [wrote(b"1", 0, 100), read(b"1", 5, 6), read(None, 7, 8)],
        # Readers disagree about the order of two writes.
        [wrote(b"1", 0, 10), wrote(b"2", 0, 10), read(b"1", 20, 30), read(b"2", 40, 50)],
        # A value that nobody wrote.
        [wrote(b"1", 0, 10), read(b"9", 20, 30)],
        # Two creations of one key.
        [wrote(b"1", 0, 10, expected=None), wrote(b"2", 0, 10, expected=None)],
        # Two updates from one value.
        [wrote(b"1", 0, 1), wrote(b"2", 5, 9, expected=b"1"), wrote(b"3", 5, 9, expected=b"1")],
        # A compare that fails though it holds.
        [wrote(b"1", 0, 1), wrote(b"2", 5, 6, expected=b"1", succeeded=False, seen=b"1")],
        # An outcome that is not known, seen, and gone again.
        [wrote(b"1", 0, NEVER, succeeded=None), read(b"1", 10, 20), read(None, 30, 40)],
    ],
)
def test_histories_without_an_order_are_found(history):
    with pytest.raises(NotLinearizable):
        check_values(history)
