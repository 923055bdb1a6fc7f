"""Figures of the datastore: `python -m tests.benchmarks.bench_datastore [--driver NAME]… [--show] [--quick] [--json FILE]`.

Each line: what, figure with unit, n. Values are 1,000 bytes. All but memory are durable at every acknowledgement (one fsync a group).
postgres and mysql are real servers on loopback, with two k3py servers where it says so. These are in process; kine-sqlite and so on are `k3py kine`
over such a store, and etcd is Debian's, both through the same gRPC client. `--show`: the figures of the goals alone (spec/datastore.md 293 to 298).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import resource
import statistics
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

from k3py.datastore.factory import open_backend
from tests.benchmarks import process_figures
from tests.support.databases import running
from tests.support.etcd import real_etcd, wait_until_healthy
from tests.support.kine_process import kine

STORES = ("memory", "sqlite", "postgres", "mysql")

VALUE = os.urandom(1_000)
RESULTS = {}


def report(name, value, unit, n, **more):
    RESULTS[name] = {"value": round(value, 3), "unit": unit, "n": n, **more}
    extra = "  ".join(f"{key} {figure:.2f}" for key, figure in more.items())
    print(f"{name:45} {value:10.1f} {unit:8} n={n:<7} {extra}", flush=True)


def percentiles(samples_s):
    cuts = statistics.quantiles(samples_s, n=100)
    return {"p50_ms": cuts[49] * 1e3, "p95_ms": cuts[94] * 1e3, "p99_ms": cuts[98] * 1e3}


async def creates(backend, driver, writers, total):
    latencies = []

    async def writer(name):
        for number in range(total // writers):
            begin = time.perf_counter()
            assert await backend.create(b"/c/%d/%d/%d" % (writers, name, number), VALUE)
            latencies.append(time.perf_counter() - begin)

    begin = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for name in range(writers):
            tasks.create_task(writer(name))
    took = time.perf_counter() - begin
    report(
        f"{driver}: creates, {writers} writers",
        len(latencies) / took,
        "1/s",
        len(latencies),
        **percentiles(latencies),
    )


async def updates(backend, driver, writers, total):
    async def writer(name):
        key = b"/u/%d" % name
        revision = await backend.create(key, VALUE)
        for _ in range(total // writers):
            revision, _ = await backend.update(key, VALUE, expected=revision)

    begin = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for name in range(writers):
            tasks.create_task(writer(name))
    report(f"{driver}: updates of {writers} hot keys", total / (time.perf_counter() - begin), "1/s", total)


async def ranges(backend, driver):
    counted = await backend.range(b"/c/64/", b"/c/640", count_only=True)
    for name, repeat, options in (
        ("range, 500 rows of many", 20, {"limit": 500}),
        ("range, all rows", 3, {}),
        ("range, keys only", 3, {"keys_only": True}),
        ("count", 20, {"count_only": True}),
        ("range, 500 rows, 200 revisions ago", 5, {"limit": 500, "revision": backend.current_revision - 200}),
    ):
        samples = []
        for _ in range(repeat):
            begin = time.perf_counter()
            await backend.range(b"/c/64/", b"/c/640", **options)
            samples.append(time.perf_counter() - begin)
        report(f"{driver}: {name}", statistics.median(samples) * 1e3, "ms", repeat, rows=counted.count)
    samples = []
    for number in range(300):
        begin = time.perf_counter()
        assert (await backend.range(b"/c/64/0/%d" % (number % 50))).count == 1
        samples.append(time.perf_counter() - begin)
    report(f"{driver}: get", statistics.median(samples) * 1e3, "ms", 300, **percentiles(samples))


async def fan_out(backend, driver, watchers, events, rate):
    """`rate` events a second to `watchers` watchers of one prefix; the lag is from before the write to the watcher's hands."""
    sent, acknowledged, came = {}, {}, []
    lags = []

    async def write(key):
        await backend.create(key, VALUE)
        acknowledged[key] = time.perf_counter()

    async def follow(ready):
        async with backend.watch(b"/w/", b"/w0", after=backend.current_revision) as watch:
            ready.release()
            seen = 0
            while seen < events:
                batch = await anext(watch)
                now = time.perf_counter()
                for event in batch.events:
                    lags.append(now - sent[event.kv.key])
                    came.append((event.kv.key, now))
                seen += len(batch.events)

    ready = asyncio.Semaphore(0)
    begin = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(watchers):
            tasks.create_task(follow(ready))
        for _ in range(watchers):
            await ready.acquire()
        begin = time.perf_counter()
        for number in range(events):
            key = b"/w/%d" % number
            pause = begin + number / rate - time.perf_counter()
            if pause > 0:
                await asyncio.sleep(pause)
            sent[key] = time.perf_counter()
            tasks.create_task(write(key))
    took = time.perf_counter() - begin
    assert len(lags) == watchers * events
    report(
        f"{driver}: fan-out to {watchers} watchers",
        len(lags) / took,
        "events/s",
        len(lags),
        **percentiles(lags),
    )
    after = [max(0.0, now - acknowledged[key]) for key, now in came]
    report(
        f"{driver}: watch latency after the acknowledgement",
        statistics.median(after) * 1e3,
        "ms",
        len(after),
        **percentiles(after),
    )


async def loop_busy(backend, driver):
    """Creates by 64 writers while the event loop has 3 ms of other work in each turn."""
    busy = True

    async def spin():
        while busy:
            end = time.perf_counter() + 0.003
            while time.perf_counter() < end:
                pass
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(spin())
        latencies = []

        async def writer(name):
            for number in range(20):
                begin = time.perf_counter()
                await backend.create(b"/b/%d/%d" % (name, number), VALUE)
                latencies.append(time.perf_counter() - begin)

        begin = time.perf_counter()
        async with asyncio.TaskGroup() as writers:
            for name in range(64):
                writers.create_task(writer(name))
        took = time.perf_counter() - begin
        busy = False
    report(f"{driver}: creates, 64 writers, busy loop", 1280 / took, "1/s", 1280, **percentiles(latencies))


async def idle(backend, driver, folder):
    path = f"{folder}/state.db-wal"
    before = os.stat(path).st_mtime_ns if os.path.exists(path) else 0
    usage = resource.getrusage(resource.RUSAGE_SELF)
    await asyncio.sleep(2)
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu_ms = (after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime) * 1e3
    writes = int(os.path.exists(path) and os.stat(path).st_mtime_ns != before)
    report(
        f"{driver}: CPU while idle for 2 s",
        cpu_ms,
        "ms",
        1,
        switches=after.ru_nvcsw - usage.ru_nvcsw,
        writes=writes,
    )


def rss_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6


async def two_servers(endpoint, driver, writers, total):
    """Creates by two backends on one database at the same time, and the lag of each other's events."""
    lags = []
    sent = {}

    async def follow(backend, other, ready):
        async with backend.watch(
            b"/t%d/%d/" % (writers, other), b"/t%d/%d0" % (writers, other), after=backend.current_revision
        ) as watch:
            ready.release()
            seen = 0
            while seen < total // 2:
                batch = await anext(watch)
                now = time.perf_counter()
                lags.extend(now - sent[event.kv.key] for event in batch.events if event.kv.key in sent)
                seen += len(batch.events)

    async def writer(backend, which, name):
        for number in range(total // 2 // writers):
            key = b"/t%d/%d/%d/%d" % (writers, which, name, number)
            assert await backend.create(key, VALUE)
            sent[key] = time.perf_counter()

    async with open_backend(endpoint) as first, open_backend(endpoint) as second:
        ready = asyncio.Semaphore(0)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(follow(first, 1, ready))
            tasks.create_task(follow(second, 0, ready))
            await ready.acquire()
            await ready.acquire()
            begin = time.perf_counter()
            async with asyncio.TaskGroup() as writing:
                for which, backend in enumerate((first, second)):
                    for name in range(writers):
                        writing.create_task(writer(backend, which, name))
            took = time.perf_counter() - begin
    report(
        f"{driver}: creates, two servers, {writers} writers each",
        total / took,
        "1/s",
        total,
        **percentiles(lags),
    )


async def quiet_lag(endpoint, driver, pause_s, count):
    """From the acknowledgement at one server to the event at another one that is otherwise idle."""
    lags = []
    async with open_backend(endpoint) as first, open_backend(endpoint) as second:
        async with second.watch(b"/q/", b"/q0", after=second.current_revision) as watch:
            for number in range(count):
                await asyncio.sleep(pause_s)
                await first.create(b"/q/%s/%d" % (str(pause_s).encode(), number), VALUE)
                begin = time.perf_counter()
                while not (await anext(watch)).events:
                    pass
                lags.append(time.perf_counter() - begin)
    lags.sort()
    report(
        f"{driver}: lag at another server, a write each {pause_s} s",
        lags[len(lags) // 2] * 1e3,
        "ms",
        count,
        max_ms=lags[-1] * 1e3,
    )


async def run(driver, endpoint, folder, quick):
    before = rss_mb()
    async with open_backend(endpoint) as backend:
        report(f"{driver}: memory of an open store", rss_mb() - before, "MB", 1)
        await creates(backend, driver, 1, 1_000)
        await creates(backend, driver, 16, 8_000)
        await creates(backend, driver, 64, 16_000)
        await updates(backend, driver, 64, 16_000)
        if not quick:
            report(f"{driver}: memory after 50,000 writes", rss_mb() - before, "MB", 1)
            await ranges(backend, driver)
            await fan_out(backend, driver, 50, 1_000, 1_000)
            await loop_busy(backend, driver)
        await idle(backend, driver, folder)
        status = await backend.status()
        report(f"{driver}: size", status.size_bytes / 1e6, "MB", 1, in_use=status.size_in_use_bytes / 1e6)
    if driver in ("postgres", "mysql"):
        await two_servers(endpoint, driver, 1, 400)
        await two_servers(endpoint, driver, 16, 8_000)
        await quiet_lag(endpoint, driver, 0.05, 40)
        await quiet_lag(endpoint, driver, 2.0, 5)


async def show(driver, backend, idle_s):
    """The figures that the goals name, on a store that holds 10,000 objects of 2 kB and is watched 200 times."""
    watchers = []

    async def follow(prefix):
        async with backend.watch(prefix, prefix[:-1] + b"0", after=backend.current_revision) as watch:
            async for _ in watch:
                pass

    big = os.urandom(2_000)
    async with asyncio.TaskGroup() as tasks:
        for number in range(200):
            watchers.append(tasks.create_task(follow(b"/idle/%d/" % number)))

        async def fill(name):
            for number in range(10_000 // 50):
                await backend.create(b"/f/%02d/%04d" % (name, number), big)

        async with asyncio.TaskGroup() as filling:
            for name in range(50):
                filling.create_task(fill(name))
        mine, *others = process_figures.family()
        pids = others if "etcd" in driver or "kine" in driver else [mine]
        report(f"{driver}: memory, 10,000 x 2 kB, 200 watches", process_figures.memory_mb(pids), "MB", 1)
        samples = []
        for _ in range(30):
            begin = time.perf_counter()
            assert len((await backend.range(b"/f/", b"/f0", limit=500)).kvs) == 500
            samples.append(time.perf_counter() - begin)
        report(
            f"{driver}: list 500 of 10,000",
            statistics.median(samples) * 1e3,
            "ms",
            30,
            best_ms=min(samples) * 1e3,
        )
        for writers, total in ((1, 500), (16, 4_000), (64, 12_800)):
            before = process_figures.written_bytes()
            await creates(backend, driver, writers, total)
            written = (process_figures.written_bytes() - before) / total
            report(f"{driver}: bytes to disk per create, {writers} writers", written, "bytes", total)
        await fan_out(backend, driver, 10, 500, 200)
        await asyncio.sleep(2)
        before, woken = process_figures.written_bytes(), process_figures.wake_ups()
        await asyncio.sleep(idle_s)
        report(f"{driver}: wake-ups idle", process_figures.wake_ups() - woken, f"in {idle_s:.0f} s", 1)
        report(
            f"{driver}: bytes to disk idle", process_figures.written_bytes() - before, f"in {idle_s:.0f} s", 1
        )
        for watcher in watchers:
            watcher.cancel()


async def show_all(driver, endpoint, idle_s):
    print(f"{driver}: load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    async with open_backend(endpoint) as backend:
        await show(driver, backend, idle_s)
    if driver in ("postgres", "mysql"):
        await two_servers(endpoint, driver, 1, 400)
        await two_servers(endpoint, driver, 16, 8_000)
        await quiet_lag(endpoint, driver, 0.05, 100)
        await quiet_lag(endpoint, driver, 2.0, 10)


@contextmanager
def started(driver):
    """Yield (endpoint, folder) of a fresh store."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("K3PY_BENCH_DIR")) as folder:
        below = driver.removeprefix("kine-")
        with ExitStack() as stack:
            if below == "etcd":
                endpoint = stack.enter_context(
                    real_etcd(Path(folder), "--heartbeat-interval", "100", "--election-timeout", "1000")
                )
                wait_until_healthy(endpoint)
            elif below in ("postgres", "mysql"):
                endpoint = stack.enter_context(running(below)).endpoint("kubernetes")
            else:
                endpoint = "memory://" if below == "memory" else f"sqlite://{folder}/state.db"
            if below != driver:
                endpoint = stack.enter_context(kine(endpoint=endpoint)).url
            yield endpoint, folder


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("drivers", nargs="*")
    parser.add_argument(
        "--driver",
        action="append",
        default=[],
        choices=(*STORES, *(f"kine-{name}" for name in STORES), "etcd"),
    )
    parser.add_argument("--show", action="store_true", help="the figures of the goals")
    parser.add_argument("--idle-s", type=float, default=60.0)
    parser.add_argument("--quick", action="store_true", help="writes only")
    parser.add_argument("--json")
    parser.add_argument("--uvloop", action="store_true")
    options = parser.parse_args()
    factory = None
    if options.uvloop:
        import uvloop

        factory = uvloop.new_event_loop
    for driver in options.drivers + options.driver or ("memory", "sqlite"):
        with started(driver) as (endpoint, folder), asyncio.Runner(loop_factory=factory) as runner:
            if options.show:
                runner.run(show_all(driver, endpoint, options.idle_s))
            else:
                runner.run(run(driver, endpoint, folder, options.quick))
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"machine": platform.node(), "results": RESULTS}, file, indent=1)


if __name__ == "__main__":
    main()
