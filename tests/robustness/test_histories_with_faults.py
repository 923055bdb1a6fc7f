"""Concurrent histories while the network between the servers and their store cuts, stalls and loses answers: nothing contradicts itself.

A write whose outcome is not known may have happened or not, but not both, and not twice.
"""

from __future__ import annotations

import asyncio
import os
import random
from contextlib import AsyncExitStack

import pytest

from k3py.datastore.factory import open_backend
from tests.support.databases import fresh_database, keep_running
from tests.support.etcd import free_port, served
from tests.support.history.workload import check_history, log_of, run_workload
from tests.support.kine_process import kine
from tests.support.tcp_proxy import proxy_to

ROUNDS = int(os.environ.get("K3PY_ROUNDS", "1"))
SEED = int(os.environ.get("K3PY_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
CLIENTS, OPERATIONS, SERVERS = 6, 60, 2

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120 + 120 * ROUNDS)]


async def open_behind_proxies(store, stack, folder):
    """Open an empty store; return a backend that has no proxy, and servers with a proxy each."""
    if store == "etcd-sqlite":
        direct = await stack.enter_async_context(
            open_backend(f"sqlite://{folder}/state.db", history_s=None)
        )
        _, url = await stack.enter_async_context(served(direct))
        port = int(url.rpartition(":")[2])

        def endpoint(port):
            return f"http://127.0.0.1:{port}"
    else:
        server, database = keep_running(store), fresh_database()
        direct = await stack.enter_async_context(open_backend(server.endpoint(database), history_s=None))
        port = server.port

        def endpoint(port):
            return server.endpoint(database, port=port)

    proxies = [await stack.enter_async_context(proxy_to(port)) for _ in range(SERVERS)]
    servers = [
        await stack.enter_async_context(open_backend(endpoint(proxy.port), history_s=None))
        for proxy in proxies
    ]
    return direct, servers, proxies


async def make_trouble(proxies, chance):
    """Cut, stall and mute connections, each for a moment, until cancelled."""
    try:
        while True:
            proxy = chance.choice(proxies)
            await asyncio.sleep(chance.uniform(0.0, 0.3))
            what = chance.randrange(4)
            if what == 0:
                proxy.cut()
            elif what == 1:
                proxy.stall()
                await asyncio.sleep(chance.uniform(0.0, 0.05))
                proxy.resume()
            elif what == 2:
                # What is on its way to the store still gets there; the answer does not come back.
                proxy.deaf = True
                await asyncio.sleep(chance.uniform(0.0, 0.02))
                proxy.cut()
                proxy.deaf = False
            else:
                proxy.delay_s = chance.uniform(0.0, 0.01)
    finally:
        for proxy in proxies:
            proxy.deaf, proxy.delay_s = False, 0.0
            proxy.resume()


@pytest.mark.parametrize("store", ["postgres", "mysql", "etcd-sqlite"])
async def test_histories_through_a_bad_network_are_linearizable(store, tmp_path):  # 136, 225, 252
    print(f"K3PY_SEED={SEED}")
    chance, lost, written = random.Random(SEED), 0, 0
    for number in range(ROUNDS):
        folder = tmp_path / str(number)
        folder.mkdir()
        async with AsyncExitStack() as stack:
            direct, servers, proxies = await open_behind_proxies(store, stack, folder)
            async with asyncio.TaskGroup() as tasks:
                trouble = tasks.create_task(make_trouble(proxies, chance))
                running = tasks.create_task(
                    run_workload(
                        servers,
                        chance,
                        clients=CLIENTS,
                        operations=OPERATIONS,
                        pause_s=0.05,
                        over=trouble.cancel,
                    )
                )
            history, records = running.result()
            log = await log_of(direct)
        check_history(history, records, log)
        lost += sum(operation.succeeded is None for operation in history)
        written += len(log)
    print(f"{written} events, {lost} writes without an answer")
    assert written > 0


async def kill_often(endpoint, port, times, chance, up, connected, over):
    """Run `k3py kine` at `port`; once clients are `connected` kill it without warning `times` times; leave it running until `over`."""
    for number in range(times + 1):
        async with AsyncExitStack() as stack:
            opening = kine(endpoint=endpoint, listen=f"127.0.0.1:{port}")
            running = await asyncio.to_thread(opening.__enter__)
            stack.push_async_callback(asyncio.to_thread, opening.__exit__, None, None, None)
            up.set()
            await connected.wait()
            if number == times or over.is_set():
                await over.wait()
                return
            await asyncio.sleep(chance.uniform(0.2, 0.8))
            await asyncio.to_thread(running.kill)


async def test_histories_of_a_killed_server_are_linearizable(tmp_path):  # 223, 299
    print(f"K3PY_SEED={SEED}")
    chance, endpoint, port = random.Random(SEED), f"sqlite://{tmp_path}/state.db", free_port()
    up, connected, over = asyncio.Event(), asyncio.Event(), asyncio.Event()
    kills = 3 * ROUNDS
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        tasks.create_task(kill_often(endpoint, port, kills, chance, up, connected, over))
        await up.wait()
        url = f"http://127.0.0.1:{port}"
        servers = [await stack.enter_async_context(open_backend(url, history_s=None)) for _ in range(2)]
        connected.set()
        history, records = await run_workload(
            servers, chance, clients=CLIENTS, operations=OPERATIONS * ROUNDS, pause_s=0.15
        )
        over.set()
    async with open_backend(endpoint, history_s=None) as direct:
        log = await log_of(direct)
    check_history(history, records, log)
    print(f"{len(log)} events, {sum(one.succeeded is None for one in history)} writes without an answer")
    assert log
