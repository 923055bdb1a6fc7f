"""What an idle node costs: memory, CPU, bytes written (ARCHITECTURE §6: 120 MB, 180 MB with containerd, 0.3 %, 1 MB/h).

python -m tests.benchmarks.bench_idle [--seconds 300]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from tests.support.cluster import running_server

if TYPE_CHECKING:
    from tests.support.cluster import Server

SETTLE_S = 30


def _pss_bytes(process: psutil.Process) -> int:
    for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def _written_bytes(process: psutil.Process) -> int:
    """Bytes that the process caused to be sent to the disk, less those it took back."""
    fields = dict(
        line.split(": ") for line in Path(f"/proc/{process.pid}/io").read_text().splitlines() if ": " in line
    )
    return int(fields["write_bytes"]) - int(fields["cancelled_write_bytes"])


def measure(server: Server, seconds: int) -> None:
    """Sample before and after `seconds` of doing nothing and print."""
    k3py = psutil.Process(server.pid)
    time.sleep(SETTLE_S)
    containerd = [one for one in k3py.children(recursive=True) if one.name() == "containerd"]
    everything = {"k3py": [k3py], "k3py and containerd": [k3py, *containerd]}
    before = {
        name: (sum(sum(p.cpu_times()[:2]) for p in group), sum(_written_bytes(p) for p in group))
        for name, group in everything.items()
    }
    switches = k3py.num_ctx_switches()
    time.sleep(seconds)
    for name, group in everything.items():
        cpu_s = sum(sum(p.cpu_times()[:2]) for p in group) - before[name][0]
        written = sum(_written_bytes(p) for p in group) - before[name][1]
        rss = sum(p.memory_info().rss for p in group)
        pss = sum(_pss_bytes(p) for p in group)
        print(f"{name}: RSS {rss / 2**20:.1f} MiB, PSS {pss / 2**20:.1f} MiB")
        print(f"{name}: CPU {100 * cpu_s / seconds:.2f} % of one core over {seconds} s")
        print(f"{name}: written {written / 2**20 * 3600 / seconds:.2f} MiB/h ({written} B in {seconds} s)")
    now = k3py.num_ctx_switches()
    wakeups = (now.voluntary - switches.voluntary) / seconds
    print(f"k3py: {wakeups:.1f} voluntary context switches/s of its main thread")


def main() -> None:
    """Measure with no pod on the node."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=300)
    seconds = parser.parse_args().seconds
    with running_server() as server:
        measure(server, seconds)


if __name__ == "__main__":
    main()
