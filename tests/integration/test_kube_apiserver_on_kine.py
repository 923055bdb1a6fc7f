"""A real kube-apiserver on `k3py kine` over each driver, with its own check of cache against store switched to panic.

Only with K3PY_TEST_KUBE_APISERVER=$(tests/support/kube_apiserver/build), which takes minutes where nothing of it is cached. A long run:
K3PY_SECONDS=3600 K3PY_RATE=20 (writes a second) and `-k sqlite -s`, which prints figures each minute.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.databases import fresh_endpoint
from tests.support.etcd import etcd_program, real_etcd
from tests.support.kine_process import kine
from tests.support.kube_apiserver_load import EventLoad, Load, Watcher
from tests.support.kube_apiserver_process import PROGRAM, kube_apiserver

SECONDS = float(os.environ.get("K3PY_SECONDS", "20"))
RATE = float(os.environ.get("K3PY_RATE", "100"))
WRITERS = 4

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240 + 2 * SECONDS),
    pytest.mark.skipif(not PROGRAM, reason="K3PY_TEST_KUBE_APISERVER is not set"),
]


@contextmanager
def store_of(driver, folder):
    """Give the endpoint of an empty store of a driver."""
    if driver == "sqlite":
        yield f"sqlite://{folder}/state.db"
    elif driver == "etcd":
        if etcd_program() is None:
            pytest.skip("etcd is not installed (Debian: etcd-server)")
        with real_etcd() as url:
            yield url
    else:
        yield fresh_endpoint(driver)


class Sampler(threading.Thread):
    """Prints what `k3py kine` takes, each minute and at the end."""

    def __init__(self, process, folder, load):
        super().__init__(daemon=True)
        self.process, self.folder, self.load = process, folder, load
        self.ended = threading.Event()
        self.begun = time.monotonic()

    def run(self):
        while not self.ended.wait(60):
            self.show()

    def show(self):
        stat = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        cpu_s = (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
        rss_mb = int(stat[21]) * os.sysconf("SC_PAGE_SIZE") / 1e6
        disk_mb = sum(file.stat().st_size for file in self.folder.glob("state.db*")) / 1e6
        seconds = time.monotonic() - self.begun
        print(
            f"{seconds:.0f} s: {self.load.figures()}; kine {rss_mb:.0f} MB, cpu {cpu_s / seconds:.1%}, "
            f"files {disk_mb:.0f} MB",
            flush=True,
        )


@pytest.mark.parametrize("driver", ["sqlite", "postgres", "mysql", "etcd"])
def test_an_api_server_creates_lists_watches_and_deletes_without_an_error(driver, tmp_path):
    with store_of(driver, tmp_path) as endpoint, kine(endpoint=endpoint) as store:
        with kube_apiserver(tmp_path, store.url) as api:
            watcher = Watcher(api)
            watcher.start()
            load = Load(api, writers=WRITERS, rate=RATE, seconds=SECONDS)
            events = EventLoad(api, seconds=SECONDS)
            sampler = Sampler(store.process, tmp_path, load)
            sampler.start()
            events.start()
            load.run()
            events.join()
            load.finish()
            watcher.join(60)
            sampler.ended.set()
            sampler.show()
            assert not watcher.is_alive(), "the watch has not seen the last write"
            watcher.check(load.history)
            events.check()
            assert load.writes > SECONDS
            assert api.complaints() == []
