"""Figures of the etcd face over gRPC: `python tests/benchmarks/bench_etcdapi.py [memory sqlite etcd] [--json FILE]`.

The server is a process of its own (`k3py kine`, or the etcd of $K3PY_TEST_ETCD or Debian), the clients are k3py's own driver `etcd` in this
one; on a machine with two cores that is about as fast as one Python process can ask. Values are 1,000 bytes, SQLite and etcd are durable at
every acknowledgement.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import psutil
import uvloop

from k3py.datastore.errors import Unavailable
from k3py.datastore.factory import open_backend
from k3py.datastore.interface import PutOp
from tests.support.etcd import real_etcd
from tests.support.kine_process import kine

VALUE = os.urandom(1_000)
ALL = (b"\0", b"\0")
RESULTS = {}


def report(name, value, unit, n, **more):
    RESULTS[name] = {"value": round(value, 3), "unit": unit, "n": n, **more}
    extra = "  ".join(f"{key} {figure:.2f}" for key, figure in more.items())
    print(f"{name:48} {value:10.1f} {unit:8} n={n:<7} {extra}", flush=True)


def percentiles(samples_s):
    cuts = statistics.quantiles(samples_s, n=100)
    return {"p50_ms": cuts[49] * 1e3, "p99_ms": cuts[98] * 1e3}


async def creates(backends, driver, writers, total):
    latencies = []

    async def writer(name):
        backend = backends[name % len(backends)]
        for number in range(total // writers):
            begin = time.perf_counter()
            assert await backend.create(b"/c/%d/%d/%d" % (writers, name, number), VALUE)
            latencies.append(time.perf_counter() - begin)

    begin = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for name in range(writers):
            tasks.create_task(writer(name))
    rate = len(latencies) / (time.perf_counter() - begin)
    report(f"{driver}: creates, {writers} writers", rate, "1/s", len(latencies), **percentiles(latencies))


async def lists(backend, driver):
    for limit, repeat in ((500, 20), (0, 3)):
        begin = time.perf_counter()
        for _ in range(repeat):
            rows = len((await backend.range(b"/c/64/", b"/c/640", limit=limit)).kvs)
        report(f"{driver}: list of {rows} rows", (time.perf_counter() - begin) / repeat * 1e3, "ms", repeat)


async def fan_out(backends, driver, watches, events, rate):
    """Write at `rate` events/s and note how late each of `watches` watches shows each event."""
    sent, lags = {}, []
    ready = asyncio.Semaphore(0)

    async def follow(backend, after):
        async with backend.watch(b"/w/", b"/w0", after=after) as watch:
            ready.release()
            seen = 0
            while seen < events:
                batch = await anext(watch)
                now = time.perf_counter()
                seen += len(batch.events)
                lags.extend(now - sent[event.kv.key] for event in batch.events)

    after = (await backends[0].range(b"/w/")).revision
    begin = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(watches):
            tasks.create_task(follow(backends[number % len(backends)], after))
        for _ in range(watches):
            await ready.acquire()
        writing = time.perf_counter()
        for number in range(events):
            await asyncio.sleep(max(0.0, writing + number / rate - time.perf_counter()))
            key = b"/w/%d/%d" % (watches, number)
            sent[key] = time.perf_counter()
            tasks.create_task(backends[0].txn((), (PutOp(key, VALUE),)))
    took = time.perf_counter() - begin
    assert len(lags) == watches * events
    name = f"{driver}: {rate} events/s to {watches} watches, delivered"
    report(name, len(lags) / took, "1/s", len(lags), **percentiles(lags))


async def measure(driver, url, pid):
    async with asyncio.TaskGroup():
        while True:
            try:
                async with open_backend(url, history_s=None):
                    break
            except Unavailable:
                await asyncio.sleep(0.05)
    async with (
        open_backend(url, history_s=None) as first,
        open_backend(url, history_s=None) as second,
    ):
        backends = (first, second)
        process = psutil.Process(pid)
        for writers, total in ((1, 500), (16, 3_000), (64, 6_000)):
            await creates(backends, driver, writers, total)
        await lists(first, driver)
        await fan_out(backends, driver, 10, 1_000, 500)
        await fan_out(backends, driver, 50, 1_000, 200)
        report(f"{driver}: memory afterwards", process.memory_info().rss / 1e6, "MB", 1)
        cpu = sum(process.cpu_times()[:2])
        report(f"{driver}: processor time of all this", cpu, "s", 1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("drivers", nargs="*", default=["memory", "sqlite", "etcd"])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    for driver in arguments.drivers:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=".")))
            if driver == "etcd":
                url = stack.enter_context(real_etcd(folder))
                pid = next(p.pid for p in psutil.Process().children() if "etcd" in p.name())
            else:
                endpoint = "memory://" if driver == "memory" else f"sqlite://{folder.absolute()}/state.db"
                server = stack.enter_context(kine(endpoint=endpoint))
                url, pid = server.url, server.process.pid
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(measure(driver, url, pid))
    if arguments.json:
        arguments.json.write_text(json.dumps(RESULTS, indent=1))


if __name__ == "__main__":
    main()
